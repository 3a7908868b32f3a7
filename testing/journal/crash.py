"""Checks of what outlives the process."""

from __future__ import annotations

from collections.abc import Callable

from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.journal.types import Conflict, FetchedItem
from ualpipe.pipeline.records.identity import DIGEST_BYTES, suffix_of
from ualpipe.testing.journal.case import (
    SINK,
    SOURCE,
    JournalCase,
    chunk,
    chunk_of,
    enter_and_lease,
    fetched,
    lease,
    store,
    told_apart,
)


def what_was_committed_outlives_a_crash(case: JournalCase) -> None:
    """Leases end with the process; staged chunks that did not count are gone; Ids are still known."""
    assert case.reopen is not None
    journal = case.make()
    (ref,) = store(journal, case, "a", "1").batches
    (item,) = enter_and_lease(journal, case, "b")
    journal.stage(item, chunk(case, "2"))
    journal.add_drift({(Thing(FIELD, "6", "New"), SOURCE): 1})
    journal = case.reopen(journal)
    assert list(journal.unsettled(SINK)) == [ref]
    assert journal.known_drift() == {Thing(FIELD, "6", "New")}
    (again,) = lease(journal, 5)
    assert again.work.key == "b"
    (result,) = journal.commit([fetched(again, case, "1", "2")])
    assert [sorted(positions) for positions in result.skipped] == [[0]]
    assert len(journal.unsettled(SINK)) == 2
    journal.close()


def contents_outlive_a_crash(case: JournalCase) -> None:
    """What was not committed was not seen: the content that comes first then is the first."""
    assert case.reopen is not None
    journal = case.make()
    first, other, third = (told_apart("1", content) for content in ("first", "other", "third"))
    (item,) = enter_and_lease(journal, case, "a")
    (before,) = journal.commit([FetchedItem(item, last=chunk_of(case, first, other), on_conflict="dead_letter")])
    (item,) = enter_and_lease(journal, case, "b")
    journal.stage(item, chunk_of(case, third))
    journal = case.reopen(journal)
    stored = journal.read(before.batches[0])
    assert stored.conflicts == before.conflicts[0] == {1: Conflict(suffix_of(other[DIGEST_BYTES:]), is_set_aside=True)}
    (again,) = lease(journal, 5)
    (result,) = journal.commit([FetchedItem(again, last=chunk_of(case, third, other, first))])
    assert (sorted(result.skipped[0]), sorted(result.conflicts[0]), result.new_conflicts) == ([1, 2], [0, 1], 1)
    journal.close()


JOURNAL_CRASH_CHECKS: list[Callable[[JournalCase], None]] = [
    what_was_committed_outlives_a_crash,
    contents_outlive_a_crash,
]
