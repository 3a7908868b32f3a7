"""The config file: read, checked, and turned into objects."""

from ualpipe.pipeline.config.loader import MAX_WORKERS, ROOT_SCHEMA, load_config, processors, stage_schema
from ualpipe.pipeline.config.model import (
    DeadLetterOptions,
    JournalOptions,
    PipelineConfig,
    SinkOptions,
    SourceOptions,
    StageSpec,
)

__all__ = [
    "MAX_WORKERS",
    "ROOT_SCHEMA",
    "DeadLetterOptions",
    "JournalOptions",
    "PipelineConfig",
    "SinkOptions",
    "SourceOptions",
    "StageSpec",
    "load_config",
    "processors",
    "stage_schema",
]
