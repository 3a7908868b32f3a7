"""Window arithmetic of the Management Activity API: what to list, in pieces that the service accepts. Pure.

The service compares windows with the time a blob became available: start inclusive, end exclusive, whole seconds, UTC.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RETENTION = timedelta(days=7)  # the service refuses a start further back
MARGIN = timedelta(minutes=5)  # a request that waited in line must not age past the limit
LONGEST_WINDOW = timedelta(hours=24)  # a wider one may be answered in part, with status 200
RESOLUTION = timedelta(seconds=1)  # of the times in a query
SHORTEST_REACH = timedelta(minutes=1)  # so that no setting or clock makes an empty window
LATE_EVERY = timedelta(hours=1)
CLOCK_TOLERANCE = timedelta(minutes=5)  # how far our clock may be off; a listing further in the future: it was set back


@dataclass(frozen=True, slots=True)
class Window:
    """A period, UTC, whole seconds: ``start`` inclusive, ``end`` exclusive."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{format_time(self.start)} to {format_time(self.end)}"


def earliest(now: datetime) -> datetime:
    """Returns the first instant that the service still lists, with a margin."""
    return now - RETENTION + MARGIN


def reach(now: datetime, since: datetime | None, *, start: timedelta, lookback: timedelta) -> Window:
    """Returns the period to list: up to the end of the current second, so that what is there by now is in it.

    Args:
        now: UTC.
        since: End of the last complete listing; None on the first run. Far in the future only when the clock was set back
            meanwhile: nothing is known then, and all that the service still has is listed.
        start: How far the first run reaches back.
        lookback: How far a listing reaches back before ``since``: blobs turn up late, with an earlier time. At least
            ``CLOCK_TOLERANCE``, as ``since`` is by a clock of ours that may have been ahead of the service's.
    """
    end = now.replace(microsecond=0) + RESOLUTION
    if since is None:
        begin = end - start
    elif since > now + CLOCK_TOLERANCE:
        begin = earliest(now)
    else:
        begin = min(since, now) - max(lookback, CLOCK_TOLERANCE)
    begin = max(min(begin, now - SHORTEST_REACH), earliest(now))
    return Window(begin.replace(microsecond=0), end)


def lost(now: datetime, since: datetime | None) -> Window | None:
    """Returns the period after the last listing that the service no longer lists; None when there is none."""
    if since is None or since >= earliest(now):
        return None
    return Window(since, earliest(now))


def late(now: datetime, since: datetime | None, listed: Window, stream: str) -> Window | None:
    """Returns the period before what is listed now, down to the oldest that the service has; None except once an hour.

    After incidents of the service content has turned up days late. To look for it costs a few requests. The moment follows
    from the times alone: a pipeline that is started every few minutes and keeps nothing in memory looks once an hour, too.

    Args:
        now: UTC.
        since: End of the last complete listing; None on the first run, which does not look.
        listed: The period that is listed anyway.
        stream: Tenant and content type: each has a moment of its own in the hour.
    """
    begin = earliest(now).replace(microsecond=0)
    if since is None or begin >= listed.start or _interval(since, stream) == _interval(now, stream):
        return None
    return Window(begin, listed.start)


def _interval(instant: datetime, stream: str) -> int:
    """Returns the number of the hour that an instant lies in, as hours are counted for a stream."""
    every_s = int(LATE_EVERY.total_seconds())
    return int(instant.timestamp() + zlib.crc32(stream.encode()) % every_s) // every_s


def split_newest_first(whole: Window, longest: timedelta = LONGEST_WINDOW) -> list[Window]:
    """Cuts a period into pieces that touch without overlap, the newest first: live before back-fill."""
    pieces = []
    end = whole.end
    while end > whole.start:
        pieces.append(Window(max(end - longest, whole.start), end))
        end -= longest
    return pieces


def format_time(instant: datetime) -> str:
    """Returns the form that the service takes in a query: UTC without zone, as a ``+`` would be read as a blank."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
