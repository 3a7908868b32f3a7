"""Which period a database covers: what pipelines wrote beside their events, a row for each stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.stages import Gap, Instant, StreamCoverage
from ualpipe.sinks.event_fields import parse_instant
from ualpipe.sinks.sql.quoting import name

if TYPE_CHECKING:
    import psycopg


def write_coverage(sql: psycopg.Connection[Any], schema: str, streams: Sequence[StreamCoverage], now: datetime) -> None:
    """Writes what a pipeline says of its streams, in the place of what it said before."""
    for stream in streams:
        sql.execute(
            f'INSERT INTO {name(schema)}."coverage" ("source", "tenant", "stream", "said_at", "said") '
            "VALUES (%s, %s, %s, %s, %s) "
            'ON CONFLICT ("source", "tenant", "stream") DO UPDATE SET "said_at" = excluded."said_at", "said" = excluded."said"',
            [stream.source, stream.tenant, stream.stream, now, orjson.dumps(asdict(stream)).decode()],
        )


def read_coverage(sql: psycopg.Connection[Any], schema: str) -> tuple[Sequence[StreamCoverage], Mapping[str, Instant]]:
    """Returns what was said last of each stream, and when it was, by source."""
    streams, said_at = [], {}
    rows = sql.execute(
        f'SELECT "source", "said_at", "said" FROM {name(schema)}."coverage" ORDER BY "said_at", "source", "stream"'
    )
    for source, at, said in rows:
        if (stream := _stream(said)) is not None:
            streams.append(stream)
            said_at[source] = at
    return streams, said_at


def _stream(said: str) -> StreamCoverage | None:
    """Returns what a row says; None where it is none of ours."""
    try:
        found = read_object(said.encode())
        return StreamCoverage(
            source=str(found["source"]),
            tenant=str(found["tenant"]),
            stream=str(found["stream"]),
            begin=parse_instant(found["begin"]),
            until=parse_instant(found["until"]),
            fetching=int(found["fetching"]),
            delivering=int(found["delivering"]),
            dead=int(found["dead"]),
            waiting_since=parse_instant(found["waiting_since"]),
            gaps=tuple(_gap(gap) for gap in found["gaps"]),
        )
    except (UnreadableJson, KeyError, TypeError, ValueError):
        return None


def _gap(found: Mapping[str, Any]) -> Gap:
    start, end = parse_instant(found["start"]), parse_instant(found["end"])
    if start is None or end is None:
        raise ValueError("a gap without an end")
    return Gap(start, end, str(found["reason"]))
