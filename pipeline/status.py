"""What a journal tells: how far sources are, what sinks have, what is set aside, and gaps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ualpipe.pipeline._journal_file import JournalFile, instant
from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.config import DeadLetterOptions
from ualpipe.pipeline.dead_letters import DeadLetters
from ualpipe.pipeline.letter_limits import beyond


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream of a source.

    Attributes:
        listed_until: How far it was listed completely; RFC 3339, None when never.
        waiting: Work items listed and not fetched yet.
        gone: Work items that the service no longer had.
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
    """Something in the records of one source that nobody described to ualpipe.

    Attributes:
        kind: ``record_type``, ``operation`` or ``field``; ``others`` for what came when there were too many to tell apart.
        record_type: Number of the kind of record it was seen in.
        name: Of the operation or field.
        count: Records it was seen in; a little high after a restart, or with a sink that is behind.
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
class Status:
    """The state of a pipeline.

    Attributes:
        beyond_limits: Limits of dead letters that are passed, in words.
    """

    streams: list[StreamStatus]
    sinks: list[SinkStatus]
    gaps: list[GapStatus]
    dead_letters: dict[str, int]
    drift: list[DriftStatus]
    journal_bytes: int
    beyond_limits: list[str]

    @property
    def is_complete(self) -> bool:
        """Whether nothing was set aside or missed."""
        return not self.gaps and not self.dead_letters

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data, for JSON."""
        return asdict(self)


def read_status(file: JournalFile, sinks: list[str], letter_limits: DeadLetterOptions | None = None) -> Status:
    """Reads the status of a journal, also beside a running pipeline.

    Args:
        file: An open journal file.
        sinks: Configured sinks, also those that have not settled anything.
        letter_limits: Limits of dead letters; None for none.
    """
    held = DeadLetters(file, "").held() if letter_limits else None
    return Status(
        streams=_streams(file),
        sinks=[_sink(file, sink) for sink in sinks],
        gaps=[
            GapStatus(row[0], row[1], _text(row[2]), _text(row[3]), row[4])
            for row in file.rows("SELECT source, stream, starts, ends, reason FROM gap ORDER BY starts")
        ],
        dead_letters=dict(file.rows("SELECT code, count(*) FROM dead_letter WHERE state = 'dead' GROUP BY code ORDER BY code")),
        drift=_drift(file),
        journal_bytes=file.content_bytes(),
        beyond_limits=beyond(held, letter_limits, file.clock.now()) if held and letter_limits else [],
    )


def _streams(file: JournalFile) -> list[StreamStatus]:
    rows = file.rows(
        "SELECT i.source, i.stream, s.listed_until, sum(i.state = 'listed'), sum(i.state = 'fetched'), sum(i.state = 'dead'),"
        " sum(i.state = 'gone'), coalesce(sum(i.records), 0), coalesce(sum(i.duplicates), 0),"
        " (SELECT e.error FROM item e WHERE e.source = i.source AND e.stream = i.stream AND e.error IS NOT NULL"
        "  ORDER BY e.id DESC LIMIT 1)"
        " FROM item i LEFT JOIN stream s ON s.source = i.source AND s.stream = i.stream GROUP BY i.source, i.stream"
        " UNION ALL SELECT source, stream, listed_until, 0, 0, 0, 0, 0, 0, NULL FROM stream n"
        " WHERE NOT EXISTS (SELECT 1 FROM item i WHERE i.source = n.source AND i.stream = n.stream) ORDER BY 1, 2"
    )
    return [StreamStatus(row[0], row[1], _text(row[2]), *row[3:]) for row in rows]


def _sink(file: JournalFile, sink: str) -> SinkStatus:
    delivered, filtered, dead, last = file.rows(
        "SELECT coalesce(sum(delivered), 0), coalesce(sum(filtered), 0), coalesce(sum(dead), 0), max(settled_at)"
        " FROM settlement WHERE sink = ?",
        (sink,),
    )[0]
    backlog = file.rows(
        "SELECT coalesce(sum(b.records), 0) FROM batch b LEFT JOIN settlement s ON s.sink = ? AND s.batch = b.id"
        " WHERE b.ready AND (s.batch IS NULL OR s.pending IS NOT NULL) AND (b.only_sink IS NULL OR b.only_sink = ?)",
        (sink, sink),
    )[0][0]
    return SinkStatus(sink, delivered, filtered, dead, backlog, _text(last))


def _drift(file: JournalFile) -> list[DriftStatus]:
    """Returns what is new in the records, newest first."""
    rows = file.rows(
        "SELECT kind, record_type, name, source, count, first_seen, last_seen FROM drift"
        " ORDER BY first_seen DESC, kind DESC, record_type, name, source"
    )
    return [DriftStatus(*row[:5], *map(_text, row[5:])) for row in rows]


def _text(seconds: float | None) -> str | None:
    moment = instant(seconds)
    return format_instant(moment) if moment else None
