"""A source that can't log in stops all of its streams: that is said once, and all of them are tried again at the same time."""

import logging
import threading

import pytest

from fakes import HurriedClock, MemorySource, Pipeline, hurry, run_to_end
from fakes import MemorySink as Sink
from ualpipe.pipeline.collect.backoff import Backoff
from ualpipe.pipeline.collect.stream_state import StreamState
from ualpipe.pipeline.errors import SourceDenied, SourceThrottled
from ualpipe.pipeline.observe.health import State
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.runtime.retry import LISTING
from ualpipe.pipeline.supervisor.exit_codes import EXIT_REFUSED

NAMES = ("Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.General", "Audit.SharePoint", "DLP.All")
EXPIRED = "the client secret has expired"


@pytest.fixture
def streams(clock):
    return [StreamState(name, clock) for name in NAMES]


@pytest.fixture
def backoff(clock, caplog):
    caplog.set_level(logging.INFO)
    context = RunContext(once=False, clock=clock)
    budget = TokenBucket(None, clock, context.stop)
    return Backoff("contoso", budget, context, logging.getLogger("ualpipe.source.contoso"), threading.RLock())


def test_one_failed_login_is_one_line_that_names_the_streams(backoff, streams, caplog):
    for _stream in streams:  # each of them tried, and met the same
        backoff.failed_for_all(streams, SourceDenied(EXPIRED), LISTING)
    (line,) = caplog.records
    assert (line.levelname, line.getMessage(), line.streams) == ("WARNING", EXPIRED, sorted(NAMES))
    assert {stream.health.state for stream in streams} == {State.DENIED}
    assert len({stream.listing.until for stream in streams}) == 1
    assert {stream.listing.failures for stream in streams} == {1}


def test_a_secret_that_stays_expired_becomes_an_error_and_its_end_is_one_line(backoff, streams, clock, caplog):
    backoff.failed_for_all(streams, SourceDenied(EXPIRED), LISTING)
    clock.advance(300)
    backoff.failed_for_all(streams, SourceDenied(EXPIRED), LISTING)
    clock.advance(3600)
    for stream in streams:
        backoff.succeeded(stream, stream.listing)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("WARNING", EXPIRED),
        ("ERROR", EXPIRED),
        ("INFO", "working again"),
    ]


def test_a_login_service_that_throttles_pauses_the_tenant_once(backoff, streams, caplog):
    backoff.failed_for_all(streams, SourceThrottled("slow down", 30.0), LISTING)
    assert len(caplog.records) == 1
    assert backoff.tenant_health.state is State.THROTTLED


def test_a_bounded_run_with_an_expired_secret_says_it_in_two_lines(tmp_path, monkeypatch, caplog):
    hurry(monkeypatch)
    caplog.set_level(logging.INFO)
    source = MemorySource({name: {} for name in NAMES})
    source.open_errors = [SourceDenied(EXPIRED) for _name in NAMES]
    runner = Pipeline(tmp_path, source, {"siem": Sink()}, clock=HurriedClock()).runner()
    codes = []
    run_to_end(lambda: codes.append(runner.run()), runner.stop)
    assert codes == [EXIT_REFUSED]
    assert len([line for line in caplog.records if EXPIRED in line.getMessage()]) == 2
