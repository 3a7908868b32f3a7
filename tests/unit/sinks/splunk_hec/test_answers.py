"""What the collector's answers mean; no sockets here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.peers.fake_splunk import TEXTS
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkThrottled, SinkUnavailable
from ualpipe.sinks.splunk_hec.answers import acknowledged, error_of, is_too_large, reaction_to, read
from ualpipe.sinks.splunk_hec.codes import CODES, Reaction

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MIB = 1024 * 1024


def answer(status: int, body: Any = b"", **headers: str) -> HttpAnswer:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpAnswer(status, headers, content, "https://splunk.example:8088")


def reaction(status: int, body: Any = b"") -> Reaction:
    found = answer(status, body)
    return reaction_to(found, read(found))


def error(status: int, body: Any = b"", **headers: str) -> SinkError:
    found = answer(status, body, **headers)
    said = read(found)
    return error_of(found, said, reaction_to(found, said), NOW)


def test_every_code_is_in_the_table_and_every_refusal_has_a_remedy() -> None:
    assert sorted(CODES) == list(range(29))
    assert all(code.remedy for code in CODES.values() if code.reaction is not Reaction.TAKEN)
    assert all(code.status // 100 == 2 for code in CODES.values() if code.reaction in (Reaction.TAKEN, Reaction.TAKEN_SLOW_DOWN))


def test_the_fake_answers_with_the_status_of_the_table() -> None:
    assert all(CODES[number].status == status for number, (status, _text) in TEXTS.items())


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (SinkDenied, [1, 2, 3, 4, 10, 11, 14, 16, 21, 22, 28]),
        (SinkThrottled, [9, 18, 19, 20, 26, 27]),
        (SinkUnavailable, [8, 23]),
    ],
)
def test_a_code_tells_who_has_to_act(kind: type[SinkError], numbers: list[int]) -> None:
    for number in numbers:
        found = error(CODES[number].status, {"text": "said so", "code": number})
        assert type(found) is kind
        assert f"code {number} said so" in str(found)
        assert CODES[number].remedy in str(found)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"text": "Success", "code": 0}, Reaction.TAKEN),
        (200, {"text": "Queue near its limit", "code": 24}, Reaction.TAKEN_SLOW_DOWN),
        (200, b"<html>log in</html>", Reaction.UNKNOWN),
        (200, b"", Reaction.UNKNOWN),
        (200, {"code": 6}, Reaction.UNKNOWN),
        (200, {"code": True}, Reaction.UNKNOWN),
        (200, {"code": 999}, Reaction.UNKNOWN),
        (400, {"code": 0}, Reaction.DENIED),
        (400, b"nginx", Reaction.DENIED),
        (404, {"code": 404}, Reaction.DENIED),
        (302, b"", Reaction.DENIED),
        (429, b"", Reaction.SLOW_DOWN),
        (503, b"", Reaction.SLOW_DOWN),
        (502, b"", Reaction.UNKNOWN),
        (504, {"code": 0}, Reaction.UNKNOWN),
    ],
)
def test_what_is_no_success_by_status_and_code_was_not_taken(status: int, body: Any, kind: Reaction) -> None:
    assert reaction(status, body) is kind


@pytest.mark.parametrize(
    ("status", "advice"),
    [(404, "8088"), (302, "8000 is Splunk Web"), (415, "compression: none"), (407, "`proxy`"), (401, "`token`")],
)
def test_other_answers_are_named_with_what_to_do(status: int, advice: str) -> None:
    assert advice in str(error(status))


def test_a_wait_that_is_asked_for_is_passed_on() -> None:
    found = error(503, {"text": "Server is busy", "code": 9}, **{"Retry-After": "7"})
    assert isinstance(found, SinkThrottled)
    assert found.retry_after_s == 7


@pytest.mark.parametrize(
    ("status", "body", "size", "expected"),
    [
        (413, b"", 100, True),
        (400, {"code": 6, "invalid-event-number": 0}, 6 * MIB, True),
        (400, {"code": 6}, 6 * MIB, True),
        (400, {"code": 6, "invalid-event-number": 0}, 5 * MIB, False),
        (400, {"code": 6, "invalid-event-number": 1}, 6 * MIB, False),
        (400, {"code": 12, "invalid-event-number": 0}, 6 * MIB, False),
    ],
)
def test_a_body_that_is_too_large_is_told_from_one_with_a_bad_event(status: int, body: Any, size: int, expected: bool) -> None:
    found = answer(status, body)
    assert is_too_large(found, read(found), size) is expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"acks": [1]}', b'{"acks": null}', b"<html>"])
def test_what_is_no_answer_about_acknowledgements_acknowledges_nothing(body: bytes) -> None:
    with pytest.raises(ValueError, match="no acknowledgements"):
        acknowledged(body, [0])


def test_only_what_was_asked_for_and_is_true_is_acknowledged() -> None:
    assert acknowledged(b'{"acks": {"0": true, "1": false, "2": 1, "3": "true", "9": true}}', [0, 1, 2, 3]) == {0}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "ackId", "text", "acks"]), inner),
)


@given(
    st.binary(max_size=200) | JSON.map(lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)), st.integers(100, 599)
)
def test_no_answer_is_too_odd_to_be_read(body: bytes, status: int) -> None:
    found = answer(status, body)
    said = read(found)
    assert isinstance(error_of(found, said, reaction_to(found, said), NOW), SinkError)
