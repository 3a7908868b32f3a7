"""How severe an event is, on the scale of CEF and LEEF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNREMARKABLE, FAILED, BROKEN, ALERT = 3, 5, 5, 7
"""Severity of events that carry none: of successes, failures, records that could not be mapped, and alerts."""

OF_ALERTS = {1: 3, 2: 5, 3: 7, 4: 9}
"""``event.severity`` as the ``ecs`` transform writes it (informational, low, medium, high) on the scale 0 to 10."""


def severity_of(document: Mapping[str, Any]) -> int:
    """Returns 0 (least) to 10 for an ECS document: its own ``event.severity`` first, then its kind, then its outcome."""
    event = document.get("event")
    if type(event) is not dict:
        return UNREMARKABLE
    own = event.get("severity")
    if type(own) is int and own >= 0:
        return OF_ALERTS.get(own) or _scaled(own)
    kind = event.get("kind")
    if kind == "alert":
        return ALERT
    if kind == "pipeline_error":
        return BROKEN
    return FAILED if event.get("outcome") == "failure" else UNREMARKABLE


def _scaled(own: int) -> int:
    """Returns a severity on another scale, set by a transform of the user's: 0 to 10 as it is, 0 to 100 divided by ten."""
    return own if own <= 10 else min(10, own // 10)
