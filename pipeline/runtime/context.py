"""What all parts of one run share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.drift import Drift
from ualpipe.pipeline.metrics import Metrics


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of a pipeline.

    Attributes:
        once: The run ends when every listed item is settled or has failed a bounded number of times.
        stop: Set when the run is to end.
        drift: What ualpipe does not know of the records.
    """

    once: bool
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    stop: threading.Event = field(default_factory=threading.Event)
    drift: Drift = field(default_factory=Drift)
