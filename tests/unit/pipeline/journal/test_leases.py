"""Leases: whoever has an item has it alone, threads or not, and who has lost it learns so before anything is changed."""

import random
import sys
import threading
from collections import Counter
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest

from fakes import NOW, PATIENCE_S, TENANT, FakeClock, body, change, keys, lease, listed, open_journal, pack, records, rows
from ualpipe.pipeline.errors import LeaseLost
from ualpipe.pipeline.journal.due_items import AHEAD, FRESH_S
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter, FetchedItem, LedgerItem
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import WorkItem

STREAMS = ["stream"]
GONE = DeadLetter("fetch", "ContentGone", "gone", b"")


@pytest.fixture
def journal(file):
    return SqliteJournal(file)


def fetched(journal, item: LedgerItem) -> FetchedItem:
    """Returns an item with a record of its own."""
    return FetchedItem(item, last=pack(Chunk(body([{"Id": item.work.key}]), "array"), journal.clock))


# --- one at a time ---------------------------------------------------------------------------------------------------


def test_each_lease_has_a_token_of_its_own(journal):
    listed(journal, "a", "b")
    first, second = lease(journal)
    journal.release(first)
    (again,) = lease(journal)
    assert again.id == first.id
    assert len({first.lease, second.lease, again.lease}) == 3


def test_what_is_leased_is_neither_due_nor_counted(journal):
    listed(journal, "a", "b", "c")
    lease(journal, 2)
    assert journal.count_due("source", STREAMS, 9) == 1
    assert journal.next_due("source", STREAMS) == 0
    lease(journal)
    assert journal.count_due("source", STREAMS, 9) == 0
    assert journal.next_due("source", STREAMS) is None
    assert journal.count_waiting("source") == 3


def test_more_are_not_counted_than_were_asked_for(journal):
    listed(journal, *map(str, range(3 * AHEAD)))
    for most in (0, 1, AHEAD, 2 * AHEAD):
        assert journal.count_due("source", STREAMS, most) == most
    assert len(lease(journal, 2 * AHEAD)) == 2 * AHEAD


def test_a_released_item_is_leased_again_and_has_not_failed(journal, tmp_path):
    listed(journal, "a")
    (item,) = lease(journal)
    journal.release(item)
    (again,) = lease(journal)
    assert (again.work.key, again.attempts) == ("a", 0)
    assert rows(tmp_path, "SELECT state, attempts FROM item") == [("listed", 0)]


def test_leases_end_with_the_process(journal, file, tmp_path, clock):
    listed(journal, "a", "b")
    first, _second = lease(journal)
    journal.postpone(first, "no answer", 0.0, is_set_aside=True)
    journal.close()
    again = open_journal(tmp_path, clock)
    assert keys(lease(again)) == ["a", "b"]
    again.close()


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_item_that_was_sent_again_is_leased_in_the_same_run(journal, tmp_path, clock, is_stored):
    listed(journal, "a")
    (item,) = lease(journal)
    if is_stored:
        journal.commit([FetchedItem(item, rest=GONE)])
    else:
        journal.bury(item, GONE, "dead")
    with closing(SqliteJournalReader(tmp_path, clock)) as reader, closing(SqliteJournalChanges(tmp_path, clock)) as changes:
        assert changes.requeue(*reader.dead_letters())
    assert keys(lease(journal)) == ["a"]


# --- lost ------------------------------------------------------------------------------------------------------------

CHANGES = {
    "commit": lambda journal, item: journal.commit([fetched(journal, item)]),
    "postpone": lambda journal, item: journal.postpone(item, "late", 0.0),
    "set aside": lambda journal, item: journal.postpone(item, "late", 0.0, is_set_aside=True),
    "bury": lambda journal, item: journal.bury(item, GONE, "gone"),
}
STATE = "SELECT state, attempts, error FROM item"


@pytest.mark.parametrize("attempt", CHANGES.values(), ids=CHANGES)
def test_a_revoked_lease_is_lost(journal, tmp_path, attempt):
    listed(journal, "a")
    (lost,) = lease(journal)
    journal.revoke("source")
    with pytest.raises(LeaseLost, match="a: the lease was lost; who has it now fetches it"):
        attempt(journal, lost)
    assert rows(tmp_path, STATE) == [("listed", 0, None)]
    assert rows(tmp_path, "SELECT count(*) FROM batch UNION ALL SELECT count(*) FROM dead_letter") == [(0,), (0,)]


@pytest.mark.parametrize("state", ["fetched", "dead", "gone"])
@pytest.mark.parametrize("attempt", CHANGES.values(), ids=CHANGES)
def test_a_lease_of_an_item_that_was_done_meanwhile_is_lost(journal, tmp_path, attempt, state):
    """Whoever shares the ledger may have done it: nothing is stored twice, and no state goes back."""
    listed(journal, "a")
    (lost,) = lease(journal)
    change(tmp_path, "UPDATE item SET state = ?", (state,))
    with pytest.raises(LeaseLost):
        attempt(journal, lost)
    assert rows(tmp_path, STATE) == [(state, 0, None)]
    assert rows(tmp_path, "SELECT count(*) FROM batch UNION ALL SELECT count(*) FROM dead_letter") == [(0,), (0,)]


def test_one_item_that_was_done_meanwhile_undoes_the_commit_of_all(journal, tmp_path):
    listed(journal, "a", "b")
    items = lease(journal)
    change(tmp_path, "UPDATE item SET state = 'gone' WHERE key = 'b'")
    with pytest.raises(LeaseLost, match="b: "):
        journal.commit([fetched(journal, item) for item in items])
    assert rows(tmp_path, "SELECT key, state FROM item ORDER BY key") == [("a", "listed"), ("b", "gone")]
    (result,) = journal.commit([fetched(journal, next(item for item in items if item.work.key == "a"))])
    assert result.duplicates == 0, "the lease still holds, and its Ids do not count as seen"


def test_a_chunk_can_not_be_staged_without_the_lease(journal, tmp_path):
    listed(journal, "a")
    (lost,) = lease(journal)
    journal.revoke("source")
    with pytest.raises(LeaseLost):
        journal.stage(lost, pack(Chunk(body(records(1, 2)), "array"), journal.clock))
    assert rows(tmp_path, "SELECT count(*) FROM batch") == [(0,)]


def test_who_lost_a_lease_does_not_end_that_of_another(journal):
    listed(journal, "a")
    (lost,) = lease(journal)
    journal.revoke("source")
    (held,) = lease(journal)
    journal.release(lost)
    assert lease(journal) == []
    journal.commit([fetched(journal, held)])


def test_only_leases_of_the_source_are_revoked(journal):
    for source in ("source", "other"):
        listed(journal, "a", source=source)
    (lost,), (held,) = lease(journal), lease(journal, source="other")
    journal.revoke("source")
    assert keys(lease(journal)) == ["a"]
    assert lease(journal, source="other") == []
    journal.commit([fetched(journal, held)])
    with pytest.raises(LeaseLost):
        journal.commit([fetched(journal, lost)])


def test_revoking_without_any_lease_changes_nothing(journal):
    listed(journal, "a")
    journal.revoke("source")
    journal.revoke("another")
    assert keys(lease(journal)) == ["a"]


# --- set aside -------------------------------------------------------------------------------------------------------


def set_aside(journal, *found: str) -> LedgerItem:
    """Gives one item up for this run."""
    listed(journal, *found)
    first, *others = lease(journal)
    for item in others:
        journal.release(item)
    journal.postpone(first, "no answer", 0.0, is_set_aside=True)
    return first


def test_what_is_set_aside_is_leased_to_nobody_though_it_is_due(journal, clock):
    item = set_aside(journal, "a", "b")
    clock.advance(FRESH_S)
    assert len(lease(journal)) == 1
    assert journal.count_due("source", STREAMS, 9) == 0
    assert journal.next_due("source", STREAMS) is None
    assert journal.count_waiting("source") == 2
    with pytest.raises(LeaseLost):
        journal.commit([fetched(journal, item)])


def test_releasing_what_was_set_aside_does_not_put_it_back(journal, clock):
    """A fetch task releases all that it had, whatever became of it."""
    journal.release(set_aside(journal, "a"))
    clock.advance(FRESH_S)
    assert lease(journal) == []


def test_what_was_set_aside_may_be_made_due_and_still_waits_for_the_next_run(journal, clock):
    set_aside(journal, "a")
    journal.make_due("source")
    listed(journal, "a", "b")
    clock.advance(FRESH_S)
    assert keys(lease(journal)) == ["b"]
    journal.revoke("source")
    assert keys(lease(journal)) == ["a", "b"]


# --- reading ahead ---------------------------------------------------------------------------------------------------


@pytest.fixture
def selects(file):
    """Returns the queries of items since the last time."""
    found: list[str] = []
    file.db.set_trace_callback(found.append)

    def since() -> int:
        count = sum(statement.startswith("SELECT id, source") for statement in found)
        found.clear()
        return count

    return since


def test_items_are_read_some_at_a_time(journal, selects):
    listed(journal, *map(str, range(2 * AHEAD)))
    assert len(lease(journal, 1)) == 1
    assert selects() == 2, "live content, and back-fill"
    for _item in range(AHEAD):
        assert len(lease(journal, 1)) == 1
        assert journal.count_due("source", STREAMS, 1) == 1
    assert selects() <= 2
    assert len(lease(journal)) == AHEAD - 1


def test_what_was_read_ahead_does_not_wait_for_a_transaction_under_way(journal, file):
    """A commit takes as long as the disk does; an item that is at hand is begun meanwhile."""
    listed(journal, "a", "b")
    (first,) = lease(journal, 1)
    found: list[LedgerItem] = []

    def work() -> None:
        found.extend(lease(journal, 1))
        journal.release(first)

    with file.transaction():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(PATIENCE_S)
        assert keys(found) == ["b"]
    assert not thread.is_alive()


def test_what_a_listing_brings_is_seen_at_once(journal):
    listed(journal, *map(str, range(AHEAD)))
    lease(journal, 1)
    journal.enter("source", TENANT, [WorkItem("stream", "new", {}, NOW + timedelta(seconds=1))])
    assert keys(lease(journal, 1)) == ["new"]


@pytest.mark.parametrize("is_failed", [False, True])
def test_a_listing_that_could_not_be_stored_leaves_nothing_behind_that_was_read_before(journal, is_failed):
    listed(journal, "a", "b")
    (first,) = lease(journal, 1)
    works = [WorkItem("stream", key, {"url": "better"}, NOW) for key in "ab"]
    if is_failed:
        with pytest.raises(ZeroDivisionError):
            journal.enter("source", TENANT, (work if work.key == "a" else 1 / 0 for work in works))
    else:
        journal.enter("source", TENANT, works)
    (second,) = lease(journal, 1)
    assert {first.work.key, second.work.key} == {"a", "b"}
    assert dict(second.work.locator) == ({} if is_failed else {"url": "better"})


def test_what_is_made_due_is_seen_at_once(journal, clock):
    journal.enter("source", TENANT, [WorkItem("stream", "newest", {}, NOW + timedelta(seconds=1))])
    listed(journal, *map(str, range(AHEAD)))
    (item,) = lease(journal, 1)
    journal.postpone(item, "no answer", clock.now().timestamp() + 600)
    assert keys(lease(journal, 1)) != ["newest"]
    journal.make_due("source")
    assert keys(lease(journal, 1)) == ["newest"]


def test_what_another_process_changes_is_seen_within_the_second(journal, tmp_path, clock):
    listed(journal, *map(str, range(AHEAD)), "dead")
    change(tmp_path, "UPDATE item SET state = 'dead' WHERE key = 'dead'")
    lease(journal, 1)
    change(tmp_path, "UPDATE item SET state = 'listed', created = created + 1 WHERE key = 'dead'")
    assert keys(lease(journal, 1)) != ["dead"], "it was read ahead"
    clock.advance(FRESH_S)
    assert keys(lease(journal, 1)) == ["dead"]


def test_an_item_that_another_process_took_out_of_the_queue_is_not_stored(journal, tmp_path, clock):
    """It may have been read ahead; its lease is lost then, and after a second it is not even leased."""
    listed(journal, *map(str, range(AHEAD)))
    lease(journal, 1)
    change(tmp_path, "UPDATE item SET state = 'gone'")
    (stale,) = lease(journal, 1)
    with pytest.raises(LeaseLost):
        journal.commit([fetched(journal, stale)])
    clock.advance(FRESH_S)
    assert lease(journal) == []


def test_streams_of_which_none_are_open_lease_nothing(journal):
    listed(journal, "a")
    assert journal.lease("source", [], 5) == []
    assert journal.count_due("source", [], 5) == 0
    assert keys(lease(journal)) == ["a"]


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _hasty():
    """Lets threads take turns a thousand times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


class Workers:
    """Threads that lease items and let go of them in one way or another, until ``is_done``; in a deadlock they would hang."""

    def __init__(self, journal: SqliteJournal, is_done) -> None:
        self._journal = journal
        self._is_done = is_done
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self.leased: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.clashes: list[str] = []
        self.errors: list[BaseException] = []

    def run(self, let_go) -> None:
        """Runs six of them; ``let_go`` gets the items and a random number."""
        work = partial(self._work, let_go)
        threads = [threading.Thread(target=work, args=(random.Random(number),), daemon=True) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in threads)
        assert self.errors == []

    def _work(self, let_go, rng: random.Random) -> None:
        try:
            while not self._is_done(self) and not self.errors:
                # Few are at hand, many have to be read: some threads read while others take what was read before.
                items = self._journal.lease("source", STREAMS, rng.choice([1, 1, 1, 2, AHEAD]))
                self._take(items)
                assert self._journal.count_due("source", STREAMS, 2) <= 2
                with self._lock:  # before it is let go of: from then on another thread may have it
                    self._held.difference_update(item.id for item in items)
                let_go(items, rng.random())
        except BaseException as exc:  # noqa: BLE001 - shown by the test
            self.errors.append(exc)

    def _take(self, items) -> None:
        with self._lock:
            self.clashes += [item.work.key for item in items if item.id in self._held]
            self._held.update(item.id for item in items)
            self.leased.update(item.work.key for item in items)


def test_threads_that_lease_at_a_time_never_get_the_same_item(journal):
    listed(journal, *map(str, range(200)))

    def let_go(items, _drawn: float) -> None:
        for item in items:
            journal.release(item)

    workers = Workers(journal, lambda one: one.leased.total() > 3000)
    workers.run(let_go)
    assert workers.clashes == []
    assert len(lease(journal, 300)) == 200, "each lease has ended"


def test_threads_that_store_items_at_a_time_store_each_once(journal, tmp_path):
    """Also while others are listed, postponed and given back."""
    wanted = [str(number) for number in range(150)]
    listed(journal, *wanted[:100])

    def let_go(items, drawn: float) -> None:
        if drawn < 0.4:
            for item in items:
                journal.release(item) if drawn < 0.2 else journal.postpone(item, "no answer", 0.0)
        elif items:
            journal.commit([fetched(journal, item) for item in items])
            workers.stored.update(item.work.key for item in items)

    workers = Workers(journal, lambda one: one.stored.total() >= len(wanted))
    lister = threading.Thread(target=lambda: [listed(journal, *wanted[at : at + 5]) for at in range(50, 150, 5)])
    lister.start()
    workers.run(let_go)
    lister.join()
    assert workers.clashes == []
    assert workers.stored == Counter(wanted)
    assert rows(tmp_path, "SELECT state, count(*) FROM item GROUP BY state") == [("fetched", len(wanted))]
    assert rows(tmp_path, "SELECT count(*), sum(length(duplicates)) FROM batch") == [(len(wanted), 0)]


def test_threads_whose_leases_are_revoked_store_nothing_twice(journal, tmp_path):
    """Each round two threads have the same items, one of them by a lease that was taken back."""
    wanted = [str(number) for number in range(40)]
    listed(journal, *wanted)
    refused: list[str] = []

    def work(items) -> None:
        for item in items:
            try:
                journal.commit([fetched(journal, item)])
            except LeaseLost:
                refused.append(item.work.key)

    while journal.count_due("source", STREAMS, 1):
        first = lease(journal, 4)
        journal.revoke("source")
        second = lease(journal, 4)
        threads = [threading.Thread(target=work, args=(items,)) for items in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(refused) == sorted(wanted)
    assert rows(tmp_path, "SELECT count(*), sum(length(duplicates)) FROM batch") == [(len(wanted), 0)]


class Ticking(FakeClock):
    """Time that passes from one look at it to the next."""

    def monotonic(self) -> float:
        self.advance(0.6 * FRESH_S)
        return super().monotonic()


@pytest.mark.parametrize("ask", ["lease", "count_due"])
def test_nobody_waits_for_the_file_with_the_leases_locked(tmp_path, ask):
    """Items at hand may become stale between two looks; who commits meanwhile has the file, and asks for the leases."""
    file = JournalFile(tmp_path, clock := Ticking(), exclusive=True)
    journal = SqliteJournal(file)
    listed(journal, *"abcdefgh")
    (item,) = lease(journal, 1)
    assert clock.now() > NOW
    with file.lock:
        asking = threading.Thread(target=lambda: [getattr(journal, ask)("source", STREAMS, 1) for _ in range(3)])
        asking.start()
        asking.join(0.2)
        releasing = threading.Thread(target=journal.release, args=(item,))
        releasing.start()
        releasing.join(PATIENCE_S)
        assert not releasing.is_alive(), "it waits for who waits for us"
    asking.join(PATIENCE_S)
    journal.close()
