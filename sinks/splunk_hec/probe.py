"""Questions to an HTTP Event Collector before a run: is it one, does it know the token, does it acknowledge? No event is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.errors import ClientError, Refused
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.splunk_hec.answers import read, remedy_for
from ualpipe.sinks.splunk_hec.codes import CODES
from ualpipe.sinks.splunk_hec.collector import Collector

_REACH = "check `url`, `proxy` and the network between; HTTP Event Collector has to be enabled in its global settings"
_TRUST = "give the file of the authority to `ca_file`; Splunk's own certificate is self-signed if nobody replaced it"
_ENABLE = "enable indexer acknowledgement for the token (Settings > Data inputs > HTTP Event Collector)"


def probe(collector: Collector, server: str, ack: Literal["auto", True, False], channel: str) -> Iterator[Finding]:
    """Yields findings about one collector; stops where going on makes no sense.

    Args:
        collector: All of them.
        server: Base URL of the one that is asked.
        ack: The option.
        channel: On which nothing is ever sent.
    """
    subject = f"splunk {server}"
    try:
        health = _of_health(collector.health(server), subject)
        yield health
        if health.level == "error":
            return
        token = _of_token(collector.send(b"", channel, server), subject)
        yield token
        if token.level != "error" and ack is not False:
            yield _of_ack(collector.ask_acks(server, channel, [0]), subject, is_wanted=ack is True)
    except Refused as exc:
        yield Finding("error", subject, str(exc), _TRUST)
    except ClientError as exc:
        yield Finding("error", subject, str(exc), _REACH)


def _of_health(answer: HttpAnswer, subject: str) -> Finding:
    said = read(answer)
    if answer.is_ok and (said.code is CODES[17] or not answer.body.strip()):
        return Finding("ok", subject, "reached; it is healthy")
    if said.code is not None and said.code.number in (18, 19, 20, 9, 23):
        return Finding("warning", subject, said.text, said.code.remedy)
    return Finding("error", subject, said.text, remedy_for(answer, said))


def _of_token(answer: HttpAnswer, subject: str) -> Finding:
    """Judges the answer to a body without events, of which nothing is kept."""
    said = read(answer)
    if said.code is CODES[5] or answer.is_ok:
        return Finding("ok", f"{subject} token", "known; whether it allows the index only an event tells")
    if said.code is not None and said.code.number in (9, 23, 26, 27):
        return Finding("warning", f"{subject} token", said.text, said.code.remedy)
    return Finding("error", f"{subject} token", said.text, remedy_for(answer, said))


def _of_ack(answer: HttpAnswer, subject: str, *, is_wanted: bool) -> Finding:
    said, subject = read(answer), f"{subject} acknowledgement"
    if answer.is_ok and said.code is None:
        return Finding("ok", subject, "the token has it: events count as delivered when the indexer has them")
    if said.code is CODES[14]:
        return _without_ack(subject, "the token has none", is_wanted=is_wanted)
    return _without_ack(subject, f"can't be asked for: {said.text}", is_wanted=is_wanted)


def _without_ack(subject: str, what: str, *, is_wanted: bool) -> Finding:
    if is_wanted:
        return Finding("error", subject, what, f"{_ENABLE}, or say `ack: auto`")
    text = f"{what}: events count as delivered when Splunk has taken them in, and what it loses then is lost"
    return Finding("warning", subject, text, f"{_ENABLE}, or say `ack: false` if that is meant")
