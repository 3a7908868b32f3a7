from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import NOW
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import (
    ContentGone,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
    split_advice,
)
from ualpipe.sources.management_activity.errors import (
    REACTIONS,
    AlreadyEnabled,
    NotPermitted,
    NotSubscribed,
    PageExpired,
    error_of,
    read_error,
)

AUDITING_OFF = {
    "error": {
        "code": "StartSubscription [CorrId=1][TenantId=2,ContentType=Audit.General,ApplicationId=3,PublisherId=2][AppId",
        "message": "Microsoft.Office.Compliance.Audit.DataServiceException: Tenant 2 does not exist.\r\n   at Some.Method()",
    }
}


def answer(body: object, status: int = 400, **headers: str) -> HttpAnswer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, text)


def refusal(code: str, message: str = "no", status: int = 400, **headers: str) -> HttpAnswer:
    return answer({"error": {"code": code, "message": message}}, status, **headers)


def error(found: HttpAnswer, *, is_blob: bool = False) -> SourceError:
    return error_of(found, "listing Audit.Exchange", now=NOW, is_blob=is_blob)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("AF10001", 401, NotPermitted),
        ("AF20010", 403, SourceDenied),
        ("AF20011", 404, SourceDenied),
        ("AF20012", 400, SourceDenied),
        ("AF20013", 400, SourceDenied),
        ("AF20020", 400, SourceDenied),
        ("AF20022", 404, NotSubscribed),
        ("AF20023", 400, NotSubscribed),
        ("AF20024", 400, AlreadyEnabled),
        ("AF20030", 400, SourceUnavailable),
        ("AF20031", 400, PageExpired),
        ("AF20050", 404, ContentGone),
        ("AF20051", 410, ContentGone),
        ("AF20052", 400, ContentGone),
        ("AF20055", 400, SourceUnavailable),
        ("AF429", 403, SourceThrottled),
        ("AF429", 429, SourceThrottled),
        ("AF50000", 500, SourceUnavailable),
        ("AF50006", 503, SourceUnavailable),
        ("AF20001", 400, SourceUnavailable),
        ("AF99999", 403, SourceUnavailable),
    ],
)
def test_the_code_decides_whatever_the_status(code: str, status: int, expected: type[SourceError]) -> None:
    found = error(refusal(code, status=status))
    assert type(found) is expected
    assert code in str(found)


@pytest.mark.parametrize("special", [NotSubscribed, AlreadyEnabled, PageExpired])
def test_what_the_source_can_mend_itself_is_retried_should_it_get_out(special: type[SourceError]) -> None:
    assert issubclass(special, SourceUnavailable)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, b"", SourceThrottled),
        (403, {"Message": "Too many requests, come back later."}, SourceThrottled),
        (401, {"Message": "Authorization has been denied for this request."}, NotPermitted),
        (403, b"", NotPermitted),
        (404, {"Message": "No HTTP resource was found that matches the request URI."}, SourceDenied),
        (404, b"<html>not here</html>", SourceUnavailable),
        (403, b"\r\n <!DOCTYPE html>blocked by proxy", SourceUnavailable),
        (302, b"", SourceUnavailable),
        (400, b"", SourceUnavailable),
        (408, b"", SourceOverloaded),
        (500, b"oops", SourceUnavailable),
        (503, b"", SourceOverloaded),
        (504, b"", SourceOverloaded),
        (503, b"<html>", SourceUnavailable),
        (200, {"value": []}, SourceUnavailable),
    ],
)
def test_without_a_code_status_and_text_decide(status: int, body: object, expected: type[SourceError]) -> None:
    assert type(error(answer(body, status))) is expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"", ContentGone),
        (410, b"", ContentGone),
        (404, b"<html>gateway</html>", SourceUnavailable),
        (403, b"", NotPermitted),
    ],
)
def test_a_blob_that_is_not_found_is_gone_unless_a_proxy_says_so(status: int, body: bytes, expected: type[SourceError]) -> None:
    assert type(error(answer(body, status), is_blob=True)) is expected


def test_auditing_that_is_off_says_how_to_turn_it_on() -> None:
    found = error(answer(AUDITING_OFF))
    assert type(found) is SourceDenied
    happened, advice = split_advice(found)
    assert "turn on auditing" in advice
    assert happened.endswith(": auditing is off in the tenant (HTTP 400)")


@pytest.mark.parametrize("code", [code for code, reaction in REACTIONS.items() if issubclass(reaction.error, SourceDenied)])
def test_each_refusal_says_what_to_do(code: str) -> None:
    assert split_advice(error(refusal(code)))[1]


@pytest.mark.parametrize("code", ["AF20030", "AF20055"])
def test_a_refused_window_points_at_the_clock(code: str) -> None:
    assert "clock" in split_advice(error(refusal(code)))[1]


def test_a_bad_blob_key_points_at_the_cloud() -> None:
    assert "`cloud`" in str(error(refusal("AF20052"), is_blob=True))


def test_the_message_names_what_was_asked_and_what_was_said_in_one_short_line() -> None:
    found = str(error(refusal("AF50000", "An internal\r\n server  error " + 1000 * "x", 500)))
    assert found.startswith("listing Audit.Exchange: AF50000 (HTTP 500) An internal server error xxx")
    assert len(found) < 400
    assert "\n" not in found


def test_throttling_carries_the_wait_it_was_told() -> None:
    found = error(refusal("AF429", "Too many requests. Method=GetBlob, PublisherId=1", 403, Retry_After="120"))
    assert isinstance(found, SourceThrottled)
    assert found.retry_after_s == 120


def test_throttling_without_a_wait_has_none() -> None:
    found = error(refusal("AF429", status=429))
    assert isinstance(found, SourceThrottled)
    assert found.retry_after_s is None


@given(body=st.binary(max_size=300), status=st.integers(100, 599), is_blob=st.booleans())
def test_any_answer_at_all_becomes_an_error_with_a_text(body: bytes, status: int, is_blob: bool) -> None:
    assert str(error(answer(body, status), is_blob=is_blob))


@given(
    value=st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner), max_leaves=4
    )
)
def test_any_json_can_be_read_as_an_error(value: object) -> None:
    code, message = read_error(json.dumps({"error": value}).encode())
    assert isinstance(code, str)
    assert isinstance(message, str)
