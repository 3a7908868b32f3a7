"""Reads what was wrong with records: of each source, kind and reason, and how many of them which sink has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from ualpipe.pipeline.clock import format_epoch
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.status import FlawStatus
from ualpipe.pipeline.wording import OTHER_REASONS

MAX_REASONS = 100
"""Flaws of one source that are told apart, the gravest and most common; further ones are summed up by kind."""

# Of the columns without an aggregate SQLite takes the row with the maximum.
_FLAWS = """
SELECT source, kind, reason, sink, sum(records), sum(kept), example, min(first_noted), max(last_noted) FROM (
    SELECT i.source, f.kind, f.reason, f.sink, f.records, f.records AS kept, f.example,
        f.noted_at AS first_noted, f.noted_at AS last_noted
    FROM flaw f JOIN batch b ON b.id = f.batch JOIN item i ON i.id = b.item
    UNION ALL SELECT source, kind, reason, sink, records, 0, example, first_noted, last_noted FROM flaw_past
) GROUP BY source, kind, reason, sink
"""


def read_flaws(file: JournalFile) -> list[FlawStatus]:
    """Returns the flaws of records by source: of each those that made records unmappable first, and the most common first."""
    by_source: dict[str, dict[tuple[str, str], list[Any]]] = defaultdict(lambda: defaultdict(list))
    for source, kind, reason, *row in file.rows(_FLAWS):
        by_source[source][kind, reason].append(row)
    found = [_flaw(source, *key, rows) for source, flaws in by_source.items() for key, rows in flaws.items()]
    found.sort(key=lambda flaw: (flaw.source, not flaw.is_unmappable, -flaw.records, flaw.kind, flaw.reason))
    return [flaw for source in by_source for flaw in _bounded([one for one in found if one.source == source])]


def _flaw(source: str, kind: str, reason: str, rows: Iterable[Any]) -> FlawStatus:
    """Returns one flaw, from a row for each sink and one for all; that is missing where another mapping made the rest since."""
    by_sink = {sink: values for sink, *values in rows}
    sinks = {sink: values[0] for sink, values in sorted(by_sink.items()) if sink}
    _records, _kept, *when = next(iter(by_sink.values()))
    records, kept, example, first, last = by_sink.get("", (0, 0, *when))
    return FlawStatus(source, kind, reason, records, kept, sinks, example, format_epoch(first), format_epoch(last))


def _bounded(flaws: list[FlawStatus]) -> Iterator[FlawStatus]:
    yield from flaws[:MAX_REASONS]
    rest: dict[str, list[FlawStatus]] = defaultdict(list)
    for flaw in flaws[MAX_REASONS:]:
        rest[flaw.kind].append(flaw)
    yield from (_summed(kind, alike) for kind, alike in rest.items())


def _summed(kind: str, flaws: list[FlawStatus]) -> FlawStatus:
    sinks: dict[str, int] = defaultdict(int)
    for flaw in flaws:
        for sink, records in flaw.sinks.items():
            sinks[sink] += records
    return FlawStatus(
        flaws[0].source,
        kind,
        OTHER_REASONS,
        sum(flaw.records for flaw in flaws),
        sum(flaw.kept for flaw in flaws),
        dict(sinks),
        flaws[0].example,
        min(flaw.first_seen for flaw in flaws),
        max(flaw.last_seen for flaw in flaws),
    )
