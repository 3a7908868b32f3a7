"""What the log says of parts that stand still: one line a cause, again at growing intervals, and one when it is over."""

import logging
from itertools import pairwise

import pytest

from fakes import FakeClock
from ualpipe.pipeline.observe.health import FLAPPING_S, LASTING_S, MOST_CAUSES, SAID_AGAIN_S, FailureLog, alike

STREAMS = ("Audit.Exchange", "Audit.General", "DLP.All")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def said(clock, caplog):
    caplog.set_level(logging.INFO)
    return FailureLog(clock, logging.getLogger("ualpipe.test"), "working again")


def lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_one_cause_is_one_line_however_many_streams_it_stops(said, caplog):
    for stream in STREAMS:
        said.failed(f"listing {stream}: permission is missing", stream)
    assert lines(caplog) == [("WARNING", "listing Audit.Exchange: permission is missing")]


def test_a_line_names_the_streams_that_the_cause_stops(said, caplog):
    said.failed("the secret has expired", *STREAMS, failures=1)
    (line,) = caplog.records
    assert (line.streams, line.failures) == (sorted(STREAMS), 1)


def test_another_cause_has_a_line_of_its_own(said, caplog):
    said.failed("the secret has expired", "a")
    said.failed("auditing is off", "b")
    assert len(lines(caplog)) == 2


def test_a_cause_that_lasts_is_said_again_at_growing_intervals(said, clock, caplog):
    at = []
    for second in range(0, 2 * 3600, 20):
        before = len(caplog.records)
        said.failed("connection refused", "")
        at += [second] * (len(caplog.records) - before)
        clock.advance(20)
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert pauses == list(SAID_AGAIN_S)[: len(pauses)]
    assert len(pauses) >= 3


def test_a_refusal_that_lasts_is_an_error(said, clock, caplog):
    said.failed("the secret has expired", *STREAMS, is_denied=True)
    clock.advance(LASTING_S + 30)
    said.failed("the secret has expired", "DLP.All", is_denied=True)
    assert [level for level, _text in lines(caplog)] == ["WARNING", "ERROR"]
    assert caplog.records[-1].for_s == LASTING_S + 30


def test_trouble_that_is_no_refusal_stays_a_warning(said, clock, caplog):
    for _again in range(3):
        said.failed("no answer", "a")
        clock.advance(3600)
    assert {level for level, _text in lines(caplog)} == {"WARNING"}


def test_recovery_is_one_line_when_the_last_stream_works(said, caplog):
    said.failed("the secret has expired", *STREAMS)
    caplog.clear()
    for stream in STREAMS:
        assert lines(caplog) == []
        said.works(stream)
    assert lines(caplog) == [("INFO", "working again")]


def test_what_flaps_is_said_once(said, clock, caplog):
    """A full disk that has room for one settlement, and then none again."""
    for _again in range(5):
        said.failed("the disk is full", "")
        clock.advance(2)
        said.works("")
    assert lines(caplog) == [("WARNING", "the disk is full"), ("INFO", "working again")]
    clock.advance(FLAPPING_S + 1)
    said.failed("the disk is full", "")
    assert lines(caplog)[2:] == [("WARNING", "the disk is full")], "later it is news"


def test_what_differs_by_tenant_and_time_does_not_make_another_cause():
    one = "app 11111111-1111-1111-1111-111111111111 is refused since 2026-11-20T08:15:00Z"
    other = "app 22222222-2222-2222-2222-222222222222 is refused since 2026-11-21T09:00:01Z"
    assert alike(one) == alike(other)
    assert alike(one) != alike("app 22222222-2222-2222-2222-222222222222 is throttled")


def test_causes_without_end_are_not_all_remembered(said):
    """Another system may answer in other words each time."""
    said.failed("down", "Audit.Exchange")
    for at in range(3 * MOST_CAUSES):
        said.failed(f"not fetched: {at}")
    assert len(said._causes) == MOST_CAUSES
    assert "down" in said._causes
