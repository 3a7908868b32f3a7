"""Killed before, inside and after each step of the journal and each write of a sink: nothing is lost, and the ledger knows.

Each row of points is one trial: a run dies at each of them in turn, on the same state directory, and one runs to the end. With
``UALPIPE_CHAOS=long`` (``make chaos``) each point has a trial of its own.
"""

from __future__ import annotations

import ast
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from chaos import crash_points as at
from chaos.crash_ledger import forgotten
from chaos.crash_points import Point
from chaos.crash_runs import RUN_ONCE, SEND_AGAIN
from chaos.crash_scene import SOURCE, STREAM, Destinations, Scene, served_scene
from chaos.crash_trial import Tallies, Trial
from fakes import FakeClock, open_journal
from runs import TENANT_ID
from servers.peers.fake_receiver import FakeReceiver
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.sqlite import journal as journal_module
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.seen.ids import RECENT_LIMIT, SeenIds
from ualpipe.pipeline.journal.sqlite.seen.segments import MERGE_WIDTH, Segments
from ualpipe.pipeline.journal.types import FetchedItem
from ualpipe.pipeline.records.identity import IDENTITY_BYTES
from ualpipe.pipeline.stages import Listed, WorkItem
from ualpipe.simulator.service.content import CONTENT_TYPES

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
BLOBS = 80
JOURNAL = Path(journal_module.__file__).parent
OLD_ITEMS = 50


def nothing(trial: Trial) -> None:
    """Leaves a new state directory as it is."""


def back_after_nine_days(trial: Trial) -> None:
    """Makes the journal of a pipeline that ran nine days ago for the last time: two of them can't be fetched any more."""
    journal = open_journal(trial.state_dir, SystemClock())
    for stream in CONTENT_TYPES:
        journal.conclude_listing(SOURCE, TENANT_ID, stream, {}, Listed(SystemClock().now() - timedelta(days=9)))
    journal.close()


def remembering_many(trial: Trial) -> None:
    """Makes the journal of a pipeline that has seen so many Ids that with the next few a run is full, and runs are merged."""
    rng = random.Random(1)
    file = JournalFile(trial.state_dir, SystemClock(), exclusive=True)
    now = file.now()
    with file.transaction() as db:
        segments = Segments(db)
        segments.load()
        for _run in range(MERGE_WIDTH - 1):
            segments.write(sorted(rng.randbytes(IDENTITY_BYTES) for _number in range(300)), now)
        SeenIds(db).add([rng.randbytes(IDENTITY_BYTES) for _number in range(RECENT_LIMIT - 5)], now)
    file.close()


def remembering_old_items(trial: Trial) -> None:
    """Makes the journal of a pipeline that fetched items two months ago, which the service has dropped long since."""
    clock = FakeClock(SystemClock().now() - timedelta(days=60))
    journal = open_journal(trial.state_dir, clock)
    expires = clock.now() + timedelta(days=7)
    journal.enter(SOURCE, TENANT_ID, [WorkItem(STREAM, f"old-{at}", {}, clock.now(), expires) for at in range(OLD_ITEMS)])
    journal.commit([FetchedItem(item) for item in journal.lease(SOURCE, [STREAM], OLD_ITEMS)])
    journal.close()


def of_the_release_before(trial: Trial) -> None:
    """Makes the journal that a release left which knew Ids alone: it has fetched nothing yet."""
    open_journal(trial.state_dir, SystemClock()).close()
    with closing(sqlite3.connect(trial.state_dir / FILE_NAME, isolation_level=None)) as db:
        for table, column in at.ADDED_COLUMNS:
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.executescript("DROP TRIGGER flaw_of_settlement; DROP TABLE flaw; DROP TABLE flaw_past;")
        db.execute("PRAGMA user_version = 5")


def all_done(trial: Trial) -> None:
    trial.finish()


@dataclass(frozen=True)
class Row:
    """Points of one trial.

    Attributes:
        steps: One after the other; a step is a point, behind those that make it possible.
        prepare: Makes the state that the first of them finds.
        notices: What the pipeline itself says to the sinks meanwhile.
        forgotten: Work items that the ledger has forgotten in the end, each counted once.
        is_posting: There is a receiver by HTTP, too.
    """

    name: str
    steps: Sequence[tuple[Point, ...]]
    prepare: Callable[[Trial], None] = nothing
    command: Sequence[str] = RUN_ONCE
    sections: Mapping[str, Any] = field(default_factory=dict)
    notices: int = 0
    forgotten: int = 0
    kafka_driver: str = "auto"
    is_posting: bool = False

    def apart(self) -> list[Row]:
        """Returns a row for each step."""
        names = [(step[-1].name.lower().replace(": ", "-").replace(", ", "-").replace(" ", "-"), step) for step in self.steps]
        return [replace(self, name=name, steps=[step]) for name, step in names]


def each(*groups: Sequence[Point]) -> list[tuple[Point, ...]]:
    return [(point,) for group in groups for point in group]


def behind(first: Point, points: Sequence[Point]) -> list[tuple[Point, ...]]:
    return [(first, point) for point in points]


_SETTLED, _TORN, _TORN_FOUND = (at.POINTS[name] for name in ("settle, after", "file: inside a line", "file: a torn line found"))
_FILE = [point for point in at.FILE if point not in (_TORN, _TORN_FOUND)]

# A run buries a blob that can't be read at the third attempt of its own, and leaves it to the next at the fifth of all: few runs
# of a row may get as far as that. Drift is kept at the end of a run, and only where there was something new.
ROWS = [
    Row("journal", each(at.MAKING, at.KEEPING, at.MARKING[:2], at.CHUNKS, at.DISCARDING, at.LISTING, at.SETTLING, at.DRIFT[:1])),
    Row("flaws", each(at.FLAWS)),
    Row("letters", each(at.LETTERS[:-1], at.BURIAL[:1])),
    Row("burial", each(at.BURIAL[1:2])),
    Row("buried", each(at.LETTERS[-1:], at.BURIAL[2:])),
    Row("gaps", each(at.GAPS, at.DRIFT[1:2]), back_after_nine_days, notices=len(CONTENT_TYPES)),
    Row("migration", each(at.MIGRATING), of_the_release_before),
    Row("seen", each(at.SEEN, at.DRIFT[2:]), remembering_many),
    Row(
        "pruning",
        [*each(at.FORGETTING), *behind(_SETTLED, at.PRUNING)],
        remembering_old_items,
        sections={"journal": {"keep": "0s"}},
        forgotten=OLD_ITEMS,
    ),
    Row("requeue", each(at.REQUEUE, at.MARKING[2:]), all_done, SEND_AGAIN),
    Row("kafka-and-file", [*each(at.KAFKA, _FILE), (_TORN, _TORN_FOUND)]),
    Row("kafka-python", each(at.KAFKA_PYTHON), kafka_driver="kafka-python"),
    Row("http", each(at.HTTP), is_posting=True),
    Row("syslog-and-elasticsearch", each(at.SYSLOG, at.SEARCH)),
]


ELSEWHERE = {*chain(*at.ACKED.values()), *at.SENTINEL, *at.SPLUNK, *at.ARCHIVE, *at.SQL}
"""Points in trials of their own: `test_acked_crashes.py`, `test_sentinel_crashes.py`, `test_splunk_hec.py`,
`archive/test_archive_crashes.py`, `sql/test_sql_kills.py`."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with served_scene(tmp_path_factory.mktemp("tenant"), BLOBS, concurrency=4) as scene:
        yield scene


@pytest.fixture(scope="module")
def tallies(pytestconfig: pytest.Config) -> Iterator[Tallies]:
    """The figures of all rows, shown at the end."""
    tallies = Tallies()
    yield tallies
    with pytestconfig.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(tallies.table(f"kills at {len(at.POINTS) - len(ELSEWHERE)} named points"))


@pytest.fixture
def destinations(row: Row, tmp_path: Path, kafka: Any, elasticsearch: Any, rsyslog: Any) -> Iterator[Destinations]:
    with ExitStack() as stack:
        hook = stack.enter_context(FakeReceiver()) if row.is_posting else None
        yield Destinations(tmp_path / "out", f"points-{row.name}", kafka, elasticsearch, rsyslog, row.kafka_driver, hook)


@pytest.mark.parametrize(
    "row", [alone for row in ROWS for alone in (row.apart() if IS_LONG else [row])], ids=lambda row: row.name
)
def test_a_kill_at_a_named_point_loses_nothing_and_doubles_nothing_in_elasticsearch(
    row: Row, scene: Scene, tallies: Tallies, tmp_path: Path, warm_process: Any, destinations: Destinations
) -> None:
    trial = Trial(tmp_path / "trial", scene, warm_process, destinations, row.sections)
    row.prepare(trial)
    for point in (point for step in row.steps for point in step):
        ended = trial.runs.killed_at(point, RUN_ONCE if point is _SETTLED else row.command)
        assert ended.reached, f"never came to {point.name}: {ended}\n{trial.runs.tail()}"
        assert ended.was_killed
        trial.ends += 1
    trial.finish()
    found = Tallies()
    wrong = trial.account(found, is_pruned="journal" in row.sections, notices=row.notices)
    tallies.include(found)
    assert not wrong, "\n".join(wrong)
    assert forgotten(trial.state_dir) == row.forgotten
    assert not found["search"].doubled


def test_every_point_is_in_a_row():
    assert {point for row in ROWS for step in row.steps for point in step} | ELSEWHERE == set(at.POINTS.values())


def test_every_transaction_of_a_run_has_points():
    """A new step of the journal gets a row in the table, or a reason why it needs none."""
    watched = {point.function.removeprefix("ualpipe.pipeline.journal.sqlite.") for point in at.POINTS.values()}
    found = {name for path in JOURNAL.rglob("*.py") for name in transactions(path)}
    assert found - watched == at.ELSEWHERE.keys()


def transactions(path: Path) -> Iterator[str]:
    """Yields the functions of a module of the journal that run a transaction."""
    module = ".".join(path.relative_to(JOURNAL).with_suffix("").parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for owner in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        for function in (node for node in owner.body if isinstance(node, ast.FunctionDef)):
            calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
            if any(isinstance(called, ast.Attribute) and called.attr == "transaction" for called in calls):
                yield f"{module}:{owner.name + '.' if isinstance(owner, ast.ClassDef) else ''}{function.name}"
