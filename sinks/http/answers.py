"""What an answer means: all events were taken, some event is refused, or it is no event's fault. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.clients.urls import shown_host
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.records.json_reader import read_json
from ualpipe.pipeline.wording import LONGEST_READ, shorten
from ualpipe.sinks.http.options import HttpSinkConfig

MAX_REASON = 200  # characters of a server's own words that go into an error of ours
_WEB_PAGE = re.compile(rb"\s*+(?:\xef\xbb\xbf)?+\s*+<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_WANTS_TLS = re.compile(rb"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server|requires? TLS", re.IGNORECASE)
_MAX_STEPS = 50


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server takes not all events of a request, and one of them, or how many they are, may be why.

    Attributes:
        text: What it says.
        is_too_large: It is the length of the request.
    """

    text: str
    is_too_large: bool = False


@dataclass(frozen=True, slots=True)
class Success:
    """What says that all events were taken.

    Attributes:
        statuses: HTTP statuses; None for 200 to 299.
        pointer: JSON pointer into the answer; None where its body does not count.
        value: What has to stand there.
    """

    statuses: frozenset[int] | None = None
    pointer: str | None = None
    value: str | int | bool | None = None

    @classmethod
    def of(cls, config: HttpSinkConfig) -> Success:
        """Returns what the options of a sink say."""
        statuses = frozenset(config.success_statuses) if config.success_statuses else None
        return cls(statuses, config.success_pointer, config.success_value)

    def has_status(self, status: int) -> bool:
        """Returns whether a status is one of success."""
        return status in self.statuses if self.statuses is not None else 200 <= status < 300


def judged(answer: HttpAnswer, success: Success, now: datetime) -> Refusal | None:
    """Returns why events of a request were refused; None where all were taken.

    Args:
        answer: The answer, of the server or of whatever stands between.
        success: What says that all events were taken.
        now: The present, for a ``Retry-After`` that is a date.

    Raises:
        SinkError: It is no event's fault: the server is in trouble, asks for a pause, or somebody has to act.
    """
    if success.has_status(answer.status):
        return _of_body(answer, success)
    status, text = answer.status, _said(answer)
    if status in _DENIED:
        raise SinkDenied(f"{text}: {_DENIED[status]}")
    if status == 413:
        return Refusal(text, is_too_large=True)
    if status == 429 or (status == 503 and retry_after_s(answer.headers, now) is not None):
        raise SinkThrottled(f"{text}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
    if status in (408, 425) or status >= 500:
        raise SinkUnavailable(text)
    if status >= 400 and not _WANTS_TLS.search(answer.body[:LONGEST_READ]):
        return Refusal(text)
    raise _of_other(answer, text)


def _of_other(answer: HttpAnswer, text: str) -> SinkError:
    if answer.status >= 400:
        return SinkDenied(f"{text}: the server speaks TLS at this port: `url` has to begin with https://")
    if answer.status >= 300:
        leads = answer.headers.get("location", "")
        where = f" to {shown_host(leads)}" if leads else ""
        return SinkDenied(f"HTTP {answer.status}: the server leads elsewhere{where}: give the final address as `url`")
    return SinkDenied(f"{text}: not one of `success_statuses`")


def _of_body(answer: HttpAnswer, success: Success) -> Refusal | None:
    if success.pointer is None:
        if _WEB_PAGE.match(answer.body[:LONGEST_READ]):
            raise SinkDenied(
                f"HTTP {answer.status} with a web page, as log-in pages and proxies send: check `url`, and what stands between"
            )
        return None
    try:
        found = _at(read_json(answer.body), success.pointer)
    except (ValueError, LookupError):
        raise SinkUnavailable(f"{_said(answer)}: the answer has no {success.pointer}, where success is told") from None
    if type(found) is type(success.value) and found == success.value:
        return None
    return Refusal(_said(answer))


def _at(value: Any, pointer: str) -> Any:
    """Returns the value that a JSON pointer (RFC 6901) leads to.

    Raises:
        LookupError: There is none.
    """
    for step in pointer.split("/")[1:][:_MAX_STEPS]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isascii() and name.isdecimal():
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value[name]
        else:
            raise LookupError
    return value


def _said(answer: HttpAnswer) -> str:
    """Returns the status of an answer and the beginning of its text."""
    body = answer.body[:LONGEST_READ]
    words = "" if _WEB_PAGE.match(body) else shorten(body.decode("utf-8", "replace"), MAX_REASON)
    return f"HTTP {answer.status} {words}".rstrip()


_DENIED = {
    401: "check `bearer_token`, `username` and `password`, `oauth`, or the key in `secret_headers`",
    402: "the server asks for payment",
    403: "the credentials lack the right to write here",
    404: "check the path of `url`",
    405: "check `method` and the path of `url`",
    407: "the proxy wants a log-in: check `proxy`",
    410: "check `url`: what was there is gone",
    415: "check `format`, `compression`, and whether `headers` needs another Content-Type",
}
