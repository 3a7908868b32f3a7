"""One listing of one stream: what goes into the ledger, and what is left alone."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fakes import NOW, FakeClock, MemorySource
from memory_journal import MemoryJournal
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.collect import lister
from ualpipe.pipeline.collect.lister import Lister
from ualpipe.pipeline.collect.parts import CollectParts
from ualpipe.pipeline.errors import SourceUnavailable
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.thread_pool import ThreadPool
from ualpipe.pipeline.stages import Listed, WorkItem

BEGIN = NOW - timedelta(hours=24)


def source(ages: dict[str, timedelta], listed: Listed) -> MemorySource:
    """Returns a source whose items became available so long ago."""
    made = MemorySource({"s": {}})
    made.discover = lambda stream, _since: iter(  # type: ignore[method-assign]
        [*(WorkItem(stream, key, {}, NOW - age) for key, age in ages.items()), listed]
    )
    return made


def discovered(journal: MemoryJournal, clock: FakeClock, found: MemorySource) -> set[str]:
    """Lists as a process that was started just now does; returns the keys in the ledger."""
    log = logging.getLogger("ualpipe.test")
    context = RunContext(once=True, clock=clock)
    buffer = BatchBuffer(journal, LocalProcessor(), [], Path())
    parts = CollectParts(journal, buffer, LocalProcessor(), ThreadPool(), lambda _batches: None, context)
    Lister("source", found, parts, log, lambda: None).discover("s")
    return waiting(journal)


def waiting(journal: MemoryJournal) -> set[str]:
    """Returns the keys of the items in the ledger."""
    journal.revoke("source")
    return {item.work.key for item in journal.lease("source", ["s"], 99)}


@pytest.fixture
def journal(clock: FakeClock) -> MemoryJournal:
    return MemoryJournal(clock)


@pytest.mark.parametrize("later", [Listed(NOW), Listed(NOW, NOW - timedelta(hours=1))])
def test_what_was_there_before_the_first_listing_began_is_left_alone_for_ever(
    journal: MemoryJournal, clock: FakeClock, later: Listed
) -> None:
    """Of what a later listing finds by looking back further, after a restart too: the user did not ask for it."""
    assert discovered(journal, clock, source({"new": timedelta(hours=1)}, Listed(NOW, BEGIN))) == {"new"}
    found = {"older": NOW - BEGIN + timedelta(seconds=1), "late": NOW - BEGIN, "very late": timedelta(hours=23)}
    for _restart in range(2):
        assert discovered(journal, clock, source(found, later)) == {"new", "late", "very late"}


def test_without_a_beginning_everything_is_wanted(journal: MemoryJournal, clock: FakeClock) -> None:
    found = source({"new": timedelta(hours=1), "old": timedelta(days=300)}, Listed(NOW))
    assert discovered(journal, clock, found) == {"new", "old"}


def test_what_has_no_time_is_wanted(journal: MemoryJournal, clock: FakeClock) -> None:
    discovered(journal, clock, source({}, Listed(NOW, BEGIN)))
    undated = MemorySource({"s": {}})
    undated.discover = lambda stream, _since: iter([WorkItem(stream, "undated"), Listed(NOW)])  # type: ignore[method-assign]
    assert discovered(journal, clock, undated) == {"undated"}


def test_a_first_listing_that_breaks_off_sets_no_beginning(journal: MemoryJournal, clock: FakeClock) -> None:
    broken = MemorySource({"s": {}})

    def discover(stream: str, _since: datetime | None):  # type: ignore[no-untyped-def]
        yield WorkItem(stream, "new", {}, NOW)
        raise OSError("cut off")

    broken.discover = discover  # type: ignore[method-assign]
    with pytest.raises(OSError, match="cut off"):
        discovered(journal, clock, broken)
    assert journal.position("source", "s").begin is None
    assert waiting(journal) == {"new"}


def test_a_flood_of_items_is_not_listed_on_until_they_are_fetched(
    journal: MemoryJournal, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lister, "MOST_WAITING", 1000)
    flood = source({f"item {at}": timedelta(hours=1) for at in range(5000)}, Listed(NOW))
    with pytest.raises(SourceUnavailable, match="1,000 items wait"):
        discovered(journal, clock, flood)
    assert journal.count_waiting("source") == 1000
    with pytest.raises(SourceUnavailable, match="1,000 items wait"):
        discovered(journal, clock, flood)
    assert journal.position("source", "s").listed_until is None
    monkeypatch.setattr(lister, "MOST_WAITING", 6000)
    discovered(journal, clock, flood)
    assert journal.count_waiting("source") == 5000
