"""One trial: a tenant, its destinations and a state directory of its own; runs that end badly, then one that ends well."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.crash_ledger import end_pauses, left, set_aside, unexplained
from chaos.crash_runs import Runs
from chaos.crash_scene import SINKS, TORN, Destinations, Scene
from runs import write_config

MOST_RUNS = 4  # an item that failed five times in a row is left to the next run


@dataclass(slots=True)
class Tally:
    """What became of the records at one sink.

    Attributes:
        torn: Messages that arrived in part; they count as nothing.
    """

    ends: int = 0
    records: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0

    def add(self, ends: int, wanted: frozenset[str], found: Counter[str]) -> None:
        """Adds what one trial has led to."""
        torn = found.pop(TORN, 0)
        self.ends += ends
        self.records += len(wanted)
        self.lost += len(wanted - found.keys())
        self.doubled += found.total() - len(found)
        self.torn += torn


class Tallies(dict[str, Tally]):
    """The figures of the sinks that took part."""

    def __missing__(self, sink: str) -> Tally:
        self[sink] = Tally()
        return self[sink]

    def include(self, others: Tallies) -> None:
        """Adds the figures of other trials."""
        for sink, other in others.items():
            for name in Tally.__slots__:
                setattr(self[sink], name, getattr(self[sink], name) + getattr(other, name))

    def table(self, title: str) -> str:
        """Returns the figures for people."""
        kinds = dict(zip(SINKS, ("file", "Kafka", "Elasticsearch", "syslog", "HTTP"), strict=True))
        head = f"\n{title}\n{'sink':<14}{'ended':>8}{'records':>10}{'lost':>6}{'doubled':>9}{'torn':>6}"
        rows = [
            f"{kinds[at]:<14}{x.ends:>8,}{x.records:>10,}{x.lost:>6,}{x.doubled:>9,}{x.torn:>6,}"
            for at, x in sorted(self.items(), key=lambda item: SINKS.index(item[0]))
        ]
        return "\n".join([head, *rows])


class Trial:
    """Runs on one state directory."""

    def __init__(
        self, folder: Path, scene: Scene, process: subprocess.Popen[str], destinations: Destinations, *sections: Mapping[str, Any]
    ) -> None:
        folder.mkdir()
        self.state_dir = folder / "state"
        self.ends = 0
        self._scene = scene
        self._destinations = destinations
        self.runs = Runs(process, write_config(folder, scene.tenant.sections, destinations.prepared().sinks, *sections))

    @property
    def left(self) -> int:
        """What is to be fetched and delivered yet; negative before the first listing."""
        return left(self.state_dir, self._destinations.names)

    def finish(self) -> None:
        """Runs to the end."""
        end_pauses(self.state_dir)
        for _run in range(MOST_RUNS):
            ended = self.runs.to_the_end()
            assert ended.code in (0, 1), f"{ended}\n{self.runs.tail()}"
            if not self.left:
                return
        raise AssertionError(f"after {MOST_RUNS} whole runs there is still something to do\n{self.runs.tail()}")

    def account(self, tallies: Tallies, *, is_pruned: bool = False, notices: int = 0) -> list[str]:
        """Adds the figures; returns what is wrong: records that are lost, come from nowhere, or are not explained by the journal.

        Args:
            tallies: Get the figures.
            is_pruned: See ``unexplained``.
            notices: How many notices of the pipeline itself each sink must have besides.
        """
        complaints = unexplained(self.state_dir, self._scene, self._destinations.names, is_pruned=is_pruned)
        aside = set_aside(self.state_dir, self._scene)
        for sink, found in self._destinations.delivered(self._scene, aside).items():
            wanted = self._scene.wanted(sink, aside)
            foreign = found.keys() - wanted - {TORN}
            if len(foreign) != notices:
                complaints.append(f"{sink}: {len(foreign)} records that were not to be delivered, not {notices}")
            if lost := wanted - found.keys():
                complaints.append(f"{sink}: lost {len(lost)}, such as {sorted(lost)[:3]}")
            tallies[sink].add(self.ends, wanted, found)
        return complaints
