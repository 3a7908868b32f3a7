"""The operations of the Management Activity API over HTTP: authorised, within the request budget, with errors in our classes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import urllib3

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.entra.tokens import Tokens
from ualpipe.clients.errors import as_source_errors, source_error
from ualpipe.clients.http import TRANSPORT_ERRORS, Session, unreachable
from ualpipe.clients.urls import difference, is_served_by, resolved, shown_host
from ualpipe.pipeline.errors import ContentUndecodable, SourceUnavailable
from ualpipe.pipeline.records.cutting import NotAnArray, entries_of
from ualpipe.pipeline.stages import Budget, Instant
from ualpipe.sources.management_activity.body import PIECE_BYTES, Room, bounded, decoded, whole_array
from ualpipe.sources.management_activity.clouds import Cloud
from ualpipe.sources.management_activity.errors import error_of, read_error
from ualpipe.sources.management_activity.urls import with_publisher
from ualpipe.sources.management_activity.windows import Window, format_time

MAX_PAGES = 1000  # of one listing: more means that the service sends us round in circles
MAX_LISTING_BYTES = 16 * 1024 * 1024  # of one page, some 40,000 entries
_ERROR_BYTES = 64 * 1024  # of an answer that is an error; a stack trace takes a few thousand
_NEXT_PAGE = ("NextPageUri", "NextPageUrl")


@dataclass(slots=True)
class ApiClient:
    """Talks to the API for one tenant. Thread-safe.

    Attributes:
        feed: URL below which all operations of the tenant stand.
        publisher_id: Who asks; the service counts requests by it.
        max_blob_bytes: Longest content blob, decompressed, all of its pages together.
        now: The time of day, UTC.
        on_answer: Called for each good answer, to count it.
        skew: How far the service's clock is ahead of ours, by its latest answer; None before the first.
    """

    cloud: Cloud
    feed: str
    publisher_id: str
    max_blob_bytes: int
    tokens: Tokens
    session: Session
    budget: Budget
    now: Callable[[], Instant]
    on_answer: Callable[[], None]
    skew: timedelta | None = None

    def log_in(self) -> str:
        """Returns a token for the API.

        Raises:
            SourceDenied: The login service refuses the app, or a file of its certificate can't be used.
            SourceUnavailable, SourceThrottled: The login service gives no answer for now.
        """
        with as_source_errors():
            return self.tokens.get()

    def subscriptions(self) -> list[dict[str, Any]]:
        """Returns the subscriptions of the tenant, enabled or not."""
        url = f"{self.feed}/subscriptions/list"
        with self._answer("GET", url, "listing the subscriptions") as answer:
            return self._read_array(answer, "listing the subscriptions")

    def start(self, content_type: str) -> None:
        """Starts a subscription, also one that was stopped.

        Raises:
            AlreadyEnabled: The subscription is running.
        """
        url = f"{self.feed}/subscriptions/start?contentType={content_type}"
        with self._answer("POST", url, f"starting the subscription {content_type}"):
            pass

    def listing(self, content_type: str, window: Window) -> Iterator[list[Any]]:
        """Yields the content items of a window, page by page; a page may be empty and yet have a next one.

        Raises:
            NotSubscribed: There is no subscription, or it is disabled.
            PageExpired: The window has to be listed from its beginning.
        """
        what = f"listing {content_type} of {window}"
        times = f"startTime={format_time(window.start)}&endTime={format_time(window.end)}"
        for answer in self._pages(f"{self.feed}/subscriptions/content?contentType={content_type}&{times}", what):
            yield self._read_array(answer, what)

    def blob(self, uri: str, what: str) -> Iterator[Iterator[bytes]]:
        """Yields the body of a content blob in pieces; a further body for each further page, should it have any.

        A body has to be read, or given up, before the next is asked for. All together have ``max_blob_bytes``.
        """
        room = Room(self.max_blob_bytes, "max_blob_size")
        for answer in self._pages(uri, what, is_blob=True):
            yield self._pieces(answer, what, room)

    def _pages(self, url: str, what: str, *, is_blob: bool = False) -> Iterator[urllib3.BaseHTTPResponse]:
        seen: set[str] = set()
        following: str | None = resolved(self.feed, url)
        while following is not None:
            if following in seen or len(seen) >= MAX_PAGES:
                raise SourceUnavailable(f"{what}: after {len(seen)} pages the next one was already read, or there is no end")
            seen.add(following)
            with self._answer("GET", following, what, is_blob=is_blob) as answer:
                yield answer
                named = next((answer.headers[name] for name in _NEXT_PAGE if answer.headers.get(name)), None)
                following = resolved(following, named) if named else None

    @contextlib.contextmanager
    def _answer(self, method: str, url: str, what: str, *, is_blob: bool = False) -> Iterator[urllib3.BaseHTTPResponse]:
        """Sends a request, and sends it again with a new token where the first was refused.

        Raises:
            SourceError: No answer came, or not a good one; or the URL leads elsewhere: no token is sent there.
        """
        if not is_served_by(self.cloud.api, url):
            raise SourceUnavailable(
                f"{what}: the service names the address {shown_host(url)}, which is not {self.cloud.api}:"
                f" nothing was sent there: {difference(self.cloud.api, url)}"
            )
        url = with_publisher(url, self.publisher_id)
        token = self.log_in()
        answer = self._send(method, url, token, what)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            answer.close()
            with as_source_errors():
                token = self.tokens.renew(token)
            answer = self._send(method, url, token, what)
        with contextlib.closing(answer):
            self._note_skew(answer)
            if answer.status != HTTPStatus.OK:
                raise error_of(self._summary(answer), what, now=self.now(), is_blob=is_blob)
            self.on_answer()
            yield answer

    def _send(self, method: str, url: str, token: str, what: str) -> urllib3.BaseHTTPResponse:
        self.budget.take()
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "ualpipe",
        }
        try:
            return self.session.ask(method, url, headers)
        except TRANSPORT_ERRORS as exc:
            raise source_error(unreachable(exc, what)) from exc

    def _read_array(self, answer: urllib3.BaseHTTPResponse, what: str) -> list[Any]:
        pieces = decoded(_parts(answer, what), _encoding(answer), what)
        try:
            body = b"".join(bounded(pieces, Room(MAX_LISTING_BYTES), what))
            return entries_of(body)
        except NotAnArray as exc:
            raise error_of(HttpAnswer(answer.status, answer.headers, body), what, now=self.now()) from exc
        except ContentUndecodable as exc:
            raise SourceUnavailable(f"{what}: the answer is no list of this service: {exc}") from exc

    def _pieces(self, answer: urllib3.BaseHTTPResponse, what: str, room: Room) -> Iterator[bytes]:
        pieces = whole_array(_parts(answer, what), _encoding(answer), room=room, what=what)
        head = next(pieces)
        if head.lstrip()[:1] == b"{" and read_error(head)[0]:
            raise error_of(HttpAnswer(answer.status, answer.headers, head), what, now=self.now(), is_blob=True)
        yield head
        yield from pieces

    def _summary(self, answer: urllib3.BaseHTTPResponse) -> HttpAnswer:
        """Reads the beginning of a refusal; a part that can't be read does not matter."""
        body = b""
        with contextlib.suppress(SourceUnavailable):
            for piece in decoded(_parts(answer, ""), _encoding(answer), ""):
                body += piece
                if len(body) >= _ERROR_BYTES:
                    break
        return HttpAnswer(answer.status, answer.headers, body[:_ERROR_BYTES])

    def _note_skew(self, answer: urllib3.BaseHTTPResponse) -> None:
        with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
            self.skew = parsedate_to_datetime(answer.headers["Date"]) - self.now()


def _encoding(answer: urllib3.BaseHTTPResponse) -> str:
    return str(answer.headers.get("Content-Encoding", ""))


def _parts(answer: urllib3.BaseHTTPResponse, what: str) -> Iterator[bytes]:
    """Yields a body as it comes from the wire; urllib3 compares it with Content-Length."""
    try:
        yield from answer.stream(PIECE_BYTES, decode_content=False)
    except TRANSPORT_ERRORS as exc:
        raise source_error(unreachable(exc, f"{what}: the body was cut off")) from exc
