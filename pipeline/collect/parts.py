"""What all collectors of a run work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.types import BatchRef
from ualpipe.pipeline.process.processor import Processor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.thread_pool import ThreadPool


@dataclass(frozen=True, slots=True)
class CollectParts:
    """The parts of the engine that collectors share.

    Attributes:
        journal: Keeps work items and records.
        buffer: Takes batches as the transforms made them, for sinks that are in step.
        processor: Decodes, transforms and compresses records.
        threads: The pool in which streams are listed and items fetched.
        notify: Tells the deliveries of new batches.
        context: The run.
    """

    journal: Journal
    buffer: BatchBuffer
    processor: Processor
    threads: ThreadPool
    notify: Callable[[list[BatchRef]], None]
    context: RunContext
