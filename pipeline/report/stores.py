"""Finds the store that a question is put to: a folder, or what a sink of a pipeline fills."""

from __future__ import annotations

from pathlib import Path

from ualpipe.pipeline import registry
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.report.contract import Store
from ualpipe.pipeline.wording import did_you_mean

KIND = "stores"


def store_in(folder: Path) -> Store:
    """Returns the opened store that a folder is.

    Raises:
        ConfigError: It is none, or a library is missing.
    """
    failures = []
    kinds = [registry.load(KIND, name) for name in registry.installed(KIND)]
    for kind in (one for one in kinds if getattr(one, "is_folder", False)):
        store: Store = kind(folder)
        try:
            store.open()
        except ConfigError as exc:
            store.close()
            failures.append(str(exc))
        else:
            return store
    raise ConfigError("; ".join(failures) or "no kind of store is installed")


def store_of(config: PipelineConfig, sink: str = "") -> Store:
    """Returns the opened store that a sink of a pipeline fills.

    Args:
        config: The pipeline.
        sink: Name of the sink; needed where several have a store.

    Raises:
        ConfigError: No sink has a store, several have one and none is named, or it can't be opened.
    """
    spec = sink_with_store(config, sink)
    store: Store = registry.load(KIND, spec.type).of(spec.options)
    try:
        store.open()
    except ConfigError:
        store.close()
        raise
    return store


def sink_with_store(config: PipelineConfig, name: str) -> StageSpec:
    """Returns the sink of a pipeline whose store is asked.

    Raises:
        ConfigError: There is none, or there are several and none is named.
    """
    kinds = registry.installed(KIND)
    found = {key: spec for key, spec in config.sinks.items() if spec.type in kinds}
    if name and name not in found:
        raise ConfigError(f"--sink: {name!r} is no sink of {config.path} with a store of events{did_you_mean(name, found)}")
    if not found:
        raise ConfigError(f"{config.path}: no sink keeps events that can be asked: add one of type {' or '.join(kinds)}")
    if len(found) > 1 and not name:
        raise ConfigError(f"{config.path}: several sinks keep events: choose one by --sink ({', '.join(found)})")
    return found[name] if name else next(iter(found.values()))
