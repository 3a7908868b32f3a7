"""Opens the store that a command is asked about, and says what of it could not be read."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.report.contract import Store
from ualpipe.pipeline.report.stores import store_in, store_of
from ualpipe.pipeline.wording import counted, visible

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store, and the pipeline that fills it; None where the store itself was named."""

    store: Store
    config: PipelineConfig | None

    def close(self) -> None:
        """Closes the store."""
        self.store.close()


def open_store(place: Path, sink: str | None) -> Opened:
    """Returns the store at a place: the folder of an archive, or the config of a pipeline with a sink that fills a store.

    Args:
        place: The folder or file.
        sink: Name of the sink, where the config has several.

    Raises:
        ConfigError: There is none at that place, or it can't be told which one is meant.
    """
    if place.is_file():
        config = load_for_use(place)
        log.set_up("warning", config.secrets)
        return Opened(store_of(config, sink or ""), config)
    if sink:
        raise ConfigError("--sink chooses among the sinks of a pipeline: give its config as STORE")
    if not place.exists():
        raise ConfigError(f"there is no file or folder {place}: name the folder of an archive, or the config of a pipeline")
    return Opened(store_in(place), None)


def warn_of_unreadable(store: Store) -> int:
    """Says on stderr what of a store could not be read; returns how many files that is."""
    bad = store.unreadable()
    for one in bad[:_MOST_NAMED]:
        print(visible(f"left out: {one.path}: {one.reason}"), file=sys.stderr)
    if bad:
        print(f"{counted(len(bad), 'file')} of the store could not be read and are missing above", file=sys.stderr)
    return len(bad)
