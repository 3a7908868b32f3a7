from __future__ import annotations

import pytest

from ualpipe.clients.pace import LEAST_BYTES_PER_S, LONGEST_SILENCES, Pace, TooMuch, TooSlow


def test_silence_is_waited_for_as_long_as_it_may_last() -> None:
    assert Pace(5.0).wait_s() == 5.0


def test_a_byte_now_and_then_brings_no_further_time() -> None:
    pace = Pace(5.0)
    for _byte in range(9):
        pace.received(1, 0.5)
    assert 0 < pace.wait_s() < 0.6
    pace.received(1, 0.6)
    with pytest.raises(TooSlow, match="slower than 4096 bytes a second: 10 bytes in 5 s"):
        pace.wait_s()


def test_what_comes_at_the_least_rate_goes_on_up_to_the_longest_time() -> None:
    pace = Pace(5.0)
    for _second in range(int(LONGEST_SILENCES * 5)):
        assert pace.wait_s() > 0
        pace.received(2 * LEAST_BYTES_PER_S, 1.0)
    with pytest.raises(TooSlow, match="not done after 75 s"):
        pace.wait_s()


def test_bytes_that_are_sent_count_as_those_that_are_received() -> None:
    pace = Pace(1.0)
    pace.sent(10 * LEAST_BYTES_PER_S, 5.0)
    assert pace.wait_s() == 1.0
    pace.sent(1, 6.1)
    with pytest.raises(TooSlow):
        pace.wait_s()


def test_a_new_step_begins_with_all_its_time() -> None:
    pace = Pace(5.0)
    pace.received(1, 4.9)
    pace.begin(2.0)
    assert pace.wait_s() == 2.0


def test_more_than_is_to_be_expected_is_too_much_and_what_is_sent_does_not_count() -> None:
    pace = Pace(5.0, most_bytes=10)
    pace.sent(100, 0.0)
    pace.received(10, 0.0)
    with pytest.raises(TooMuch, match="more than 10 bytes"):
        pace.received(1, 0.0)


def test_silence_and_slowness_are_told_apart() -> None:
    assert str(Pace(5.0).timed_out(5.0)) == "no answer within 5 s"
    pace = Pace(5.0)
    pace.received(1, 4.0)
    assert "slower than" in str(pace.timed_out(1.1))
