"""What all parts of one run share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.drift import Drift
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.runtime.rate_limit import RateLimits
from ualpipe.pipeline.runtime.thread_pool import ThreadPool


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of a pipeline.

    Attributes:
        once: The run ends when every listed item is settled or has failed a bounded number of times.
        stop: Set when the run is to end.
        drift: What ualpipe does not know of the records.
        budgets: How many requests a minute each tenant may be sent.
        threads: Threads that list and fetch, for all sources.
        affinity: Keeps the process on one processor; the default one does nothing.
    """

    once: bool
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    stop: threading.Event = field(default_factory=threading.Event)
    drift: Drift = field(default_factory=Drift)
    threads: ThreadPool = field(default_factory=ThreadPool)
    affinity: CpuAffinity = field(default_factory=CpuAffinity)
    budgets: RateLimits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", RateLimits(self.clock, self.stop))
