"""What Elasticsearch answers, and what a refusal of a whole request means. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.wording import shorten

if TYPE_CHECKING:
    from elastic_transport import ApiResponse

MAX_REASON = 290  # characters of a server's own words that go into an error of ours
MAX_CAUSES = 10  # of an error within one another


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
        return SinkThrottled(f"{text}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
    if status >= 500 or status == 408:
        return SinkUnavailable(text)
    return SinkDenied(f"{text}: check `urls` and `data_stream`, and whether the cluster answers there")


def said_of(body: bytes) -> str:
    """Returns what the body of a refusal says in Elasticsearch's form; empty where it does not."""
    try:
        error = read_object(body).get("error")
    except UnreadableJson:
        return ""
    return describe(error) if error is not None else ""


@contextmanager
def of_the_cluster(what: str) -> Iterator[None]:
    """Turns what goes wrong where an answer is read that has another shape than the cluster's into an error of the sink.

    Args:
        what: Begins the message.

    Raises:
        SinkUnavailable: The answer is a proxy's page, or of something else.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        raise SinkUnavailable(f"{what} is not the cluster's: is there a proxy?") from exc


def describe(error: Any) -> str:
    """Returns ``type: reason`` of an error object of Elasticsearch, its innermost cause first, shortened."""
    if not isinstance(error, Mapping):
        return shorten(str(error), MAX_REASON)
    said = dict.fromkeys(reason for found in reversed(list(_chain(error))) if (reason := _reason_of(found)))
    innermost, *outer = said or [""]
    shown = shorten(innermost, MAX_REASON)
    return f"{shown} (within: {shorten('; '.join(outer), MAX_REASON)})" if outer else shown


def _chain(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields an error object and its causes, the innermost last."""
    yield error
    roots = error.get("root_cause")
    yield from (root for root in (roots if isinstance(roots, list) else [])[:MAX_CAUSES] if isinstance(root, Mapping))
    cause = error.get("caused_by")
    for _ in range(MAX_CAUSES):
        if not isinstance(cause, Mapping):
            return
        yield cause
        cause = cause.get("caused_by")


def _reason_of(error: Mapping[str, Any]) -> str:
    return ": ".join(str(part) for part in (error.get("type"), error.get("reason")) if part)


def _reason(body: bytes) -> str:
    said = said_of(body)
    return f" {said}" if said else ""
