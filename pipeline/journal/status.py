"""What a journal tells operators: how far sources are, what sinks have, what is set aside, and gaps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ualpipe.pipeline.credentials.status import CertificateStatus
from ualpipe.pipeline.events import UNMAPPABLE
from ualpipe.pipeline.journal.types import StandingStill

LISTED_AGAIN = "blob listed again"
OTHER_BLOB = "record in another blob"

_NAMES_IN_JSON = {"standing_still": "troubles"}  # the JSON of `status` is public


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Records that sinks did not get, as they had come before.

    Attributes:
        cause: ``blob listed again``: the very same content came under another contentId. ``record in another blob``: the record
            had come in a blob with other content, or earlier in the same one.
    """

    tenant: str
    cause: str
    records: int


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream of a source.

    Attributes:
        listed_until: How far it was listed completely; RFC 3339, None when never.
        waiting: Work items listed and not fetched yet.
        gone: Work items that the service no longer had.
        conflicts: Records with other content than the first that came under their Id.
    """

    source: str
    stream: str
    listed_until: str | None
    waiting: int
    fetched: int
    dead: int
    gone: int
    records: int
    duplicates: int
    last_error: str | None
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The backlog of one source: what waits to be fetched, and when that will be done.

    Attributes:
        waiting: Work items listed and not fetched yet.
        first_expires: When the service drops the first of them; RFC 3339, None where none does.
        fetched_per_minute: Work items fetched, of late.
        arriving_per_minute: Work items that became available, of late.
        clears_in_s: Seconds until nothing waits, at these rates; None when the backlog does not shrink.
        outlook: The backlog in words; empty when nothing waits.
    """

    source: str
    waiting: int
    first_expires: str | None
    fetched_per_minute: float
    arriving_per_minute: float
    clears_in_s: float | None
    outlook: str


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink.

    Attributes:
        backlog: Stored records that are not settled yet.
        last_settled: RFC 3339, None when never.
    """

    sink: str
    delivered: int
    filtered: int
    dead: int
    backlog: int
    last_settled: str | None


@dataclass(frozen=True, slots=True)
class GapStatus:
    """A period that could not be fetched; RFC 3339."""

    source: str
    stream: str
    start: str | None
    end: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """Something in the records of one source that ualpipe does not know.

    Attributes:
        kind: ``record_type``, ``operation`` or ``field``; ``others`` for what came when there were too many to tell apart.
        record_type: Number of the record type that it was seen in.
        name: Name of the operation or field.
        count: Records that it was seen in; a little high after a restart, or with a sink that is behind.
        first_seen: RFC 3339.
        last_seen: RFC 3339.
    """

    kind: str
    record_type: str
    name: str
    source: str
    count: int
    first_seen: str | None
    last_seen: str | None


@dataclass(frozen=True, slots=True)
class FlawStatus:
    """Records of one source with the same flaw; see ``events.Flaw`` for the kinds.

    Attributes:
        reason: What is wrong, without figures that differ by record.
        records: How many records have it, whatever became of them.
        kept: Those of them that the journal still keeps (``journal.keep``).
        sinks: How many of them each sink has.
        example: ``Id`` or place of one of them.
        first_seen: RFC 3339.
        last_seen: RFC 3339.
    """

    source: str
    kind: str
    reason: str
    records: int
    kept: int
    sinks: dict[str, int]
    example: str
    first_seen: str
    last_seen: str

    @property
    def is_unmappable(self) -> bool:
        """Whether no usable document could be made of these records."""
        return self.kind in UNMAPPABLE


@dataclass(frozen=True, slots=True)
class IdleCondition:
    """A condition of the config that has fitted nothing for long.

    Attributes:
        place: In the config (``sinks.siem.when``).
        verdict: What that means, in words.
        events: How many events came to it.
        since: RFC 3339.
    """

    place: str
    verdict: str
    events: int
    since: str


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Whether a pipeline runs on the journal, and which was the last.

    Attributes:
        is_running: None where that can't be told.
        process: Number of the process that runs; None where none does, or it is not known.
        since: When it began, or the last one did; RFC 3339, None where that is not known.
        version: Release of ualpipe that the last run is of; empty where that is not known.
        is_bounded: Whether the last run was one that ends by itself (``run --once``).
        last_written: When the journal was changed last; RFC 3339, None where that is not known.
    """

    is_running: bool | None = None
    process: int | None = None
    since: str | None = None
    version: str = ""
    is_bounded: bool = False
    last_written: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a pipeline.

    Attributes:
        flaws: What is wrong with records, by source, the gravest and most common first.
        idle_conditions: Conditions that have fitted nothing for long.
        beyond_limits: Limits of dead letters that are passed, in words.
        standing_still: Parts that stand still, or stood still when the pipeline ended; ``troubles`` in JSON.
        set_back: That and how the journal was found to be older than, or another than, the one that was left there, in words;
            empty where it was not.
        certificates: Certificates of the credentials; the journal knows nothing of these.
        run: Whether a pipeline runs.
    """

    sources: list[SourceStatus]
    streams: list[StreamStatus]
    duplicates: list[Duplicates]
    sinks: list[SinkStatus]
    gaps: list[GapStatus]
    dead_letters: dict[str, int]
    drift: list[DriftStatus]
    journal_bytes: int
    beyond_limits: list[str]
    standing_still: list[StandingStill]
    flaws: list[FlawStatus] = field(default_factory=list)
    idle_conditions: list[IdleCondition] = field(default_factory=list)
    set_back: str = ""
    certificates: list[CertificateStatus] = field(default_factory=list)
    run: RunStatus = field(default_factory=RunStatus)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was set aside or missed."""
        return not self.gaps and not self.dead_letters

    @property
    def unmappable(self) -> int:
        """How many records, of those that the journal still keeps, have a document that nobody can use."""
        return sum(flaw.kept for flaw in self.flaws if flaw.is_unmappable)

    def stalled(self, since: datetime) -> list[StandingStill]:
        """Returns what has stood still since an instant or longer."""
        return [one for one in self.standing_still if datetime.fromisoformat(one.since) <= since]

    def as_dict(self) -> dict[str, Any]:
        """Returns the status as plain data, for JSON."""
        return {_NAMES_IN_JSON.get(name, name): value for name, value in asdict(self).items()}
