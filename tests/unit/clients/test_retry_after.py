from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes import NOW
from ualpipe.clients.retry_after import LONGEST_S, cut_wait, retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("17", 17.0),
        (" 0 ", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Fri, 20 Nov 2026 12:01:00 -0000", 60.0),
        ("Fri, 20 Nov 2026 12:00:30", 30.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, LONGEST_S),
        ("Fri, 20 Nov 2099 12:00:00 GMT", LONGEST_S),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize("value", ["3601", "9" * 10, "9" * 5000, "Fri, 20 Nov 2099 12:00:00 GMT"])
def test_a_wait_that_is_cut_is_said(value: str) -> None:
    said = cut_wait({"Retry-After": value}, NOW)
    assert said.endswith("; no more than 60m is waited)")
    assert len(said) < 100


@pytest.mark.parametrize("value", ["3600", "0", "soon", "", "-1"])
def test_a_wait_that_is_not_cut_needs_no_word(value: str) -> None:
    assert cut_wait({"Retry-After": value}, NOW) == ""


@pytest.mark.parametrize("name", ["Retry-After", "RETRY-AFTER", "retry-after"])
def test_the_header_s_name_may_stand_in_any_case(name: str) -> None:
    assert retry_after_s({"Date": "x", name: "5"}, NOW) == 5


def test_an_answer_without_the_header_asks_for_nothing() -> None:
    assert retry_after_s({}, NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} \d{1,3}:\d{2}:\d{2} [+-]?\w{0,5}"))
@example("Fri, 20 Nov 9999 23:59:59 -2359")
@example("Fri, 20 Nov 0001 00:00:00 +2359")
def test_no_text_breaks_the_reading(value: str) -> None:
    found = retry_after_s({"Retry-After": value}, NOW)
    assert found is None or 0 <= found <= LONGEST_S


@given(st.integers(-(10**6), 10**6))
def test_a_date_is_waited_for(seconds: int) -> None:
    until = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s({"Retry-After": until}, NOW) == min(LONGEST_S, max(0.0, seconds))
