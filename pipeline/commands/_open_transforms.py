"""Opens the transforms that a command runs records through: those of a config, else ``validate`` and ``ecs``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ualpipe.pipeline import registry
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.explain.trace import ExplainedStage
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.options import build
from ualpipe.pipeline.reading import Envelopes, known_envelopes
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.stages import Apply, Env, Transform
from ualpipe.pipeline.supervisor.stages import StageMaker

DEFAULTS = ("validate", "ecs")


@dataclass(frozen=True, slots=True)
class OpenTransform:
    """An open transform.

    Attributes:
        name: As in the config, with its type: ``transforms[1] ecs``.
        type: Entry point name.
        options: Instance of its ``Config``.
    """

    name: str
    type: str
    options: Any
    apply: Apply


def open_stages(config: Path | None, mapping: Sequence[Path] = ()) -> list[OpenTransform]:
    """Returns the transforms of a config, or the usual two where there is none.

    Args:
        config: A pipeline file.
        mapping: Mapping files of the user's for use without a config; the last is the strongest.

    Raises:
        ConfigError: The config, or a file that it names, is wrong.
    """
    if config is not None:
        return _configured(config)
    log.set_up("warning")
    given: dict[str, Mapping[str, Any]] = {"ecs": {"mapping": [str(path) for path in mapping]}}
    return [_open(name, given.get(name, {})) for name in DEFAULTS]


def open_envelopes(config: Path | None) -> Envelopes:
    """Returns the envelopes that records may stand in: those that are known, and those of the sources of a config.

    Raises:
        ConfigError: The config is wrong.
    """
    sources = load_for_use(config).sources.values() if config is not None else ()
    return known_envelopes().with_paths([path for spec in sources for path in getattr(spec.options, "envelopes", ())])


def _configured(path: Path) -> list[OpenTransform]:
    config = load_for_use(path)
    log.set_up("warning", config.secrets)
    opened = StageMaker.for_command(config).open_transforms()
    return [
        OpenTransform(f"{spec.name} {spec.type}", spec.type, spec.options, transform.apply)
        for spec, transform in zip(config.transforms, opened, strict=True)
    ]


def _open(name: str, given: Mapping[str, Any]) -> OpenTransform:
    clock = SystemClock()
    env = Env(name, clock, logging.getLogger(f"ualpipe.{name}"), Metrics(), TokenBucket(None, clock, threading.Event()))
    cls = registry.load("transforms", name)
    options = build(cls.Config, given, Path())
    transform: Transform = cls(options, env)
    transform.open()
    return OpenTransform(name, name, options, transform.apply)


def with_explainers(stages: Sequence[OpenTransform]) -> list[ExplainedStage]:
    """Returns transforms with their explainers, open as well."""
    return [ExplainedStage(stage.name, stage.apply, _explainer(stage)) for stage in stages]


def _explainer(stage: OpenTransform) -> Any:
    if stage.type not in registry.installed("explainers"):
        return None
    explainer = registry.load("explainers", stage.type)(stage.options)
    explainer.open()
    return explainer
