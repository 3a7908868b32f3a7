"""Makes the stages of a config: each gets its options and, as ``Env``, what it needs from outside."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.process.processor import LocalProcessor, Processor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.runtime.rate_limit import RateLimits
from ualpipe.pipeline.stages import Env, Transform


@dataclass(frozen=True, slots=True)
class StageMaker:
    """Makes the stages of one config for one run.

    Attributes:
        config: A checked config.
        context: The run.
        limits: The request budgets of tenants.
    """

    config: PipelineConfig
    context: RunContext
    limits: RateLimits

    @classmethod
    def for_command(cls, config: PipelineConfig, clock: Clock | None = None, context: RunContext | None = None) -> StageMaker:
        """Returns a maker for a command that runs no pipeline."""
        context = context or RunContext(once=True, clock=clock or SystemClock())
        return cls(config, context, RateLimits(context.clock, context.stop))

    def env(self, spec: StageSpec) -> Env:
        """Returns what a stage gets from outside."""
        return Env(
            name=spec.name,
            clock=self.context.clock,
            log=logging.getLogger(f"ualpipe.{spec.name}"),
            metrics=self.context.metrics,
            budget=self.limits.of(spec),
            credentials=self.config.credentials,
            drift=self.context.drift,
            pipeline=self.config.pipeline,
        )

    def make(self, spec: StageSpec) -> Any:
        """Returns a new stage, which does no I/O yet."""
        return spec.cls(spec.options, self.env(spec))

    def open_transforms(self) -> list[Transform]:
        """Makes and opens the transforms.

        Raises:
            ConfigError: A table or database is missing or wrong.
        """
        transforms: list[Transform] = [self.make(spec) for spec in self.config.transforms]
        for transform in transforms:
            transform.open()
        return transforms


def make_processor(
    config: PipelineConfig, transforms: Sequence[Transform], context: RunContext, affinity: CpuAffinity
) -> Processor:
    """Returns the processor for chunks: this process, or as many worker processes as the config says.

    Args:
        config: A checked config.
        transforms: Its transforms, open.
        context: The run.
        affinity: Keeps this process on one processor while it works alone.
    """
    wanted = {spec.name: spec for spec in config.sinks.values() if spec.when is not None}
    conditions = {name: spec.when for name, spec in wanted.items() if spec.when is not None}
    here = LocalProcessor([transform.apply for transform in transforms], conditions)
    if config.workers == 1:
        return here
    # Loads the modules that start processes, for which `check` and `status` have no time.
    from ualpipe.pipeline.process.worker_pool import WorkerPool  # noqa: PLC0415
    from ualpipe.pipeline.process.worker_protocol import WorkerSetup  # noqa: PLC0415

    level = logging.getLogger("ualpipe").getEffectiveLevel()
    setup = WorkerSetup(config.transforms, {name: spec.common.when for name, spec in wanted.items()}, level)
    return WorkerPool(here, setup, config.workers, context, affinity)
