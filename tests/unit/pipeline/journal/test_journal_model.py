"""The journal against a model of it in plain Python.

The same history is played on both; after each step they have to agree, also after a crash. ``make fuzz`` plays more
histories.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from examples import few
from fakes import NOW, TENANT, FakeClock, body, chunks_of, open_journal, pack, record, rows, snapshot
from journal_model import IDS, NO_RECORD, Letter, Model, Stored
from ualpipe.pipeline.errors import LeaseLost
from ualpipe.pipeline.journal.replay import Selection
from ualpipe.pipeline.journal.sqlite import retention
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter, FetchedItem, LedgerItem, Settlement, StoredDeadLetter
from ualpipe.pipeline.records.cutting import CHUNK_BYTES
from ualpipe.pipeline.records.identity import DIGEST_BYTES, identity_of, suffix_of
from ualpipe.pipeline.stages import WorkItem

SINKS = ("one", "two")
STREAM = "stream"
SMALL_CHUNK = 600  # bytes: two or three records
HOUR_S = 3600.0
REMEMBERED_S = 3 * HOUR_S  # in place of a month, so that a history sees items come and go
IN_MEMORY = Path("/dev/shm")  # what a loss of power would do is not modelled, so that nothing has to wait for a disk
GONE = DeadLetter("fetch", "ContentGone", "gone", b"", attempts=1)

keys = st.sampled_from([f"blob-{number}" for number in range(8)])
numbers = st.lists(st.integers(0, 20), min_size=1, max_size=9)  # few, so that Ids come again within a blob and over blobs
ends = st.sampled_from(["commit", "commit", "commit", "error", "crash"])
fates = st.lists(st.sampled_from(["delivered", "delivered", "filtered", "refused", "dead", "pending"]), min_size=9, max_size=9)
sinks = st.sampled_from(SINKS)
pick = st.integers(0, 1 << 16)
delays = st.sampled_from([0.0, 10.0, 900.0])


def record_of(number: int) -> dict[str, Any]:
    """Returns the record of a number; from ``IDS`` on they have other contents under the Ids of those below."""
    return record(1 + number) if number < IDS else record(1 + number % IDS, Operation="Other")


def content_of(number: int) -> str:
    return suffix_of(identity_of(record_of(number), TENANT)[DIGEST_BYTES:])


def expires_at(key: str) -> timedelta | None:
    """Returns how long the content of a blob lasts; that of each third lasts for ever."""
    return timedelta(hours=2) if sum(key.encode()) % 3 else None


class JournalAndModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(retention, "ITEMS_S", REMEMBERED_S)
        self.tmp = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        self.clock = FakeClock()
        self.lives, self.more = itertools.count(), itertools.count()
        self.model = Model(SINKS)
        self.open(Path(self.tmp.name) / "state")

    def teardown(self) -> None:
        self.close()
        self.tmp.cleanup()
        self.patch.undo()

    def now(self) -> float:
        return self.clock.now().timestamp()

    # --- listing and leasing -----------------------------------------------------------------------------------------

    @rule(listed=st.lists(keys, min_size=1, max_size=4), most=st.integers(0, 5))
    def enter_and_lease(self, listed: list[str], most: int) -> None:
        self.enter(listed)
        self.lease(most)

    def enter(self, listed: list[str]) -> None:
        now, lasting = self.clock.now(), {key: expires_at(key) for key in listed}
        works = [WorkItem(STREAM, key, {}, NOW, lasts and now + lasts) for key, lasts in lasting.items()]
        expires = {key: lasts and (now + lasts).timestamp() for key, lasts in lasting.items()}
        assert self.journal.enter("source", TENANT, works) == self.model.enter(expires)

    def lease(self, most: int) -> None:
        due = self.model.due(self.now())
        assert self.journal.count_due("source", [STREAM], most) == min(most, len(due))
        items = self.journal.lease("source", [STREAM], most)
        leased = {item.work.key: item.attempts for item in items}
        assert len(items) == len(leased) == min(most, len(due))
        assert leased.items() <= {key: self.model.items[key].attempts for key in due}.items()
        self.model.lease(items)

    @precondition(lambda self: self.model.held)
    @rule(which=pick, how=st.sampled_from(["release", "postpone", "postpone", "set aside", "dead", "gone"]), delay_s=delays)
    def let_go(self, which: int, how: Any, delay_s: float) -> None:
        """Ends a lease without records."""
        item, at = self.held(which), self.now() + delay_s
        if how == "release":
            self.journal.release(item)
            self.model.let_go(item)
        elif how in ("dead", "gone"):
            self.journal.bury(item, GONE, how)
            self.model.bury(item, how)
        else:
            self.journal.postpone(item, "no answer", at, is_set_aside=how == "set aside")
            self.model.fail(item, at, is_set_aside=how == "set aside")
        self.journal.release(item)  # a fetch task does, whatever became of its items

    @precondition(lambda self: self.model.held or self.model.aside)
    @rule(most=st.integers(0, 5))
    def revoke_and_lease(self, most: int) -> None:
        self.journal.revoke("source")
        self.model.revoke()
        self.lease(most)

    @precondition(lambda self: any(entry.due_at > self.now() for entry in self.model.items.values()))
    @rule(most=st.integers(0, 5))
    def make_due_and_lease(self, most: int) -> None:
        self.journal.make_due("source")
        for entry in self.model.items.values():
            entry.due_at = 0.0
        self.lease(most)

    @precondition(lambda self: self.model.lost)
    @rule(which=pick, other=pick, attempt=st.sampled_from(["postpone", "bury", "stage", "commit", "commit with another"]))
    def try_with_a_lost_lease(self, which: int, other: int, attempt: str) -> None:
        """Whatever it is, it is refused; the invariants see whether anything has changed."""
        item = self.model.lost[which % len(self.model.lost)]
        chunk = pack(next(chunks_of(body([record_of(which % 21)]), CHUNK_BYTES)), self.clock)
        together = [FetchedItem(held, last=chunk) for held in ([self.held(other)] if self.model.held else [])]
        attempts: dict[str, Callable[[], object]] = {
            "postpone": lambda: self.journal.postpone(item, "late", 0.0),
            "bury": lambda: self.journal.bury(item, GONE, "dead"),
            "stage": lambda: self.journal.stage(item, chunk),
            "commit": lambda: self.journal.commit([FetchedItem(item, last=chunk)]),
            "commit with another": lambda: self.journal.commit([*together, FetchedItem(item, last=chunk)]),
        }
        with pytest.raises(LeaseLost):
            attempts[attempt]()
        self.journal.release(item)

    # --- fetching ----------------------------------------------------------------------------------------------------

    @rule(found=numbers, is_large=st.booleans(), end=ends)
    def enter_and_fetch(self, found: list[int], is_large: bool, end: str) -> None:
        if not self.model.held and not self.model.due(self.now()):
            self.enter([f"blob-{next(self.more)}-more"])
        if not self.model.held:
            self.lease(1)
        if self.model.held:
            self.take_in([self.held(0)], [found], CHUNK_BYTES if is_large else SMALL_CHUNK, end)

    @precondition(lambda self: self.model.held)
    @rule(which=pick, founds=st.lists(numbers, min_size=1, max_size=4), end=ends)
    def fetch_several(self, which: int, founds: list[list[int]], end: str) -> None:
        count = min(len(founds), len(self.model.held))
        self.take_in([self.held(which + at) for at in range(count)], founds[:count], SMALL_CHUNK, end)

    def take_in(self, items: list[LedgerItem], founds: list[list[int]], chunk_bytes: int, end: str) -> None:
        """Takes items in together, to one of the ends; all their chunks but the last are staged, or all."""
        fetched = [self.staged(item, found, chunk_bytes) for item, found in zip(items, founds, strict=True)]
        if end == "crash":
            self.take_over(self.copy())
        elif end == "error":
            self.journal.discard([chunk for one in fetched for chunk in one.staged])
        else:
            for item, result, found in zip(items, self.journal.commit(fetched), founds, strict=True):
                skipped = self.model.store(item, result.batches, found, self.now())
                assert [set(positions) for positions in result.skipped] == skipped
                assert (result.records, result.duplicates) == (len(found), sum(map(len, skipped)))

    def staged(self, item: LedgerItem, found: list[int], chunk_bytes: int) -> FetchedItem:
        *before, last = [pack(chunk, self.clock) for chunk in chunks_of(body(map(record_of, found)), chunk_bytes)]
        staged = [self.journal.stage(item, chunk) for chunk in before]
        if len(found) % 2 and staged:
            return FetchedItem(item, [*staged, self.journal.stage(item, last)])
        return FetchedItem(item, staged, last)

    # --- delivering --------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(self.model.unsettled(sink) for sink in SINKS))
    @rule(sink=sinks, fates=fates, is_stopped=st.booleans())
    def catch_up(self, sink: str, fates: list[str], is_stopped: bool) -> None:
        for at in range(len(self.model.unsettled(sink)) - 1, -1, -1):
            self.settle(sink, at, fates, is_stopped)

    @precondition(lambda self: any(self.model.unsettled(sink) for sink in SINKS))
    @rule(sink=sinks, which=pick, fates=fates, is_stopped=st.booleans())
    def settle(self, sink: str, which: int, fates: list[str], is_stopped: bool) -> None:
        """Settles a batch; in part, where a clean stop comes in between."""
        if not (open_batches := self.model.unsettled(sink)):
            return
        batch = open_batches[which % len(open_batches)]
        left = sorted(batch.left(sink))
        fate_of = {at: fate if is_stopped or fate != "pending" else "delivered" for at, fate in zip(left, fates, strict=False)}
        assert len(fate_of) == len(left)
        self.journal.settle(sink, [_settlement(batch, fate_of)], _letters(batch, sink, fate_of))
        self.model.settle(sink, batch, fate_of)

    # --- dead letters ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.dead())
    @rule(which=pick, is_sent=st.booleans())
    def look_after_a_dead_letter(self, which: int, is_sent: bool) -> None:
        letter, stored = self.chosen_letter(which)
        if is_sent:
            self.requeue(letter, stored)
        else:
            self.changes.discard(stored)
            letter.state = "discarded"

    def requeue(self, letter: Letter, stored: StoredDeadLetter) -> None:
        before = self.batch_ids()
        is_lost = self.model.is_lost(letter, self.now())
        assert self.reader.is_lost(stored) == is_lost
        assert self.changes.requeue(stored) != is_lost
        if not is_lost:
            self.model.requeue(letter, next(iter(self.batch_ids() - before), None), self.now())

    # --- care --------------------------------------------------------------------------------------------------------

    @rule(hours=st.integers(1, 5), keep_hours=st.integers(0, 6))
    def prune(self, hours: int, keep_hours: int) -> None:
        self.clock.advance(hours * HOUR_S)
        removed = self.journal.prune(SINKS, keep_hours * HOUR_S)
        assert removed == self.model.prune(self.now() - keep_hours * HOUR_S, self.now() - REMEMBERED_S)

    @rule(sink=sinks)
    def replay(self, sink: str) -> None:
        """All that is kept goes to a sink once more, each record once: what was retried is not sent beside its original."""
        chosen = self.reader.choose(sink, Selection(), is_alone=True)
        meant = {number: batch for number, batch in self.model.batches.items() if batch.is_for(sink)}
        copies = self.model.copies(sink)
        assert {batch.id for batch in chosen.copies} == copies
        assert {batch.id for batch in chosen.batches} == set(meant) - copies
        assert chosen.records == sum(len(meant[number].records) - len(meant[number].duplicates) for number in set(meant) - copies)
        self.changes.send_again(sink, chosen, [other for other in SINKS if other != sink])
        self.model.replay(sink)

    @rule(is_crash=st.booleans())
    def begin_anew(self, is_crash: bool) -> None:
        if is_crash:
            self.take_over(self.copy())
        else:
            self.close()
            self.take_over(self.folder)

    def copy(self) -> Path:
        """Copies the state directory as a crash would leave it."""
        return snapshot(self.folder, Path(self.tmp.name) / f"life-{next(self.lives)}")

    def take_over(self, folder: Path) -> None:
        self.close()
        self.open(folder)
        self.model.begin_anew()

    def open(self, folder: Path) -> None:
        self.folder = folder
        self.journal = open_journal(folder, self.clock, sinks=SINKS)
        self.reader = SqliteJournalReader(folder, self.clock)
        self.changes = SqliteJournalChanges(folder, self.clock)

    def close(self) -> None:
        for side in (self.journal, self.reader, self.changes):
            side.close()

    # --- what has to hold --------------------------------------------------------------------------------------------

    @invariant()
    def each_sink_is_owed_what_the_model_says(self) -> None:
        for sink in SINKS:
            refs = self.journal.unsettled(sink)
            assert [ref.id for ref in refs] == [batch.id for batch in self.model.unsettled(sink)]
            for ref in refs:
                batch, left = self.model.batches[ref.id], self.journal.left_to_do(sink, [ref])[ref]
                assert (set(left) if left is not None else set(range(ref.records)) - batch.duplicates) == batch.left(sink)
                stored = self.journal.read(ref)
                assert stored.origin.chunk.records == [record_of(number) for number in batch.records]
                assert stored.duplicates == batch.duplicates
                assert {at: one.content for at, one in stored.conflicts.items()} == {
                    at: content_of(batch.records[at]) for at in batch.conflicts
                }

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        found = rows(self.folder, "SELECT key, state, attempts, records, duplicates FROM item")
        assert {key: tuple(rest) for key, *rest in found} == {key: entry.row for key, entry in self.model.items.items()}
        free = self.model.free()
        assert self.journal.next_due("source", [STREAM]) == min((entry.due_at for entry in free.values()), default=None)
        assert self.journal.count_waiting("source") == sum(one.state == "listed" for one in self.model.items.values())

    @invariant()
    def the_sums_of_the_status_are_those_of_the_model(self) -> None:
        streams = self.reader.status(SINKS).streams
        found = [(s.waiting, s.fetched, s.dead, s.gone, s.records, s.duplicates, s.conflicts) for s in streams]
        assert (found or [(0,) * 7]) == [self.model.sums()]

    @invariant()
    def dead_letters_are_those_of_the_model(self) -> None:
        found = [(_place(one), one.dead_letter.body) for one in self.reader.dead_letters()]
        wanted = [(one.place, body_of(one.number)) for one in self.model.dead()]
        assert Counter(found) == Counter(wanted)
        assert self.journal.count_dead_letters(0.0) == len(wanted)

    @invariant()
    def nothing_is_unaccounted_for(self) -> None:
        assert self.journal.imbalances(0.0) == []
        settled = set(rows(self.folder, "SELECT s.sink, b.id FROM settlement s JOIN batch b ON b.id = s.batch"))
        assert settled == {(sink, batch.id) for batch in self.model.batches.values() for sink in batch.done}
        assert self.batch_ids() == self.model.batches.keys(), "none is left of what was given up, and none is missing"
        assert rows(self.folder, "PRAGMA foreign_key_check") == []

    # --- looking up --------------------------------------------------------------------------------------------------

    def held(self, which: int) -> LedgerItem:
        """Returns an item that is leased."""
        return self.model.held[sorted(self.model.held)[which % len(self.model.held)]]

    def batch_ids(self) -> set[int]:
        return {number for (number,) in rows(self.folder, "SELECT id FROM batch")}

    def chosen_letter(self, which: int) -> tuple[Letter, StoredDeadLetter]:
        """Returns a dead letter of the model, and its twin in the journal."""
        twin = self.reader.dead_letters()[which % len(self.model.dead())]
        return next(one for one in self.model.dead() if one.place == _place(twin)), twin


def _place(stored: StoredDeadLetter) -> tuple[str, int, int, str | None]:
    return stored.item, stored.dead_letter.batch or 0, stored.dead_letter.position or 0, stored.dead_letter.sink


def _settlement(batch: Stored, fate_of: Mapping[int, str]) -> Settlement:
    counts = Counter(fate_of.values())
    pending = [at for at, fate in fate_of.items() if fate == "pending"]
    return Settlement(batch.id, counts["delivered"], counts["filtered"], counts["dead"] + counts["refused"], pending)


def _letters(batch: Stored, sink: str, fate_of: Mapping[int, str]) -> list[DeadLetter]:
    stages = {"dead": ("sink", sink), "refused": ("transform", None)}
    return [
        DeadLetter(
            *(stages[fate][0], "SinkRejected", "no", body_of(batch.records[at]), batch.id, at, stages[fate][1]),
            conflict=content_of(batch.records[at]) if at in batch.conflicts else "",
        )
        for at, fate in fate_of.items()
        if fate in stages
    ]


def body_of(number: int) -> bytes:
    """Returns the bytes of a record; none for a work item."""
    return b"" if number == NO_RECORD else body([record_of(number)])[1:-1]


@pytest.mark.fuzz
def test_the_journal_does_what_its_model_does() -> None:
    machine = JournalAndModel.TestCase()
    machine.settings = settings(max_examples=few(40), stateful_step_count=40, deadline=None)
    machine.runTest()
