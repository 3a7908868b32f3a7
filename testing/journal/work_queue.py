"""Checks of the ledger and its leases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ualpipe.pipeline.journal.types import (
    DeadLetter,
    Notice,
)
from ualpipe.pipeline.stages import Gap, Listed, WorkItem
from ualpipe.testing.journal.case import (
    SINK,
    SOURCE,
    STREAM,
    TENANT,
    JournalCase,
    chunk,
    enter,
    fetched,
    is_refused,
    lease,
)


def an_item_is_entered_once(case: JournalCase) -> None:
    """A listing names the same items again and again."""
    journal = case.make()
    assert enter(journal, case, "a", "b") == 2
    assert enter(journal, case, "a", "b", "c") == 1
    assert journal.count_waiting(SOURCE) == 3
    journal.close()


def a_better_locator_is_taken_and_makes_due(case: JournalCase) -> None:
    """The source may have named a wrong address before."""
    journal = case.make()
    journal.enter(SOURCE, TENANT, [WorkItem(STREAM, "a", {"url": "wrong"}, case.clock.now())])
    (item,) = lease(journal, 1)
    journal.postpone(item, "not there", case.clock.now().timestamp() + 600)
    assert not lease(journal, 1)
    journal.enter(SOURCE, TENANT, [WorkItem(STREAM, "a", {"url": "right"}, case.clock.now())])
    (item,) = lease(journal, 1)
    assert dict(item.work.locator) == {"url": "right"}
    journal.close()


def a_leased_item_is_leased_to_nobody_else(case: JournalCase) -> None:
    """Two threads, and later two machines, never fetch the same item at a time."""
    journal = case.make()
    enter(journal, case, "a", "b", "c")
    first, second = lease(journal, 2), lease(journal, 2)
    assert sorted(item.work.key for item in (*first, *second)) == ["a", "b", "c"]
    assert not lease(journal, 1)
    assert journal.count_due(SOURCE, [STREAM], 5) == 0
    journal.release(first[0])
    case.clock.advance(5)
    assert [item.work.key for item in lease(journal, 5)] == [first[0].work.key]
    journal.close()


def items_are_leased_by_stream_and_source(case: JournalCase) -> None:
    """A stream that stands still holds up no other."""
    journal = case.make()
    journal.enter(SOURCE, TENANT, [WorkItem(stream, f"{stream} 1", {}, case.clock.now()) for stream in ("x", "y")])
    journal.enter("other", TENANT, [WorkItem("x", "theirs", {}, case.clock.now())])
    assert [item.work.key for item in journal.lease(SOURCE, ["y"], 5)] == ["y 1"]
    assert [item.work.key for item in journal.lease(SOURCE, ["x", "y"], 5)] == ["x 1"]
    assert [item.work.key for item in journal.lease("other", ["x"], 5)] == ["theirs"]
    journal.close()


def new_content_goes_first_and_back_fill_gets_a_quarter(case: JournalCase) -> None:
    """Of live content the newest is begun first; of back-fill what expires first."""
    journal, now = case.make(), case.clock.now()
    live = [WorkItem(STREAM, f"live {age}", {}, now - timedelta(minutes=age)) for age in range(12)]
    old = [WorkItem(STREAM, f"old {left}", {}, now - timedelta(days=2), now + timedelta(hours=left)) for left in (3, 1, 2)]
    journal.enter(SOURCE, TENANT, [*old, *live])
    keys = [item.work.key for item in lease(journal, 20)]
    assert [key for key in keys if key.startswith("live")] == [f"live {age}" for age in range(12)]
    assert [key for key in keys if key.startswith("old")] == ["old 1", "old 2", "old 3"]
    assert [key.startswith("old") for key in keys[:12]].count(True) == 3
    journal.close()


def a_postponed_item_waits_for_its_time(case: JournalCase) -> None:
    """``next_due`` tells when to look again."""
    journal = case.make()
    enter(journal, case, "a")
    (item,) = lease(journal, 1)
    at = case.clock.now().timestamp() + 60
    journal.postpone(item, "no answer", at)
    assert not lease(journal, 1)
    assert journal.next_due(SOURCE, [STREAM]) == at
    case.clock.advance(61)
    (again,) = lease(journal, 1)
    assert again.attempts == 1
    assert journal.next_due(SOURCE, [STREAM]) is None
    journal.close()


def what_is_set_aside_waits_for_the_next_run(case: JournalCase) -> None:
    """A bounded run gives an item up without losing it."""
    journal = case.make()
    enter(journal, case, "a")
    (item,) = lease(journal, 1)
    journal.postpone(item, "no answer", case.clock.now().timestamp(), is_set_aside=True)
    case.clock.advance(60)
    assert not lease(journal, 1)
    assert journal.next_due(SOURCE, [STREAM]) is None
    assert journal.count_waiting(SOURCE) == 1
    journal.revoke(SOURCE)
    assert len(lease(journal, 1)) == 1
    journal.close()


def all_that_waits_can_be_made_due(case: JournalCase) -> None:
    """An operator who starts a run wants no pause of the last one."""
    journal = case.make()
    enter(journal, case, "a")
    (item,) = lease(journal, 1)
    journal.postpone(item, "no answer", case.clock.now().timestamp() + 600)
    journal.make_due(SOURCE)
    assert len(lease(journal, 1)) == 1
    journal.close()


def a_lost_lease_says_so_and_changes_nothing(case: JournalCase) -> None:
    """A holder that was thought dead must not undo what another did since."""
    journal = case.make()
    enter(journal, case, "a")
    (lost,) = lease(journal, 1)
    journal.revoke(SOURCE)
    (held,) = lease(journal, 1)
    attempts: list[Callable[[], object]] = [
        lambda: journal.commit([fetched(lost, case, "1")]),
        lambda: journal.stage(lost, chunk(case, "1")),
        lambda: journal.postpone(lost, "late", 0.0),
        lambda: journal.bury(lost, DeadLetter("fetch", "Late", "late", b""), "dead"),
    ]
    for attempt in attempts:
        assert is_refused(attempt)
    journal.release(lost)
    assert not lease(journal, 1)
    assert journal.unsettled(SINK) == []
    (result,) = journal.commit([fetched(held, case, "1")])
    assert (result.records, result.duplicates) == (1, 0)
    journal.close()


def a_lost_lease_undoes_the_whole_commit(case: JournalCase) -> None:
    """What is stored together stands or falls together; its Ids do not count as seen."""
    journal = case.make()
    enter(journal, case, "a", "b")
    one, other = lease(journal, 2)
    journal.bury(other, DeadLetter("fetch", "Gone", "gone", b""), "gone")
    assert is_refused(lambda: journal.commit([fetched(one, case, "1"), fetched(other, case, "2")]))
    assert journal.unsettled(SINK) == []
    (result,) = journal.commit([fetched(one, case, "1")])
    assert result.duplicates == 0
    journal.close()


def a_committed_lease_has_ended(case: JournalCase) -> None:
    """An item is stored once, whoever tries again."""
    journal = case.make()
    enter(journal, case, "a")
    (item,) = lease(journal, 1)
    journal.commit([fetched(item, case, "1")])
    assert is_refused(lambda: journal.commit([fetched(item, case, "1")]))
    assert journal.count_waiting(SOURCE) == 0
    assert len(journal.unsettled(SINK)) == 1
    journal.close()


def a_buried_item_is_not_fetched_again(case: JournalCase) -> None:
    """Its dead letter is counted from when it was noticed."""
    journal = case.make()
    enter(journal, case, "a")
    (item,) = lease(journal, 1)
    journal.bury(item, DeadLetter("fetch", "ContentGone", "expired", b""), "gone")
    assert journal.count_waiting(SOURCE) == 0
    assert journal.count_dead_letters(case.clock.now().timestamp()) == 1
    assert journal.count_dead_letters(case.clock.now().timestamp() + 1) == 0
    journal.close()


def a_listing_is_remembered(case: JournalCase) -> None:
    """The next listing begins where the last complete one ended; the begin of the first stays."""
    journal, now = case.make(), case.clock.now()
    assert journal.position(SOURCE, STREAM).listed_until is None
    journal.conclude_listing(SOURCE, TENANT, STREAM, {}, Listed(now, now - timedelta(days=1)))
    journal.conclude_listing(SOURCE, TENANT, STREAM, {}, Listed(now + timedelta(hours=1), now))
    position = journal.position(SOURCE, STREAM)
    assert position.listed_until == now + timedelta(hours=1)
    assert position.begin == now - timedelta(days=1)
    assert journal.position(SOURCE, "other").listed_until is None
    journal.close()


def a_gap_is_told_once(case: JournalCase) -> None:
    """A gap grows until a listing comes to its end; its notice is one batch for every sink."""
    journal, now = case.make(), case.clock.now()
    gap = Gap(now - timedelta(days=9), now - timedelta(days=8), "older than the service keeps")
    assert journal.note_gap(SOURCE, STREAM, gap)
    assert not journal.note_gap(SOURCE, STREAM, Gap(gap.start, gap.end + timedelta(hours=1), gap.reason))
    notice = Notice("notice:1", b'[{"Id":"1"}]')
    (ref,) = journal.conclude_listing(SOURCE, TENANT, STREAM, {gap: notice}, Listed(now))
    assert list(journal.unsettled(SINK)) == [ref]
    stored = journal.read(ref)
    assert (stored.origin.chunk.framing, stored.origin.chunk.body, stored.origin.tenant) == ("notice", notice.body, TENANT)
    assert journal.conclude_listing(SOURCE, TENANT, STREAM, {gap: notice}, Listed(now)) == []
    journal.close()


WORK_QUEUE_CHECKS: list[Callable[[JournalCase], None]] = [
    an_item_is_entered_once,
    a_better_locator_is_taken_and_makes_due,
    a_leased_item_is_leased_to_nobody_else,
    items_are_leased_by_stream_and_source,
    new_content_goes_first_and_back_fill_gets_a_quarter,
    a_postponed_item_waits_for_its_time,
    what_is_set_aside_waits_for_the_next_run,
    all_that_waits_can_be_made_due,
    a_lost_lease_says_so_and_changes_nothing,
    a_lost_lease_undoes_the_whole_commit,
    a_committed_lease_has_ended,
    a_buried_item_is_not_fetched_again,
    a_listing_is_remembered,
    a_gap_is_told_once,
]
