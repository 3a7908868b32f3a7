"""Makes the stages of a config."""

from __future__ import annotations

from collections.abc import Callable

from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.stages import Env, Transform


def open_transforms(config: PipelineConfig, env: Callable[[StageSpec], Env]) -> list[Transform]:
    """Makes and opens the transforms of a config.

    Args:
        config: A checked config.
        env: Makes the ``Env`` of a stage from its spec.

    Raises:
        ConfigError: A table or database is missing or wrong.
    """
    transforms: list[Transform] = [spec.cls(spec.options, env(spec)) for spec in config.transforms]
    for transform in transforms:
        transform.open()
    return transforms
