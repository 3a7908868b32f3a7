"""What a journal tells: how far sources are, what sinks have, what is set aside, and gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import SourceDenied
from ualpipe.pipeline.journal.sqlite.dead_letter_limits import beyond
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile, instant
from ualpipe.pipeline.journal.sqlite.queries.duplicates import Duplicates, read_duplicates
from ualpipe.pipeline.journal.sqlite.stalls import PartHealth, read_troubles
from ualpipe.pipeline.observe.backlog import SHORTEST_S, WINDOW_S, Backlog


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
class SourceStatus:
    """What waits to be fetched of one source, and when it will have been.

    Attributes:
        waiting: Work items listed and not fetched yet.
        first_expires: When the service drops the first of them; RFC 3339, None where none does.
        fetched_per_minute: Work items fetched, of late.
        arriving_per_minute: Work items that became available, of late.
        clears_in_s: Seconds until nothing waits, at these rates; None when that does not come about.
        outlook: The same in words; empty when nothing waits.
    """

    source: str
    waiting: int
    first_expires: str | None
    fetched_per_minute: float
    arriving_per_minute: float
    clears_in_s: float | None
    outlook: str


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """The certificate of one credential.

    Attributes:
        expires: RFC 3339; None when it can't be read.
        days: That it still lasts, below 0 when it has expired; None when it can't be read.
        problem: Why it can't be read, in words; empty when it can.
        is_urgent: It has to be replaced soon, or can't be used.
    """

    credential: str
    expires: str | None
    days: int | None
    problem: str
    is_urgent: bool


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
        troubles: What stands still, or stood still when the pipeline ended.
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
    certificates: list[CertificateStatus]
    troubles: list[PartHealth]

    @property
    def is_complete(self) -> bool:
        """Whether nothing was set aside or missed."""
        return not self.gaps and not self.dead_letters

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data, for JSON."""
        return asdict(self)


def read_status(
    file: JournalFile,
    sinks: list[str],
    letter_limits: DeadLetterOptions | None = None,
    credentials: Mapping[str, Credential] | None = None,
) -> Status:
    """Reads the status of a journal, also beside a running pipeline.

    Args:
        file: An open journal file.
        sinks: Configured sinks, also those that have not settled anything.
        letter_limits: Limits of dead letters; None for none.
        credentials: Whose certificates are looked at, on the disk.
    """
    held = DeadLetters(file, "").held() if letter_limits else None
    return Status(
        sources=_sources(file),
        streams=_streams(file),
        duplicates=read_duplicates(file),
        sinks=[_sink(file, sink) for sink in sinks],
        gaps=[
            GapStatus(row[0], row[1], _text(row[2]), _text(row[3]), row[4])
            for row in file.rows("SELECT source, stream, starts, ends, reason FROM gap ORDER BY starts")
        ],
        dead_letters=dict(file.rows("SELECT code, count(*) FROM dead_letter WHERE state = 'dead' GROUP BY code ORDER BY code")),
        drift=_drift(file),
        journal_bytes=file.content_bytes(),
        beyond_limits=beyond(held, letter_limits, file.clock.now()) if held and letter_limits else [],
        certificates=[
            _certificate(name, found.certificate, file.clock.now())
            for name, found in (credentials or {}).items()
            if found.certificate
        ],
        troubles=read_troubles(file),
    )


def _sources(file: JournalFile) -> list[SourceStatus]:
    now = file.now()
    since = now - WINDOW_S
    rows = file.rows(
        "SELECT source, sum(state = 'listed'), min(CASE WHEN state = 'listed' THEN expires END), sum(fetched_at > ?1),"
        " min(CASE WHEN fetched_at > ?1 THEN fetched_at END), sum(created > ?1 AND created <= ?2)"
        " FROM item WHERE state <> 'notice' GROUP BY source ORDER BY source",
        (since, now),
    )
    return [_source(now, *row) for row in rows]


def _source(
    now: float, source: str, waiting: int, expires: float | None, fetched: int | None, since: float | None, arrived: int | None
) -> SourceStatus:
    fetched_per_s = (fetched or 0) / max(SHORTEST_S, now - (since or now))
    backlog = Backlog(waiting, fetched_per_s, (arrived or 0) / WINDOW_S)
    return SourceStatus(
        source,
        waiting,
        _text(expires),
        round(60 * backlog.fetched_per_s, 1),
        round(60 * backlog.arriving_per_s, 1),
        backlog.clears_in_s,
        str(backlog),
    )


def _certificate(name: str, certificate: Certificate, now: datetime) -> CertificateStatus:
    # Loads cryptography, which a status without certificates has no time for.
    from ualpipe.pipeline.credentials.certificate import EXPIRES_SOON, days_left, read_certificate  # noqa: PLC0415

    try:
        expires = read_certificate(certificate).expires
    except SourceDenied as exc:
        return CertificateStatus(name, None, None, str(exc), is_urgent=True)
    is_urgent = expires - now < EXPIRES_SOON
    return CertificateStatus(name, format_instant(expires), days_left(expires, now), "", is_urgent)


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
