"""What Elasticsearch answers, and what a refusal of a whole request means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.retry_after import retry_after_s
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable

if TYPE_CHECKING:
    from elastic_transport import ApiResponse

MAX_REASON = 300  # characters of a server's own words that go into an error of ours


def answer_of(response: ApiResponse[Any]) -> HttpAnswer:
    """Returns the answer that a method of ``Connection.api`` got, whatever its status."""
    return HttpAnswer(response.meta.status, response.meta.headers, response.body)


def refusal(answer: HttpAnswer, now: datetime) -> SinkError:
    """Returns the error for a request that was answered as a whole with another status than 2xx.

    Args:
        answer: An answer of Elasticsearch, in JSON, or of a proxy, which is not.
        now: The present, for a ``Retry-After`` that is a date.
    """
    status, text = answer.status, f"HTTP {answer.status}{_reason(answer.body)}"
    if status == 401:
        return SinkDenied(f"{text}: check `api_key`, or `username` and `password`")
    if status == 403:
        return SinkDenied(f"{text}: the user lacks a privilege")
    if status == 429:
        return SinkThrottled(text, retry_after_s(answer.headers, now))
    if status >= 500 or status == 408:
        return SinkUnavailable(text)
    return SinkDenied(f"{text}: check `urls` and `data_stream`, and whether Elasticsearch answers there")


def describe(error: Any) -> str:
    """Returns ``type: reason`` of an error object of Elasticsearch, shortened."""
    if not isinstance(error, Mapping):
        return str(error)[:MAX_REASON]
    parts = [error.get("type"), error.get("reason")]
    return ": ".join(str(part) for part in parts if part)[:MAX_REASON]


def _reason(body: bytes) -> str:
    try:
        return f" {describe(orjson.loads(body)['error'])}"
    except (ValueError, TypeError, KeyError):
        return ""
