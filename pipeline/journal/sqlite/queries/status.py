"""Reads the status of a journal, also beside a running pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ualpipe.pipeline.clock import format_epoch, format_instant
from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.journal.dead_letter_limits import beyond
from ualpipe.pipeline.journal.sqlite.columns import instant
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.notes import read_conditions, read_run, read_standing_still
from ualpipe.pipeline.journal.sqlite.queries.duplicates import read_duplicates
from ualpipe.pipeline.journal.sqlite.queries.flaws import read_flaws
from ualpipe.pipeline.journal.sqlite.state_dir.generation import SET_BACK
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME
from ualpipe.pipeline.journal.sqlite.state_dir.ownership import look_who_has
from ualpipe.pipeline.journal.status import (
    DriftStatus,
    GapStatus,
    IdleCondition,
    RunStatus,
    SinkStatus,
    SourceStatus,
    Status,
    StreamStatus,
)
from ualpipe.pipeline.observe.backlog import SHORTEST_S, WINDOW_S, Backlog

SET_BACK_SHOWN_S = 7 * 24 * 3600.0
"""For so long `status` says that the journal was set back: what came twice for it is no older than the service lists."""


def read_status(file: JournalFile, sinks: Sequence[str], limits: DeadLetterOptions | None = None) -> Status:
    """Reads the status of a journal.

    Args:
        file: An open journal file.
        sinks: Configured sinks, also those that have not settled anything.
        limits: Limits of dead letters; None for none.
    """
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
        beyond_limits=beyond(DeadLetters(file, "").totals(), limits, file.clock.now()) if limits else [],
        standing_still=read_standing_still(file),
        flaws=read_flaws(file),
        idle_conditions=[
            IdleCondition(place, count.verdict, count.seen, format_epoch(count.since))
            for place, count in sorted(read_conditions(file).items())
            if count.is_told
        ],
        set_back=file.set_back or read_set_back(file),
        run=_run(file),
    )


def _run(file: JournalFile) -> RunStatus:
    """Returns whether a pipeline runs, and what it noted when it began; of one that could not note that its number is known."""
    is_running, process = look_who_has(file.dir)
    last_written = None
    with suppress(OSError):
        last_written = format_epoch((file.dir / MARK_NAME).stat().st_mtime)
    noted = read_run(file)
    if noted is None or (is_running and process is not None and process != noted.process):
        return RunStatus(is_running, process, last_written=last_written)
    return RunStatus(is_running, process, format_epoch(noted.began), noted.version, noted.is_bounded, last_written)


def read_set_back(file: JournalFile) -> str:
    """Returns when and how the journal was last found set back, in words; empty where that is long ago, or never was."""
    rows = file.rows("SELECT value FROM meta WHERE key = ?", (SET_BACK,))
    at, _space, how = rows[0][0].partition(" ") if rows else ("0", "", "")
    return f"{_text(float(at))}: {how}" if file.now() - float(at) < SET_BACK_SHOWN_S else ""


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


def _streams(file: JournalFile) -> list[StreamStatus]:
    """Returns the sums of each stream, of work items that were removed from the ledger, too."""
    rows = file.rows(
        "SELECT source, stream, (SELECT listed_until FROM stream s WHERE s.source = n.source AND s.stream = n.stream),"
        " sum(waiting), sum(fetched), sum(dead), sum(gone), sum(records), sum(duplicates),"
        " (SELECT e.error FROM item e WHERE e.source = n.source AND e.stream = n.stream AND e.error IS NOT NULL"
        "  ORDER BY e.id DESC LIMIT 1), sum(conflicts) FROM ("
        " SELECT source, stream, sum(state = 'listed') AS waiting, sum(state = 'fetched') AS fetched,"
        "  sum(state = 'dead') AS dead, sum(state = 'gone') AS gone,"
        "  coalesce(sum(records), 0) AS records, coalesce(sum(duplicates), 0) AS duplicates,"
        "  sum(conflicts) AS conflicts"
        "  FROM item GROUP BY source, stream"
        " UNION ALL SELECT source, stream, 0, fetched, dead, gone, records, duplicates, conflicts FROM item_past"
        " UNION ALL SELECT source, stream, 0, 0, 0, 0, 0, 0, 0 FROM stream"
        ") n GROUP BY source, stream ORDER BY source, stream"
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
