"""Checks of what outlives the process."""

from __future__ import annotations

from collections.abc import Callable

from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.testing.journal.case import (
    SINK,
    SOURCE,
    JournalCase,
    chunk,
    enter_and_lease,
    fetched,
    lease,
    store,
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


JOURNAL_CRASH_CHECKS: list[Callable[[JournalCase], None]] = [
    what_was_committed_outlives_a_crash,
]
