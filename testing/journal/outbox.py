"""Checks of batches on their way to sinks, and of what is removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ualpipe.pipeline.journal.types import (
    ConditionCount,
    DeadLetter,
    Settlement,
)
from ualpipe.pipeline.stages import WorkItem
from ualpipe.testing.journal.case import (
    KEEP_S,
    SINK,
    SOURCE,
    STREAM,
    TENANT,
    JournalCase,
    fetched,
    lease,
    store,
)


def each_sink_settles_for_itself(case: JournalCase) -> None:
    """A sink that is behind holds up no other."""
    journal = case.make()
    refs = [*store(journal, case, "a", "1").batches, *store(journal, case, "b", "2").batches]
    journal.settle("one", [Settlement(refs[0].id, delivered=1)], [])
    assert list(journal.unsettled("one")) == refs[1:]
    assert list(journal.unsettled("other")) == refs
    journal.close()


def what_a_stop_leaves_to_do_is_remembered(case: JournalCase) -> None:
    """Nothing is delivered twice at the next start."""
    journal = case.make()
    begun, settled, fresh = (store(journal, case, key, *ids).batches[0] for key, ids in (("a", "123"), ("b", "4"), ("c", "5")))
    journal.settle(SINK, [Settlement(begun.id, delivered=1, pending=[0, 2]), Settlement(settled.id, delivered=1)], [])
    assert list(journal.unsettled(SINK)) == [begun, fresh]
    journal.use_reserve()
    assert journal.left_to_do(SINK, [begun, settled, fresh]) == {begun: frozenset({0, 2}), settled: frozenset(), fresh: None}
    journal.settle(SINK, [Settlement(begun.id, delivered=2)], [])
    assert journal.left_to_do(SINK, [begun]) == {begun: frozenset()}
    assert journal.imbalances(0.0) == []
    journal.close()


def a_dead_letter_of_an_event_is_kept_once(case: JournalCase) -> None:
    """A batch that is delivered again after a crash makes no second one."""
    journal = case.make()
    (ref,) = store(journal, case, "a", "1").batches
    dead_letter = DeadLetter("sink", "SinkRejected", "too large", b'{"Id":"1"}', ref.id, 0, SINK)
    for _attempt in range(2):
        journal.settle(SINK, [Settlement(ref.id, dead=1)], [dead_letter])
    assert journal.count_dead_letters(0.0) == 1
    journal.close()


def sums_that_differ_are_found(case: JournalCase) -> None:
    """A settlement that does not account for every record is a bug, and perhaps a loss."""
    journal = case.make()
    (ref,) = store(journal, case, "a", "1", "2").batches
    journal.settle(SINK, [Settlement(ref.id, delivered=1)], [])
    (found,) = journal.imbalances(0.0)
    assert (found.node, found.into, found.out) == ("settlement", 2, 1)
    assert journal.imbalances(case.clock.now().timestamp() + 1) == []
    journal.close()


def what_every_sink_has_goes_after_its_time(case: JournalCase) -> None:
    """A batch that some sink still needs stays, however old."""
    journal = case.make()
    refs = [*store(journal, case, "a", "1").batches, *store(journal, case, "b", "2").batches]
    for sink in ("one", "other"):
        journal.settle(sink, [Settlement(refs[0].id, delivered=1)], [])
    journal.settle("one", [Settlement(refs[1].id, delivered=1)], [])
    assert journal.prune(["one", "other"], KEEP_S) == 0
    case.clock.advance(KEEP_S + 1)
    assert journal.prune(["one", "other"], KEEP_S) == 1
    assert list(journal.unsettled("other")) == refs[1:]
    assert journal.left_to_do("one", [refs[0]]) == {refs[0]: frozenset()}
    assert journal.read(refs[1]).origin.item == "b"
    journal.close()


def settled_items_are_forgotten_when_nobody_can_list_them_again(case: JournalCase) -> None:
    """Otherwise the ledger would grow for ever; an item whose content never expires is listed again, and stays."""
    journal, now = case.make(), case.clock.now()
    items = [WorkItem(STREAM, "expiring", {}, now, now + timedelta(days=7)), WorkItem(STREAM, "lasting", {}, now)]
    journal.enter(SOURCE, TENANT, items)
    results = journal.commit([fetched(item, case, item.work.key) for item in lease(journal, 2)])
    journal.settle(SINK, [Settlement(ref.id, delivered=1) for result in results for ref in result.batches], [])
    case.clock.advance(20 * 86400)
    journal.prune([SINK], KEEP_S)
    assert journal.enter(SOURCE, TENANT, items) == 0
    case.clock.advance(40 * 86400)
    journal.prune([SINK], KEEP_S)
    assert journal.enter(SOURCE, TENANT, items) == 1
    assert [item.work.key for item in lease(journal, 5)] == ["expiring"]
    journal.close()


def what_conditions_fit_is_remembered(case: JournalCase) -> None:
    """From run to run; the last note counts, and a condition that is no longer in it is forgotten."""
    journal = case.make()
    assert dict(journal.condition_counts()) == {}
    first = {place: ConditionCount("v1", "fits nothing", 3, 0, 5.5) for place in ("sinks.a.when", "sinks.b.when")}
    journal.note_conditions(first)
    assert dict(journal.condition_counts()) == first
    last = {"sinks.b.when": ConditionCount("v1", "fits nothing", 9, 0, 5.5, is_told=True)}
    journal.note_conditions(last)
    assert dict(journal.condition_counts()) == last
    journal.close()


def closing_twice_is_safe(case: JournalCase) -> None:
    """The supervisor closes the journal on every way out."""
    journal = case.make()
    journal.close()
    journal.close()


OUTBOX_CHECKS: list[Callable[[JournalCase], None]] = [
    each_sink_settles_for_itself,
    what_a_stop_leaves_to_do_is_remembered,
    a_dead_letter_of_an_event_is_kept_once,
    sums_that_differ_are_found,
    what_every_sink_has_goes_after_its_time,
    settled_items_are_forgotten_when_nobody_can_list_them_again,
    what_conditions_fit_is_remembered,
    closing_twice_is_safe,
]
