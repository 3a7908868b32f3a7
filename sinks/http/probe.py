"""A question to the server before a run, which leaves nothing behind: does it answer, and does it let us in?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SinkDenied, SinkError
from ualpipe.pipeline.options import is_loopback
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.http.answers import Refusal, Success, judged
from ualpipe.sinks.http.bodies import body_of
from ualpipe.sinks.http.options import HttpSinkConfig
from ualpipe.sinks.http.requests import Requests

_NOT_KNOWN = (400, 405, 411, 415, 501)  # what servers answer to a method that they have no use for


def probe(config: HttpSinkConfig, clock: Clock) -> Iterator[Finding]:
    """Yields findings about protection, server and log-in; sends what ``probe`` of the options says, and no event."""
    yield from _of_protection(config)
    server = config.servers[0] if len(config.servers) == 1 else "server"
    if config.probe == "none":
        yield Finding("ok", server, "not asked, as `probe: none` says")
        return
    try:
        requests = Requests(config, clock)
        try:
            answer = _asked(config, requests)
        finally:
            requests.close()
        yield _of_answer(config, answer.server or server, answer, clock)
    except SinkDenied as exc:
        yield Finding("error", server, _without(server, exc))
    except SinkError as exc:
        yield Finding("error", server, _without(server, exc), "check `url`, the TLS options, and the network between")


def _without(server: str, error: SinkError) -> str:
    """Returns the text of an error without the server that it begins with."""
    return str(error).removeprefix(f"{server}: ")


def _of_protection(config: HttpSinkConfig) -> Iterator[Finding]:
    has_secret = config.bearer_token or config.username or config.oauth or config.secret_headers
    for url in config.urls:
        parts = urlsplit(url)
        if has_secret and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            what = "the log-in and all events go out in clear, readable for everybody on the way"
            yield Finding("warning", f"http://{parts.netloc}", what, "give an address that begins with https://")


def _asked(config: HttpSinkConfig, requests: Requests) -> HttpAnswer:
    if config.probe == "empty":
        return requests.ask(config.method, body_of([], config.format))
    return requests.ask(config.probe.upper(), b"")


def _of_answer(config: HttpSinkConfig, server: str, answer: HttpAnswer, clock: Clock) -> Finding:
    asked = config.method if config.probe == "empty" else config.probe.upper()
    if config.probe != "empty" and answer.status in _NOT_KNOWN:
        what = f"reached; it has no answer to {asked} (HTTP {answer.status}), so whether it lets us in, the first events show"
        return Finding("ok", server, what)
    try:
        # What a body says counts for events alone.
        refusal = judged(answer, Success.of(config) if config.probe == "empty" else Success(), clock.now())
    except SinkDenied as exc:
        return Finding("error", server, str(exc))
    except SinkError as exc:
        return Finding("error", server, str(exc), "it is reached, and in trouble: look there, or ask again later")
    if isinstance(refusal, Refusal):
        return Finding("warning", server, f"{asked} is refused: {refusal.text}", "give another `probe`, or check `url`")
    return Finding("ok", server, f"reached; {asked} was answered HTTP {answer.status}")
