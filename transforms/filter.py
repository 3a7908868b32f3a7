"""Leaves events out by conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.conditions.known_fields import same_fields
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Condition, Event
from ualpipe.pipeline.options import conditions_option
from ualpipe.pipeline.stages import Env

_NOTATION = (
    "Conditions in Sigma's notation. Several keys in one mapping must all hold; of several mappings in a list, any one; of "
    "several values of a key, any one. Fields are dotted paths into the document (into the record before `ecs`)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterTransformConfig:
    """Options of the ``filter`` transform: at least one of the two."""

    drop: Any = conditions_option(
        f"Conditions that match the events to drop. {_NOTATION}",
        examples=[{"event.action": ["FileAccessedExtended"], "user.id|endswith": "@sharepoint"}],
    )
    keep: Any = conditions_option(
        f"Conditions that match the events to keep; all others are dropped. {_NOTATION}",
        examples=[[{"event.category": "authentication"}, {"event.kind": "alert"}]],
    )

    def __post_init__(self) -> None:
        """Compiles the conditions to find their mistakes: a wrong config is refused before anything runs."""
        _compile(self)


class FilterTransform:
    """Leaves out events that are not wanted; they count as filtered, not as lost."""

    Config: ClassVar[type] = FilterTransformConfig
    fields_behind = staticmethod(same_fields)

    def __init__(self, config: FilterTransformConfig, env: Env) -> None:  # noqa: ARG002 - the way all stages are made
        self._drops, self._keeps = _compile(config)

    def open(self) -> None:
        """Does nothing: there is nothing to load."""

    def apply(self, event: Event) -> Event | None:
        """Returns the event; None when it is filtered."""
        body = event.body
        if self._drops is not None and self._drops(body):
            return None
        if self._keeps is not None and not self._keeps(body):
            return None
        return event


def _compile(config: FilterTransformConfig) -> tuple[Condition | None, Condition | None]:
    if config.drop is None and config.keep is None:
        raise ConfigError("filter: give `drop`, `keep` or both")
    drops = None if config.drop is None else compile_conditions(config.drop, "drop")
    keeps = None if config.keep is None else compile_conditions(config.keep, "keep")
    return drops, keeps
