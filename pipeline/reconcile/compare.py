"""Compares what a service still lists with the ledger and the settlement: did we get everything? Pure.

A work item is missing until it is fetched and every sink has settled its records, or it is a dead letter with its reason.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

HOUR_S = 3600

Reason = Literal["not in the ledger", "not fetched", "records are gone", "not delivered"]
Place = tuple[str, str, str]
"""Source, stream and key of a work item."""


@dataclass(frozen=True, slots=True)
class Period:
    """The period that is compared, in epoch seconds: ``start`` inclusive, ``end`` exclusive."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class ListedItem:
    """A work item that the service lists; ``at`` is when its content became available, in epoch seconds."""

    source: str
    tenant: str
    stream: str
    key: str
    at: float

    @property
    def place(self) -> Place:
        return self.source, self.stream, self.key


@dataclass(frozen=True, slots=True)
class SinkCount:
    """What became of an item's records at one sink: ``owed`` are neither delivered nor filtered nor dead."""

    delivered: int = 0
    owed: int = 0


@dataclass(frozen=True, slots=True)
class KnownItem(ListedItem):
    """A work item as the journal knows it.

    Attributes:
        id: Its number in the ledger.
        state: ``listed``, ``fetched``, ``dead`` or ``gone``.
        records: Records in it, duplicates included.
        is_lost: It was fetched, but its records are not in the journal, and no retention has removed them; or they were fetched
            once more for that reason and wait to be sent.
        is_refetched: Its records were fetched once more.
        is_removed: It was fetched, and retention has removed records that every sink had settled.
        dead_letters: How many dead letters it has.
        by_sink: What each sink has of its records, by the name of the sink.
    """

    id: int
    state: str
    records: int = 0
    duplicates: int = 0
    is_lost: bool = False
    is_refetched: bool = False
    is_removed: bool = False
    dead_letters: int = 0
    by_sink: Mapping[str, SinkCount] = field(default_factory=dict)

    @property
    def missing(self) -> Reason | None:
        """Why the item is not complete; None when it is."""
        if self.state == "listed":
            return "not fetched"
        if self.is_lost:
            return "records are gone"
        return "not delivered" if any(count.owed for count in self.by_sink.values()) else None


@dataclass(frozen=True, slots=True)
class GapPeriod:
    """A period of one stream that can no longer be fetched, in epoch seconds."""

    source: str
    stream: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Missing:
    """A work item that is not complete.

    Attributes:
        owed: By sink, how many records it has not got.
    """

    source: str
    tenant: str
    stream: str
    key: str
    at: float
    reason: Reason
    owed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HourRow:
    """One hour of one stream, or several hours.

    Attributes:
        hour: Its beginning, in epoch seconds.
        last: Beginning of its last hour.
        listed: Work items that the service lists, or listed once.
        fetched: Work items that were fetched.
        records: Records in them, duplicates included.
        delivered: Records, by sink.
        dead: Dead letters: records, and work items that were given up as a whole.
        missing: Work items that are not complete.
        removed: Work items whose records retention has removed: they count as delivered no more.
        gap_s: Seconds that can no longer be fetched.
    """

    source: str
    tenant: str
    stream: str
    hour: int
    last: int
    listed: int = 0
    fetched: int = 0
    records: int = 0
    duplicates: int = 0
    delivered: Mapping[str, int] = field(default_factory=dict)
    dead: int = 0
    missing: int = 0
    removed: int = 0
    gap_s: float = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has to look at the hour by itself."""
        return not (self.missing or self.dead)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared.

    Attributes:
        rows: By source, stream and hour; hours without anything are left out.
        missing: The same order.
    """

    rows: Sequence[HourRow]
    missing: Sequence[Missing]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, neither to be fetched or delivered yet nor for good."""
        return not self.missing and not any(row.gap_s for row in self.rows)


def compare(
    listed: Iterable[ListedItem], entries: Iterable[KnownItem], gaps: Iterable[GapPeriod], sinks: Sequence[str], period: Period
) -> Comparison:
    """Compares a listing with the journal.

    Args:
        listed: What the service lists now; may name an item twice.
        entries: The journal's items of the period, and those that are listed.
        gaps: Periods that can no longer be fetched.
        sinks: Names of the sinks that have to have everything.
        period: The period that was asked for. A missing item counts whatever its time: nothing that was found is kept back.
    """
    known = {entry.place: entry for entry in entries}
    unknown = {item.place: item for item in listed if item.place not in known}
    found = [*known.values(), *unknown.values()]
    missing = sorted(filter(None, map(_missing, found)), key=lambda one: (one.source, one.stream, one.at, one.key))
    incomplete = {(one.source, one.stream, one.key) for one in missing}
    rows = [_row_of(item, sinks) for item in found if item.at >= period.start or item.place in incomplete]
    rows += _gap_rows(gaps, {item.source: item.tenant for item in found}, sinks, period)
    rows.sort(key=lambda row: (row.source, row.stream, row.hour))
    by_hour = itertools.groupby(rows, key=lambda row: (row.source, row.stream, row.hour))
    return Comparison([_sum(list(hour)) for _place, hour in by_hour], missing)


def fold(rows: Iterable[HourRow]) -> list[HourRow]:
    """Puts the quiet hours of a stream together, day by day (UTC), for people; a gap stays apart from what is not in it."""

    def part(numbered: tuple[int, HourRow]) -> tuple[object, ...]:
        number, row = numbered
        own = -1 if row.is_quiet else number  # an hour with something to look at stays by itself
        return row.source, row.stream, row.hour // (24 * HOUR_S), row.gap_s > 0, own

    return [_sum([row for _number, row in same]) for _part, same in itertools.groupby(enumerate(rows), key=part)]


def hour_text(row: HourRow) -> str:
    """Returns the hours of a row (``2026-11-20 08h``, ``2026-11-20 00-07h``), UTC."""
    first, last = (datetime.fromtimestamp(hour, UTC) for hour in (row.hour, row.last))
    return f"{first:%Y-%m-%d %H}h" if row.hour == row.last else f"{first:%Y-%m-%d %H}-{last:%H}h"


def _missing(item: ListedItem) -> Missing | None:
    reason = item.missing if isinstance(item, KnownItem) else "not in the ledger"
    if reason is None:
        return None
    by_sink = item.by_sink if isinstance(item, KnownItem) else {}
    owed = {sink: count.owed for sink, count in by_sink.items() if count.owed}
    return Missing(item.source, item.tenant, item.stream, item.key, item.at, reason, owed)


def _row_of(item: ListedItem, sinks: Sequence[str]) -> HourRow:
    hour = _hour(item.at)
    empty = HourRow(item.source, item.tenant, item.stream, hour, hour, listed=1, delivered=dict.fromkeys(sinks, 0))
    if not isinstance(item, KnownItem):
        return dataclasses.replace(empty, missing=1)
    return dataclasses.replace(
        empty,
        fetched=int(item.state == "fetched"),
        records=item.records,
        duplicates=item.duplicates,
        delivered={sink: item.by_sink.get(sink, SinkCount()).delivered for sink in sinks},
        dead=max(item.dead_letters, int(item.state in ("dead", "gone"))),
        missing=int(item.missing is not None),
        removed=int(item.is_removed),
    )


def _gap_rows(gaps: Iterable[GapPeriod], tenants: Mapping[str, str], sinks: Sequence[str], period: Period) -> list[HourRow]:
    """Cuts gaps into hours."""
    rows = []
    for gap in gaps:
        start, end = max(gap.start, period.start), min(gap.end, period.end)
        for hour in range(_hour(start), math.ceil(end) if end > start else 0, HOUR_S):
            seconds = min(end, hour + HOUR_S) - max(start, hour)
            row = HourRow(gap.source, tenants.get(gap.source, ""), gap.stream, hour, hour, delivered=dict.fromkeys(sinks, 0))
            rows.append(dataclasses.replace(row, gap_s=seconds))
    return rows


def _sum(rows: Sequence[HourRow]) -> HourRow:
    """Adds up rows of one stream, which are in the order of time."""
    first, last = rows[0], rows[-1]
    counts = ("listed", "fetched", "records", "duplicates", "dead", "missing", "removed", "gap_s")
    return dataclasses.replace(
        first,
        last=last.last,
        delivered={sink: sum(row.delivered[sink] for row in rows) for sink in first.delivered},
        **{name: sum(getattr(row, name) for row in rows) for name in counts},
    )


def _hour(at: float) -> int:
    return math.floor(at) // HOUR_S * HOUR_S
