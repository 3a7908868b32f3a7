"""What a worker process and the pipeline say to one another: pickled, as both are the same program."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.drift import Counts
from ualpipe.pipeline.events import Origin, Transformed
from ualpipe.pipeline.metrics import Noted
from ualpipe.pipeline.process.processor import ProcessedChunk
from ualpipe.pipeline.records.chunk import Chunk, Framing


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker needs to know once.

    Attributes:
        transforms: The transforms of the pipeline.
        conditions: What sinks want, by name, as written in the config.
        level: The level from which lines are logged.
    """

    transforms: Sequence[StageSpec]
    conditions: Mapping[str, Any]
    level: int


@dataclass(frozen=True, slots=True)
class Job:
    """A chunk to be worked on; its bytes follow as a message of their own.

    Attributes:
        is_fetched: Whether it was fetched just now, and needs identities, compression and hash as well.
        transform: Whether the transforms are run.
        duplicates: Positions of records to leave out.
        conflicts: By position, what tells the content of a record from that of another one with the same Id.
    """

    source: str
    tenant: str
    stream: str
    item: str
    received: str
    framing: Framing
    is_fetched: bool
    transform: bool = True
    duplicates: frozenset[int] = frozenset()
    conflicts: Mapping[int, str] = field(default_factory=dict)

    def origin(self, body: bytes) -> Origin:
        """Returns the origin of the events."""
        return Origin(self.source, self.tenant, self.stream, self.item, Chunk(body, self.framing), self.received)


def job_of(origin: Origin, **how: Any) -> Job:
    """Returns the job for a chunk."""
    return Job(origin.source, origin.tenant, origin.stream, origin.item, origin.received, origin.chunk.framing, **how)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line of a worker."""

    logger: str
    level: int
    text: str
    context: Mapping[str, Any]

    def log(self) -> None:
        """Logs the line in this process."""
        logging.getLogger(self.logger).log(self.level, "%s", self.text, extra=self.context)


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a job.

    Attributes:
        processed: The result for a chunk that was fetched just now.
        transformed: The result for a chunk that is stored already.
        undecodable: Why the chunk holds no records; empty when it does.
        failure: Traceback of an unexpected failure; empty when there was none.
        drift: Drift that the transforms noted.
        metrics: Metrics that they counted.
        lines: Lines that they logged.
    """

    processed: ProcessedChunk | None = None
    transformed: Transformed | None = None
    undecodable: str = ""
    failure: str = ""
    drift: Counts = field(default_factory=dict)
    metrics: list[Noted] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)


def packed_message(message: WorkerSetup | Job | JobResult) -> bytes:
    """Returns a message as it is sent."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def unpacked_message(text: bytes) -> Any:
    """Returns a message that was received: only ever from a process that this one started, or that started it."""
    return pickle.loads(text)  # noqa: S301 - see above
