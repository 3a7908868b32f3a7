"""Listing content: windows of time, pages, and the URL of the next page. Pure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ualpipe.pipeline.clock import format_instant
from ualpipe.simulator.service.content import SimulatedBlob, stamp
from ualpipe.simulator.service.errors import Refused

LONGEST_WINDOW = timedelta(hours=24)
REACH = timedelta(days=7)

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?)?Z?", re.ASCII)
_TOKEN = re.compile(r"(\d{17})(\d{6})\$(\d{17})(\d{6})\$\w+", re.ASCII)
_SHARD = "na0022"


@dataclass(frozen=True, slots=True)
class Window:
    """A range of ``contentCreated``: start inclusive, end exclusive, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins.

    Attributes:
        page: Its number, from 0.
        after: Sequence number of the last blob listed before; 0 for none.
    """

    page: int = 0
    after: int = 0


def parse_window(query: Mapping[str, str], now: datetime, wide_windows: Literal["refuse", "partial"] = "refuse") -> Window:
    """Returns the window that a listing asks for; the last 24 hours when it names none.

    Raises:
        Refused: AF20002 (no time), AF20030 (only one of both), AF20055 (too wide, too old, upside down).
    """
    given = [query[name] for name in ("starttime", "endtime") if query.get(name)]
    if not given:
        return Window(now - LONGEST_WINDOW, now)
    if len(given) == 1:
        raise Refused("AF20030")
    start, end = parse_instant(given[0], "startTime"), parse_instant(given[1], "endTime")
    if start >= end or start < now - REACH:
        raise Refused("AF20055")
    if end - start > LONGEST_WINDOW:
        if wide_windows == "refuse":
            raise Refused("AF20055")
        end = start + LONGEST_WINDOW
    return Window(start, end)


def parse_instant(text: str, name: str) -> datetime:
    """Returns a time as the API takes it: ``2026-11-20``, ``…T08:15``, ``…T08:15:00``, with fraction and ``Z`` at will.

    Raises:
        Refused: AF20002; ``+00:00`` too, whose plus sign arrives as a blank unless it was quoted.
    """
    with contextlib.suppress(ValueError):
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    raise Refused("AF20002", name=name, expected="datetime")


def parse_position(token: str | None) -> Position:
    """Returns where the page of a ``nextPage`` value begins.

    Raises:
        Refused: AF20031.
    """
    if token is None:
        return Position()
    if not (match := _TOKEN.fullmatch(token)):
        raise Refused("AF20031", value=token)
    return Position(page=int(match[4]), after=int(match[2]))


def in_window(blobs: Sequence[SimulatedBlob], window: Window, now: datetime) -> list[SimulatedBlob]:
    """Returns the blobs of a window that are available by now, in their order."""
    return [blob for blob in blobs if window.start <= blob.created < window.end and blob.listed_at <= now]


def cut_page(blobs: Sequence[SimulatedBlob], position: Position, size: int) -> tuple[Sequence[SimulatedBlob], Position | None]:
    """Returns one page, and where the next page begins; None after the last.

    Args:
        blobs: All blobs of the window, in their order.
        position: Where the page begins.
        size: Most blobs in it; 0 makes an empty page.

    Raises:
        Refused: AF20031: the page does not follow on a blob of this window.
    """
    begin = 0
    if position.after:
        found = [at for at, blob in enumerate(blobs) if blob.sequence == position.after]
        if not found:
            raise Refused("AF20031", value=str(position.after))
        begin = found[0] + 1
    page = blobs[begin : begin + size]
    if begin + size >= len(blobs):
        return page, None
    return page, Position(position.page + 1, page[-1].sequence if page else position.after)


def next_page_uri(feed: str, content_type: str, window: Window, position: Position) -> str:
    """Returns the next page's URL in the field's shape: lower-case names, seven decimals, no PublisherIdentifier.

    Args:
        feed: URL of the tenant's feed, up to ``activity/feed``.
        content_type: The content type that is listed.
        window: The window that is listed.
        position: Where the next page begins.
    """
    token = f"{stamp(window.end, position.after)}${stamp(window.start, position.page)}${_SHARD}"
    times = f"endtime={_seven_decimals(window.end)}&starttime={_seven_decimals(window.start)}"
    return f"{feed}/subscriptions/content?contenttype={content_type}&{times}&nextpage={token}"


def content_item(blob: SimulatedBlob, feed: str) -> dict[str, str]:
    """Returns one item of a listing."""
    return {
        "contentUri": f"{feed}/audit/{blob.content_id}",
        "contentId": blob.content_id,
        "contentType": blob.content_type,
        "contentCreated": format_instant(blob.created),
        "contentExpiration": format_instant(blob.expires),
    }


def _seven_decimals(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{instant.microsecond:06d}0Z"
