"""What is kept to be sent again, against a simple model."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from ualpipe.sinks.syslog.frames import parameter, rfc5424, structured_data, with_parameter
from ualpipe.sinks.syslog.resend import Unproven

WINDOW_S = 5.0
ROOMY = 1 << 20


def kept(messages: int, *, window_s: float = WINDOW_S, max_bytes: int = ROOMY) -> Unproven:
    unproven = Unproven(window_s, max_bytes)
    for number in range(messages):
        unproven.add([b"%d" % number], float(number))
    return unproven


def drained(unproven: Unproven, now: float = 100.0) -> list[bytes]:
    """Sends all that is due, as over a sound connection."""
    found: list[bytes] = []
    while messages := unproven.next_due():
        found += messages
        unproven.resent(now)
    return found


def test_what_was_sent_within_the_window_before_the_end_is_due() -> None:
    unproven = kept(10)
    unproven.lived_until(9.0)
    unproven.broke()
    assert drained(unproven) == [b"5", b"6", b"7", b"8", b"9"]


def test_what_was_sent_again_is_kept_like_everything_sent() -> None:
    unproven = kept(2)
    unproven.broke()
    assert drained(unproven, now=20.0) == [b"0", b"1"]
    assert not unproven.due
    unproven.lived_until(24.9)
    unproven.broke()
    assert drained(unproven, now=30.0) == [b"0", b"1"]
    unproven.lived_until(35.0)
    unproven.broke()
    assert not unproven


def test_a_second_break_in_the_middle_forgets_nothing() -> None:
    unproven = kept(3)
    unproven.broke()
    unproven.resent(50.0)
    unproven.broke()
    assert sorted(drained(unproven)) == [b"0", b"1", b"2"]


def test_what_the_receiver_confirmed_is_not_due() -> None:
    unproven = kept(3)
    unproven.has_arrived()
    unproven.broke()
    assert not unproven


def test_beyond_the_bound_the_oldest_go_and_the_newest_batch_stays() -> None:
    unproven = kept(10, max_bytes=3)
    unproven.broke()
    assert drained(unproven) == [b"7", b"8", b"9"]
    unproven = Unproven(WINDOW_S, 1)
    unproven.add([b"too", b"large"], 0.0)
    assert len(unproven) == 2


def test_without_a_window_nothing_is_kept_or_marked() -> None:
    unproven = kept(3, window_s=0)
    unproven.broke([b"under way"])
    assert not unproven
    assert unproven.marked([b"under way"], bytes.upper) == [b"under way"]


def test_what_was_under_way_is_marked_until_a_batch_gets_through() -> None:
    unproven = Unproven(WINDOW_S, ROOMY)
    unproven.broke([b"a", b"b"])
    unproven.broke([b"a"])
    assert unproven.marked([b"a", b"b", b"c"], bytes.upper) == [b"A", b"B", b"c"]
    unproven.add([b"a", b"b", b"c"], 0.0)
    assert unproven.marked([b"a"], bytes.upper) == [b"a"]


@dataclass
class Model:
    """Messages with the time they were last sent at."""

    sent: dict[bytes, float] = field(default_factory=dict)
    due: set[bytes] = field(default_factory=set)


@given(st.lists(st.sampled_from(["add", "alive", "break", "again", "confirmed", "wait"]), max_size=40))
def test_any_course_of_things_leaves_exactly_what_is_not_proved(steps: list[str]) -> None:
    unproven, model, numbers, now = Unproven(WINDOW_S, ROOMY), Model(), count(), 0.0
    for step in steps:
        now += 3.0 if step == "wait" else 0.25
        if step == "add":
            message = b"%d" % next(numbers)
            unproven.add([message], now)
            model.sent[message] = now
        elif step == "alive":
            unproven.lived_until(now)
            model.sent = {message: at for message, at in model.sent.items() if at > now - WINDOW_S}
        elif step == "break":
            unproven.broke()
            model.due |= model.sent.keys()
            model.sent.clear()
        elif step == "again":
            model.sent |= dict.fromkeys(drained(unproven, now), now)
            model.due.clear()
        elif step == "confirmed":
            unproven.has_arrived()
            model.sent.clear()
        assert (len(unproven), unproven.due) == (len(model.sent) + len(model.due), len(model.due))
    unproven.broke()
    assert set(drained(unproven)) == model.sent.keys() | model.due


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=32), st.text(), st.text())
def test_a_mark_goes_into_the_first_element_whatever_stands_around_it(msgid: str, value: str, text: str) -> None:
    def message(*parameters: str) -> bytes:
        data = structured_data("ualpipe@32473", *parameters, parameter("id", value))
        return (rfc5424(134, None, "relay1", "ualpipe", msgid, data) + text).encode()

    assert with_parameter(message(), "ualpipe@32473", b' resent="1"') == message(' resent="1"')
