"""A run that goes on for ever says that records can't be mapped: when it begins, and when it has become ten times more."""

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.supervisor.flaw_watch import FlawWatch


def test_it_is_said_when_it_begins_and_at_ten_times_more(caplog):
    metrics = Metrics()
    watch = FlawWatch(["a", "b"], ["one", "two"], metrics)
    for _time in range(25):
        metrics.add(m.EVENTS_FLAWED, source="a", kind="invalid", sink="one")
        watch.look()
        watch.look()
    assert caplog.messages == [
        "1 record could not be mapped so far; `ualpipe status` says why",
        "10 records could not be mapped so far; `ualpipe status` says why",
    ]
    assert {one.source for one in caplog.records} == {"a"}


def test_a_record_counts_once_though_each_sink_reads_it(caplog):
    metrics = Metrics()
    watch = FlawWatch(["a", "b"], ["one", "two"], metrics)
    for sink, records in (("one", 2), ("two", 5)):
        metrics.add(m.EVENTS_FLAWED, records, source="a", kind="untimed", sink=sink)
        metrics.add(m.EVENTS_FLAWED, 1, source="a", kind="suspicious", sink=sink)
    watch.look()
    assert watch.counts(["untimed"]) == {"a": 5}
    assert watch.counts(["untimed", "suspicious"]) == {"a": 6}
    assert len(caplog.messages) == 1


def test_odd_fields_alone_are_not_said(caplog):
    metrics = Metrics()
    metrics.add(m.EVENTS_FLAWED, 100, source="a", kind="suspicious", sink="one")
    FlawWatch(["a"], ["one"], metrics).look()
    assert not caplog.messages
