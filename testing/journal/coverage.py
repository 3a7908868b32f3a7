"""Checks of what is told to sinks that keep beside their events which period they cover."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ualpipe.pipeline.journal.types import DeadLetter, Settlement
from ualpipe.pipeline.stages import Gap, Listed, StreamCoverage, WorkItem
from ualpipe.testing.journal.case import SINK, SOURCE, STREAM, TENANT, JournalCase, lease, store


def coverage_counts_what_a_sink_does_not_have(case: JournalCase) -> None:
    """Listed and not fetched, fetched and not delivered, set aside: each is counted, and the oldest of all told."""
    journal, began = case.make(), case.clock.now()
    assert list(journal.coverage(SINK)) == []
    (ref,) = store(journal, case, "a", "1", "2").batches
    case.clock.advance(60)
    journal.enter(SOURCE, TENANT, [WorkItem(STREAM, "b", {}, case.clock.now())])
    journal.conclude_listing(SOURCE, TENANT, STREAM, {}, Listed(case.clock.now(), began - timedelta(days=7)))
    whole = {"source": SOURCE, "tenant": TENANT, "stream": STREAM, "begin": began - timedelta(days=7)}
    until = case.clock.now()
    assert list(journal.coverage(SINK)) == [
        StreamCoverage(**whole, until=until, fetching=1, delivering=2, waiting_since=began)  # type: ignore[arg-type]
    ]
    journal.settle(SINK, [Settlement(ref.id, delivered=1, pending=[1])], [])
    assert [one.delivering for one in journal.coverage(SINK)] == [1]
    assert [one.delivering for one in journal.coverage("other")] == [2]
    letter = DeadLetter("sink", "SinkRejected", "too large", b"{}", ref.id, 1, SINK)
    journal.settle(SINK, [Settlement(ref.id, dead=1)], [letter])
    (item,) = lease(journal, 1)
    journal.bury(item, DeadLetter("fetch", "ContentUndecodable", "no JSON", b"x"), "dead")
    assert list(journal.coverage(SINK)) == [
        StreamCoverage(**whole, until=until, dead=2, waiting_since=began)  # type: ignore[arg-type]
    ]
    assert [(one.delivering, one.dead) for one in journal.coverage("other")] == [(2, 1)]
    journal.close()


def coverage_tells_gaps(case: JournalCase) -> None:
    """A period whose content can't be fetched any more is told with its reason."""
    journal, now = case.make(), case.clock.now()
    gap = Gap(now - timedelta(days=9), now - timedelta(days=7), "older than the service keeps content")
    journal.note_gap(SOURCE, STREAM, gap)
    (found,) = journal.coverage(SINK)
    assert (found.stream, found.until, list(found.gaps)) == (STREAM, None, [gap])
    journal.close()


COVERAGE_CHECKS: list[Callable[[JournalCase], None]] = [coverage_counts_what_a_sink_does_not_have, coverage_tells_gaps]
