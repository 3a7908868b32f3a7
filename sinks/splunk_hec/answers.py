"""What Splunk's HTTP Event Collector answers, and what it means. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable, with_advice
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.wording import shorten
from ualpipe.sinks.splunk_hec.codes import CODES, Code, Reaction

LARGEST_NUMBER = 2**53
"""Of an id or a position that is believed."""
SHOWN = 200
"""Characters of Splunk's own words that go into an error of ours."""
CLOUD_TAKES_BYTES = 5 * 1024 * 1024
"""Splunk Cloud refuses larger bodies, with the code of a first event that is no JSON."""

_NO_COLLECTOR = (
    "no HTTP Event Collector answers here: check `url` (port 8088 if nobody changed it; 8000 is Splunk Web, 8089 the management "
    "port), and whether HTTP Event Collector is enabled in its global settings"
)
_BY_STATUS = {
    401: "check `token`, and that no proxy in between wants a log-in",
    403: "check `token`, and that no firewall in between refuses the request",
    404: _NO_COLLECTOR,
    405: _NO_COLLECTOR,
    407: "the proxy wants a log-in: put name and password into `proxy`",
    415: "Splunk, or a proxy in between, takes no gzip: say `compression: none`",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says.

    Attributes:
        code: Of the table; None for one that is not in it, and for what is no answer of the collector at all.
        ack_id: Number under which the acknowledgement of the events that were taken can be asked for.
        event: Position in the body of the event that the answer names, from 0.
        text: Status, code and Splunk's words, for messages.
    """

    code: Code | None
    ack_id: int | None
    event: int | None
    text: str


def read(answer: HttpAnswer) -> Said:
    """Reads an answer of the collector, or of whatever else gave it."""
    found = _json(answer.body)
    number = _number(found.get("code"))
    words = found.get("text")
    shown = f"HTTP {answer.status}"
    if number is not None:
        shown += f", code {number}"
    if isinstance(words, str) and words:
        shown += f" {shorten(words, SHOWN)}"
    code = CODES.get(number) if number is not None else None
    return Said(code, _number(found.get("ackId")), _number(found.get("invalid-event-number")), shown)


def reaction_to(answer: HttpAnswer, said: Said) -> Reaction:
    """Returns what is to be done about an answer to events.

    The status counts for more than the code: what is no success by its status was not taken, whatever the body says.
    """
    status, code = answer.status, said.code
    if 200 <= status < 300:
        is_taken = code is not None and code.reaction in (Reaction.TAKEN, Reaction.TAKEN_SLOW_DOWN)
        return code.reaction if code is not None and is_taken else Reaction.UNKNOWN
    if code is not None and code.status == status and code.reaction not in (Reaction.TAKEN, Reaction.TAKEN_SLOW_DOWN):
        return code.reaction
    if status in (408, 429, 503):
        return Reaction.SLOW_DOWN
    return Reaction.UNKNOWN if status >= 500 else Reaction.DENIED


def is_too_large(answer: HttpAnswer, said: Said, body_bytes: int) -> bool:
    """Returns whether a body was refused for its size: 413, or Splunk Cloud's way of saying so."""
    if answer.status == 413:
        return True
    is_first_no_json = answer.status == 400 and said.code is CODES[6] and said.event in (0, None)
    return is_first_no_json and body_bytes > CLOUD_TAKES_BYTES


def error_of(answer: HttpAnswer, said: Said, reaction: Reaction, now: datetime) -> SinkError:
    """Returns the error for events that were not taken, or of which nobody knows.

    Args:
        answer: The answer.
        said: What it says.
        reaction: What is to be done.
        now: The present, for a ``Retry-After`` that is a date.
    """
    text = with_advice(f"{answer.server}: {said.text}", remedy_for(answer, said))
    if reaction in (Reaction.SLOW_DOWN, Reaction.TAKEN_SLOW_DOWN):
        return SinkThrottled(f"{text}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
    if reaction in (Reaction.DENIED, Reaction.WRONG_INDEX, Reaction.BAD_EVENT):
        return SinkDenied(text)
    return SinkUnavailable(text)


def acknowledged(body: bytes, asked: Iterable[int]) -> frozenset[int]:
    """Returns which of the numbers asked for are acknowledged, by the body of an answer.

    Raises:
        ValueError: The body is no such answer.
    """
    acks = _json(body).get("acks")
    if not isinstance(acks, dict):
        raise ValueError("no acknowledgements in the answer")  # noqa: TRY004 - of what came, not of an argument
    return frozenset(number for number in asked if acks.get(str(number)) is True)


def remedy_for(answer: HttpAnswer, said: Said) -> str:
    """Returns what the reader of an error can do; empty where that is nothing."""
    if said.code is not None and said.code.status == answer.status:
        return said.code.remedy
    if answer.is_ok:
        return "the answer is not Splunk's: is there a proxy, or a log-in page?"
    if 300 <= answer.status < 400:
        return _NO_COLLECTOR
    return _BY_STATUS.get(answer.status, _NO_COLLECTOR if answer.status < 500 else "")


def _json(body: bytes) -> dict[str, Any]:
    with suppress(UnreadableJson):
        return read_object(body)
    return {}


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST_NUMBER else None
