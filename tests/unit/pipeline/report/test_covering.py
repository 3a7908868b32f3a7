"""What is covered of a period follows from what pipelines say of their streams, and nothing more is claimed."""

from datetime import UTC, datetime, timedelta

import pytest

from ualpipe.pipeline.report.contract import Coverage
from ualpipe.pipeline.report.covering import Covered, Span, cover
from ualpipe.pipeline.report.period import Period
from ualpipe.pipeline.stages import Gap, StreamCoverage

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, number, hour, tzinfo=UTC)


def stream(name: str = "Audit.Exchange", tenant: str = "a", **more) -> StreamCoverage:
    given = {"begin": day(1), "until": NOW - timedelta(minutes=5), **more}
    return StreamCoverage("contoso", tenant, name, **given)


SINCE, UNTIL, FIRST = day(10), day(20), day(2)


def covered(*streams: StreamCoverage, since=SINCE, until=UNTIL, first=FIRST, tenants=("a",), throttled=()) -> Covered:
    coverage = Coverage(first, NOW if first else None, 100 if first else 0, streams, {"contoso": NOW})
    return cover(Period(since, until), coverage, tenants, throttled, NOW)


def test_a_period_that_all_streams_have_behind_them_is_covered():
    found = covered(stream(), stream("Audit.General"))
    assert (found.state, found.since, found.until) == ("complete", day(10), day(20))
    assert not found.is_early


def test_nobody_knows_where_no_pipeline_has_said_anything():
    assert covered().state == "unknown"


def test_nobody_knows_of_a_tenant_that_no_pipeline_speaks_of():
    found = covered(stream(), tenants=("a", "b"))
    assert (found.state, found.unknown_tenants, found.since) == ("unknown", ["b"], None)


def test_a_stream_whose_records_alone_tell_the_tenant_speaks_of_all():
    assert covered(stream(tenant=""), tenants=("a", "b")).state == "complete"


def test_the_latest_begin_and_the_earliest_end_count():
    found = covered(stream(begin=day(12)), stream("Audit.General", until=day(18)))
    assert (found.state, found.since, found.until) == ("partial", day(12), day(18))


def test_what_lies_before_the_oldest_event_is_not_covered():
    found = covered(stream(), first=day(11, 3))
    assert (found.state, found.since) == ("partial", day(11, 3))


@pytest.mark.parametrize(("begin", "state"), [(None, "complete"), (FIRST, "complete"), (day(5), "partial")])
def test_where_no_begin_is_asked_for_the_oldest_event_is_to_be_covered(begin, state):
    assert covered(stream(begin=begin), since=None).state == state


def test_a_stream_that_was_never_listed_covers_nothing():
    found = covered(stream(), stream("Audit.General", until=None))
    assert (found.state, found.since, found.until) == ("partial", None, None)


def test_a_gap_within_the_period_is_told_and_one_outside_is_not():
    inside, outside = Gap(day(12), day(13), "expired"), Gap(day(3), day(4), "expired")
    found = covered(stream(gaps=[outside, inside]))
    assert found.state == "partial"
    assert [(gap.since, gap.until) for gap in found.gaps] == [(day(12), day(13))]


def test_what_waits_makes_it_partial():
    found = covered(stream(), stream("Audit.General", delivering=3))
    assert found.state == "partial"
    assert [one.stream for one in found.waiting] == ["Audit.General"]


def test_an_open_end_is_covered_while_the_listing_is_fresh():
    assert covered(stream(), until=None).state == "complete"
    assert covered(stream(until=NOW - timedelta(hours=2)), until=None).state == "partial"


def test_records_of_the_last_day_may_still_come():
    assert covered(stream(), until=NOW - timedelta(hours=3)).is_early
    assert not covered(stream(), until=NOW - timedelta(hours=25)).is_early


def test_an_empty_store_covers_nothing_that_is_known():
    assert covered(stream(), first=None).state == "partial"


def test_spans_of_a_throttled_mailbox_are_joined_and_cut_to_the_period():
    marks = [("a@x", day(9, 12)), ("a@x", day(10, 6)), ("a@x", day(15)), ("b@x", day(19, 12)), ("c@x", day(8))]
    assert covered(stream(), throttled=marks).throttled == [
        Span("a@x", day(10), day(11, 6)),
        Span("a@x", day(15), day(16)),
        Span("b@x", day(19, 12), day(20)),
    ]
