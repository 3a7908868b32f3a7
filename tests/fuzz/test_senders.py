"""Answers to the sinks that speak HTTP, RELP and Lumberjack, and what they send: errors of a sink, and bodies that are whole."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
from pathlib import Path
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from fakes import NOW, FakeClock, record
from fuzz.odd_bytes import acting, anything, objects, pieces, spoilt
from fuzz.targets import reads
from fuzz.test_service import STATUSES, headers
from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.entra.roles import roles_of
from ualpipe.clients.errors import ClientError
from ualpipe.clients.posting.client_credentials import LONGEST_TOKEN, Client, ClientCredentials
from ualpipe.clients.posting.cookies import Cookies
from ualpipe.clients.posting.poster import Poster
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.options import Secret, build
from ualpipe.sinks.http.answers import Success, judged
from ualpipe.sinks.logstash.frames import Acks, NotLumberjack
from ualpipe.sinks.sentinel.answers import refusal
from ualpipe.sinks.splunk_hec import answers as splunk
from ualpipe.sinks.splunk_hec.envelope import composer
from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig
from ualpipe.sinks.syslog.relp_frames import Answers, NotRelp
from ualpipe.testing import make_events

LONGEST_TEXT = 2000
SERVER = "https://siem.contoso.example"

bodies = st.one_of(
    spoilt(objects("text", "code", "ackId", "invalid-event-number", "acks", "error", "access_token", "token_type", "expires_in")),
    anything(),
)
answers = st.builds(HttpAnswer, STATUSES, headers(), bodies, st.just(SERVER))


def is_fit_to_be_shown(text: str) -> bool:
    return len(text) < LONGEST_TEXT and not acting(text)


@reads("ualpipe.sinks.splunk_hec.answers:read", "ualpipe.sinks.splunk_hec.answers:acknowledged")
@given(answers, st.lists(st.integers(0, 5), max_size=3))
@example(HttpAnswer(200, {}, b'{"code":' + b"9" * 5000 + b"}", SERVER), [])
@example(HttpAnswer(400, {}, b'{"code":6,"invalid-event-number":-1,"text":"' + b"x" * 100_000 + b'"}', SERVER), [])
def test_an_answer_of_splunk_is_a_reaction_and_a_text(answer: HttpAnswer, asked: list[int]) -> None:
    said = splunk.read(answer)
    reaction = splunk.reaction_to(answer, said)
    assert is_fit_to_be_shown(str(splunk.error_of(answer, said, reaction, NOW)))
    assert said.event is None or said.event >= 0
    with contextlib.suppress(ValueError):
        assert splunk.acknowledged(answer.body, asked) <= set(asked)


@reads("ualpipe.sinks.splunk_hec.envelope:composer")
@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers(-(2**63), 2**64 - 1) | st.lists(st.text(max_size=5))),
    st.booleans(),
)
def test_what_goes_to_splunk_is_the_record_in_an_envelope(fields: dict[str, Any], with_blanks: bool) -> None:
    event = make_events(1, **{**record(1), **fields})[0]
    options = {"url": SERVER, "token": "t", "spacing": "blanks" if with_blanks else "as_received"}
    made = composer(build(SplunkHecSinkConfig, options, Path()))(event)
    found = orjson.loads(made)
    assert found.keys() <= {"time", "host", "source", "sourcetype", "index", "event"}
    assert found["event"] == orjson.loads(event.raw)
    assert b"\n" not in made


@reads("ualpipe.sinks.sentinel.answers:refusal")
@given(answers)
def test_a_refusal_of_azure_is_an_error_of_the_sink(answer: HttpAnswer) -> None:
    assert is_fit_to_be_shown(str(refusal(answer, "stream Custom-X", NOW)))


@reads("ualpipe.sinks.http.answers:judged")
@given(answers, st.sampled_from(["", "/code", "/error/0", "/acks/a"]), st.sampled_from([0, "x", True]))
def test_an_answer_to_the_http_sink_is_success_a_refusal_or_an_error(answer: HttpAnswer, pointer: str, value: Any) -> None:
    for success in (Success(), Success(frozenset([answer.status]), pointer, value)):
        try:
            found = judged(answer, success, NOW)
            text = found.text if found else ""
        except SinkError as exc:
            text = str(exc)
        assert is_fit_to_be_shown(text)


class Scripted(Poster):
    """Has one answer, and no network."""

    answer: HttpAnswer

    def send(self, *_args: Any, **_options: Any) -> HttpAnswer:
        return self.answer


@functools.cache
def scripted() -> Scripted:
    return Scripted([SERVER])


@reads("ualpipe.clients.posting.client_credentials:ClientCredentials.get")
@given(answers)
@example(HttpAnswer(200, {}, b'{"access_token":"' + b"x" * (LONGEST_TOKEN + 1) + b'"}', SERVER))
@example(HttpAnswer(200, {}, b'{"access_token":"x","expires_in":1e400}', SERVER))
def test_a_login_of_a_client_is_a_token_or_an_error(answer: HttpAnswer) -> None:
    client, poster = Client(id="c", secret=Secret("planted-secret")), scripted()
    poster.answer = answer
    token = text = ""
    try:
        token = ClientCredentials(poster, "/token", client, FakeClock()).get()
    except ClientError as exc:
        text = str(exc)
    assert is_fit_to_be_shown(text)
    assert re.fullmatch(r"[ -~]*", token)
    assert len(token) <= LONGEST_TOKEN


@reads("ualpipe.clients.entra.roles:roles_of")
@given(spoilt(objects("roles", "exp", "aud")) | anything(), st.sampled_from(["{}.{}.{}", "{}", ".{}.", "..", "a.{}.b"]))
@example(b'{"roles":["ActivityFeed.Read",1,null]}', "a.{}.b")
@example(b"[" * 100_000, "a.{}.b")
def test_the_roles_of_any_token_are_texts_or_not_known(claims: bytes, form: str) -> None:
    part = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    found = roles_of(form.replace("{}", part))
    assert found is None or all(isinstance(role, str) for role in found)


@reads("ualpipe.sinks.logstash.frames:Acks.feed")
@given(st.lists(st.just(b"2A\0\0\0\5") | st.binary(max_size=8), max_size=5).map(b"".join), st.integers(1, 7))
def test_what_a_receiver_of_beats_sends_is_numbers_or_refused(data: bytes, size: int) -> None:
    acks = Acks()
    with contextlib.suppress(NotLumberjack):
        for piece in pieces(data, size):
            assert all(0 <= number < 1 << 32 for number in acks.feed(piece))


@reads("ualpipe.sinks.syslog.relp_frames:Answers.feed")
@given(
    st.lists(st.sampled_from([b"1 rsp 6 200 OK\n", b"0 serverclose 0\n", b"999999999 rsp 3 500\n"]) | anything(), max_size=4).map(
        b"".join
    ),
    st.integers(1, 9),
)
@example(b"9" * 100_000, 50_000)
@example(b"1 rsp " + b"9" * 5000 + b" x\n", 6000)
def test_what_a_receiver_of_relp_sends_is_frames_or_refused(data: bytes, size: int) -> None:
    found = Answers()
    with contextlib.suppress(NotRelp):
        for piece in pieces(data, size):
            for answer in found.feed(piece):
                assert answer.code >= 0
                assert not acting(answer.text)
                assert answer.offers is not None


@reads("ualpipe.clients.posting.cookies:Cookies.take")
@given(st.lists(st.text(max_size=30) | st.sampled_from(["a=b; Max-Age=0", "a=b; Path=/", "=", "a=\r\nX: y", "\x00"]), max_size=5))
def test_what_goes_back_as_a_cookie_fits_a_header(taken: list[str]) -> None:
    cookies = Cookies()
    cookies.take(taken)
    assert re.fullmatch(r"[ -~]*", cookies.header)
    assert json.dumps(cookies.header)
