"""Reads how far each stream has come, for sinks that keep beside their events which period they cover."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from ualpipe.pipeline.journal.sqlite.columns import instant
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.schema import begin_key
from ualpipe.pipeline.stages import Gap, Instant, StreamCoverage

_Stream = tuple[str, str]
_Waiting = Mapping[_Stream, tuple[int, float | None]]

# What is counted moves from the first of these three to the second, and is read in this order: so nothing is missed meanwhile.
_FETCHING = (
    "SELECT source, stream, count(*), min(coalesce(created, first_listed)) FROM item WHERE state = 'listed'"
    " GROUP BY source, stream"
)
_DELIVERING = (
    "SELECT i.source, i.stream, sum(CASE WHEN s.pending IS NULL THEN b.records - length(b.duplicates) / 4"
    " ELSE length(s.pending) / 4 END), min(coalesce(i.created, b.stored_at))"
    " FROM batch b JOIN item i ON i.id = b.item LEFT JOIN settlement s ON s.sink = ?1 AND s.batch = b.id"
    " WHERE b.ready AND (s.batch IS NULL OR s.pending IS NOT NULL) AND (b.only_sink IS NULL OR b.only_sink = ?1)"
    " AND i.state <> 'notice' GROUP BY i.source, i.stream"
)
_DEAD = (
    "SELECT d.source, d.stream, count(*), min(coalesce(i.created, i.first_listed, d.noticed_at)) FROM dead_letter d"
    " LEFT JOIN item i ON i.source = d.source AND i.stream = d.stream AND i.key = d.item"
    " WHERE d.state <> 'retried' AND coalesce(d.sink, '') IN ('', ?) GROUP BY d.source, d.stream"
)
_NOTHING = (0, None)


def read_coverage(file: JournalFile, sink: str) -> list[StreamCoverage]:
    """Returns how far each stream has come that was ever listed, by source and stream; ``sink`` is whose deliveries count."""
    positions = {
        (source, stream): until for source, stream, until in file.rows("SELECT source, stream, listed_until FROM stream")
    }
    fetching, delivering, dead = _waiting(file, _FETCHING), _waiting(file, _DELIVERING, sink), _waiting(file, _DEAD, sink)
    gaps: dict[_Stream, list[Gap]] = defaultdict(list)
    for source, stream, starts, ends, reason in file.rows("SELECT source, stream, starts, ends, reason FROM gap ORDER BY starts"):
        if (start := instant(starts)) and (end := instant(ends)):
            gaps[source, stream].append(Gap(start, end, reason))
    return [
        StreamCoverage(
            source=name[0],
            tenant=_tenant(file, name),
            stream=name[1],
            begin=_begin(file, name),
            until=instant(positions.get(name)),
            fetching=fetching.get(name, _NOTHING)[0],
            delivering=delivering.get(name, _NOTHING)[0],
            dead=dead.get(name, _NOTHING)[0],
            waiting_since=instant(_earliest(name, fetching, delivering, dead)),
            gaps=tuple(gaps[name]),
        )
        for name in sorted({*positions, *fetching, *delivering, *dead, *gaps})
    ]


def _waiting(file: JournalFile, sql: str, *values: str) -> _Waiting:
    return {(source, stream): (count, since) for source, stream, count, since in file.rows(sql, values) if count}


def _earliest(name: _Stream, *waiting: _Waiting) -> float | None:
    found = [since for one in waiting if (since := one.get(name, _NOTHING)[1]) is not None]
    return min(found, default=None)


def _tenant(file: JournalFile, name: _Stream) -> str:
    rows = file.rows("SELECT tenant FROM item WHERE source = ? AND stream = ? LIMIT 1", name)
    return str(rows[0][0]) if rows else ""


def _begin(file: JournalFile, name: _Stream) -> Instant | None:
    rows = file.rows("SELECT CAST(value AS REAL) FROM meta WHERE key = ?", (begin_key(*name),))
    return instant(rows[0][0]) if rows else None
