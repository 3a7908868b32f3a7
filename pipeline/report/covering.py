"""What an answer covers of the period that is asked for, and where it is blind. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from ualpipe.pipeline.report.contract import Coverage
from ualpipe.pipeline.report.period import Period
from ualpipe.pipeline.stages import Instant, StreamCoverage

THROTTLED_FOR = timedelta(hours=24)
"""So long no reads of a mailbox are recorded once it was throttled."""
AVAILABLE_WITHIN = timedelta(hours=24)
"""How long after an act its record may become available; most do within one and a half hours."""
FRESH = timedelta(hours=1)
"""A listing that is no older is as good as now, where no end is asked for."""

State = Literal["complete", "partial", "unknown"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which something of a mailbox is not recorded."""

    mailbox: str
    since: Instant
    until: Instant


@dataclass(frozen=True, slots=True)
class GapOf:
    """A period of a stream whose content could not be fetched, and that touches the period asked for."""

    source: str
    tenant: str
    stream: str
    since: Instant
    until: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class Covered:
    """What is covered of a period.

    Attributes:
        state: ``complete`` where nothing is known to be missing, ``partial`` where something is, ``unknown`` where nobody says.
        since: First instant that all streams cover; None where that is not known, or nothing is.
        until: End of what all streams cover; None likewise.
        first: Time of the oldest event in the store, None in an empty one.
        last: Time of the newest one.
        events: How many there are.
        streams: The streams that fill the store.
        said_at: When the pipelines that do said so, by pipeline.
        unknown_tenants: Tenants with events of which no pipeline says anything.
        gaps: Periods that can no longer be fetched.
        throttled: Spans in which reads of mailboxes are not recorded.
        is_early: Records of the end of the period may still become available.
    """

    state: State
    since: Instant | None = None
    until: Instant | None = None
    first: Instant | None = None
    last: Instant | None = None
    events: int = 0
    streams: Sequence[StreamCoverage] = ()
    said_at: Mapping[str, Instant] | None = None
    unknown_tenants: Sequence[str] = ()
    gaps: Sequence[GapOf] = ()
    throttled: Sequence[Span] = ()
    is_early: bool = False

    @property
    def waiting(self) -> Sequence[StreamCoverage]:
        """The streams of which something was listed and is not in the store."""
        return [one for one in self.streams if one.fetching or one.delivering or one.dead]


def cover(
    period: Period, coverage: Coverage, tenants: Sequence[str], throttled: Iterable[tuple[str, Instant]], now: Instant
) -> Covered:
    """Returns what is covered.

    Args:
        period: What is asked for.
        coverage: What the store says, of the tenants that are asked for.
        tenants: These tenants.
        throttled: Mailboxes that were throttled, and when, sorted.
        now: The present.
    """
    known = {one.tenant for one in coverage.streams}
    unknown = [] if "" in known else [tenant for tenant in tenants if tenant not in known]
    since, until = _common(period, coverage, now) if coverage.streams and not unknown else (None, None)
    gaps = list(_gaps(period, coverage.streams))
    found = Covered(
        state="unknown",
        since=since,
        until=until,
        first=coverage.first,
        last=coverage.last,
        events=coverage.events,
        streams=coverage.streams,
        said_at=coverage.said_at,
        unknown_tenants=unknown,
        gaps=gaps,
        throttled=list(_clipped(_spans(throttled), period)),
        is_early=_is_early(period, coverage, now),
    )
    return _with_state(found, period, now) if coverage.streams and not unknown else found


def _with_state(found: Covered, period: Period, now: Instant) -> Covered:
    begin = period.since or found.first  # where no begin is asked for, all that the store holds is
    is_begun = found.since is not None and (begin is None or found.since <= begin)
    wanted = period.until or now - FRESH
    is_ended = found.until is not None and found.until >= wanted
    is_complete = is_begun and is_ended and not found.gaps and not found.waiting
    return replace(found, state="complete" if is_complete else "partial")


def _is_early(period: Period, coverage: Coverage, now: Instant) -> bool:
    """Returns whether streams were not listed for so long after the period's end that all of its records would have come."""
    return any(one.until and one.until < (period.until or now) + AVAILABLE_WITHIN for one in coverage.streams)


def _common(period: Period, coverage: Coverage, now: Instant) -> tuple[Instant | None, Instant | None]:
    """Returns which part of the period all streams cover; None twice where they have no part of it in common.

    What lies before the oldest event counts as not covered: whether the store was there already is not known.
    """
    ends = [one.until for one in coverage.streams]
    if coverage.first is None or not all(ends):
        return None, None
    begins = [coverage.first, *(one.begin for one in coverage.streams if one.begin), *([period.since] if period.since else [])]
    since = max(begins)
    until = min([period.until or now, *(end for end in ends if end)])
    return (since, until) if since < until else (None, None)


def _gaps(period: Period, streams: Iterable[StreamCoverage]) -> Iterator[GapOf]:
    for one in streams:
        for gap in one.gaps:
            if (period.since is None or gap.end > period.since) and (period.until is None or gap.start < period.until):
                yield GapOf(one.source, one.tenant, one.stream, gap.start, gap.end, gap.reason)


def _spans(throttled: Iterable[tuple[str, Instant]]) -> Iterator[Span]:
    """Yields the spans of each mailbox, those that touch as one."""
    current: Span | None = None
    for mailbox, time in throttled:
        until = time + THROTTLED_FOR
        if current and current.mailbox == mailbox and time <= current.until:
            current = Span(mailbox, current.since, until)
            continue
        if current:
            yield current
        current = Span(mailbox, time, until)
    if current:
        yield current


def _clipped(spans: Iterable[Span], period: Period) -> Iterator[Span]:
    for span in spans:
        since = max(span.since, period.since) if period.since else span.since
        until = min(span.until, period.until) if period.until else span.until
        if since < until:
            yield Span(span.mailbox, since, until)
