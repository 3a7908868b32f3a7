"""Opens the store of events that a command is asked about: a folder, or what a pipeline's sink fills."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline import registry
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.report.contract import Store
from ualpipe.pipeline.wording import counted, did_you_mean, visible

_OF_FOLDERS = "archive"
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
    config = None
    if place.is_dir():
        store: Store = registry.load("stores", _OF_FOLDERS)(place)
    elif place.is_file():
        config = load_for_use(place)
        log.set_up("warning", config.secrets)
        spec = _sink_of(config, sink)
        store = registry.load("stores", spec.type).of(spec.options)
    else:
        raise ConfigError(f"{place}: there is neither a folder with an archive nor a pipeline file")
    store.open()
    return Opened(store, config)


def _sink_of(config: PipelineConfig, name: str | None) -> StageSpec:
    found = {spec.name: spec for spec in config.sinks.values() if spec.type in registry.installed("stores")}
    if not found:
        kinds = ", ".join(registry.installed("stores"))
        raise ConfigError(f"{config.path}: no sink of this pipeline fills a store that can be asked (types: {kinds})")
    if name is None and len(found) > 1:
        raise ConfigError(f"{config.path}: several sinks fill stores ({', '.join(found)}): name one with --sink")
    if name is not None and name not in found:
        raise ConfigError(f"{config.path}: {name} is no sink that fills a store{did_you_mean(name, found)}")
    return found[name] if name is not None else next(iter(found.values()))


def warn_of_unreadable(store: Store) -> int:
    """Says on stderr what of a store could not be read; returns how much that is."""
    bad = store.unreadable()
    for one in bad[:_MOST_NAMED]:
        print(visible(f"left out: {one.path}: {one.reason}"), file=sys.stderr)
    if bad:
        print(f"{counted(len(bad), 'file')} of the store could not be read and are missing above", file=sys.stderr)
    return len(bad)
