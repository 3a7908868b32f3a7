"""The journal against a model of it in plain Python: what each sink is owed, what is a duplicate, what the ledger says.

The same history is played on both; after each step they have to agree, also after a crash. ``make fuzz`` plays more
histories.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes import NOW, TENANT, FakeClock, body, chunks_of, record, snapshot
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.queries.replay import Selection, choose, send_again
from ualpipe.pipeline.journal.types import DeadLetter, LedgerItem, Settlement
from ualpipe.pipeline.records.cutting import CHUNK_BYTES
from ualpipe.pipeline.stages import WorkItem

SINKS = ("one", "two")
SMALL_CHUNK = 600  # bytes: two or three records
HOUR_S = 3600.0
IN_MEMORY = Path("/dev/shm")  # what a loss of power would do is not modelled, so that nothing has to wait for a disk

keys = st.sampled_from([f"blob-{number}" for number in range(8)])
numbers = st.lists(st.integers(0, 20), min_size=1, max_size=9)  # few, so that Ids come again within a blob and over blobs
ends = st.sampled_from(["commit", "commit", "commit", "error", "crash"])
fates = st.lists(st.sampled_from(["delivered", "delivered", "filtered", "refused", "dead", "pending"]), min_size=9, max_size=9)
sinks = st.sampled_from(SINKS)
pick = st.integers(0, 1 << 16)


@dataclass
class Stored:
    """A batch of the model: numbers of its records, positions that are duplicates, and what each sink has done with it."""

    id: int
    key: str
    records: list[int]
    duplicates: set[int]
    stored_at: float
    only_sink: str | None = None
    done: dict[str, Counter[str]] = field(default_factory=dict)
    pending: dict[str, set[int]] = field(default_factory=dict)

    def is_for(self, sink: str) -> bool:
        return self.only_sink in (None, sink)

    def left(self, sink: str) -> set[int]:
        """Returns the positions that a sink is owed."""
        if not self.is_for(sink):
            return set()
        return self.pending[sink] if sink in self.done else set(range(len(self.records))) - self.duplicates

    def is_settled(self, sink: str) -> bool:
        return sink in self.done and not self.pending[sink]


@dataclass
class Letter:
    batch: int
    position: int
    sink: str | None
    number: int
    key: str
    state: str = "dead"


@dataclass
class Entry:
    """What the ledger of the model says of a work item."""

    state: str = "listed"
    attempts: int = 0
    records: int | None = None
    duplicates: int | None = None


class JournalAndModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.tmp = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        self.clock = FakeClock()
        self.lives = itertools.count()
        self.folder = Path(self.tmp.name) / "state"
        self.journal = open_journal(self.folder, self.clock)
        self.items: dict[str, Entry] = {}
        self.seen: set[int] = set()
        self.batches: dict[int, Stored] = {}
        self.letters: list[Letter] = []
        self.made_of: dict[int, set[int]] = {}  # of a dead letter sent again: the batches that the record was in before

    def teardown(self) -> None:
        self.journal.close()
        self.tmp.cleanup()

    # --- listing and fetching ----------------------------------------------------------------------------------------

    @rule(listed=st.lists(keys, min_size=1, max_size=4))
    def enter(self, listed: list[str]) -> None:
        fresh = self.journal.ledger.enter("source", TENANT, [WorkItem("stream", key, {}, NOW) for key in listed])
        assert fresh == len(set(listed) - set(self.items))
        for key in listed:
            self.items.setdefault(key, Entry())

    @rule(found=numbers, is_large=st.booleans(), end=ends)
    def enter_and_fetch(self, found: list[int], is_large: bool, end: str) -> None:
        if not self.waiting():
            self.enter([f"blob-{len(self.items)}-more"])
        self.fetch(len(self.items), found, is_large, end)

    @precondition(lambda self: self.waiting())
    @rule(which=pick, found=numbers, is_large=st.booleans(), end=ends)
    def fetch(self, which: int, found: list[int], is_large: bool, end: str) -> None:
        self.take_in([self.chosen(which)], [found], CHUNK_BYTES if is_large else SMALL_CHUNK, end)

    @precondition(lambda self: len(self.waiting()) > 1)
    @rule(which=pick, founds=st.lists(numbers, min_size=2, max_size=4), end=ends)
    def fetch_several(self, which: int, founds: list[list[int]], end: str) -> None:
        items = [self.chosen(which + at) for at in range(min(len(founds), len(self.waiting())))]
        self.take_in(items, founds, SMALL_CHUNK, end)

    def take_in(self, items: list[LedgerItem], founds: list[list[int]], chunk_bytes: int, end: str) -> None:
        """Takes items in together, to one of the ends."""
        with ExitStack() as undo:
            intakes = [undo.enter_context(self.journal.batches.receive(item)) for item in items]
            for intake, found in zip(intakes, founds, strict=False):
                for chunk in chunks_of(body(map(record, found)), chunk_bytes):
                    intake.add(chunk)
                if end == "commit":
                    intake.finish()
            if end == "commit":
                for item, received, found in zip(items, self.journal.batches.commit(intakes), founds, strict=False):
                    assert received.records == len(found)
                    assert received.duplicates == self.store(item.work.key, [ref.id for ref in received.batches], found)
            elif end == "crash":
                crashed = self.copy()
        if end == "crash":
            self.take_over(crashed)

    @precondition(lambda self: self.waiting())
    @rule(which=pick, delay_s=st.sampled_from([0.0, 10.0, HOUR_S]))
    def postpone(self, which: int, delay_s: float) -> None:
        item = self.chosen(which)
        self.journal.ledger.postpone(item, "no answer", self.clock.now().timestamp() + delay_s)
        self.items[item.work.key].attempts += 1

    @precondition(lambda self: self.waiting())
    @rule(which=pick, state=st.sampled_from(["dead", "gone"]))
    def bury(self, which: int, state: str) -> None:
        item = self.chosen(which)
        self.journal.dead_letters.bury(item, DeadLetter("fetch", "ContentGone", "gone", b"", attempts=1), state)
        entry = self.items[item.work.key]
        entry.state, entry.attempts = state, entry.attempts + 1
        self.letters.append(Letter(0, 0, None, -1, item.work.key))

    def store(self, key: str, ids: list[int], found: list[int]) -> int:
        """Stores a blob's records in the model, cut as the journal has cut them; returns how many are duplicates."""
        entry, before = self.items[key], len(self.seen)
        records = iter(found)
        for number in ids:
            (count,) = self.journal._file.rows("SELECT records FROM batch WHERE id = ?", (number,))[0]
            batch = Stored(number, key, list(itertools.islice(records, count)), set(), self.clock.now().timestamp())
            for position, one in enumerate(batch.records):
                (batch.duplicates if one in self.seen else self.seen).add(position if one in self.seen else one)
            self.batches[number] = batch
        assert next(records, None) is None, "a record is in no batch"
        entry.state, entry.records = "fetched", len(found)
        entry.duplicates = len(found) - (len(self.seen) - before)
        return entry.duplicates

    # --- delivering --------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(self.unsettled(sink) for sink in SINKS))
    @rule(sink=sinks, fates=fates)
    def settle_the_oldest(self, sink: str, fates: list[str]) -> None:
        self.settle(sink, 0, fates, False)

    @precondition(lambda self: any(self.unsettled(sink) for sink in SINKS))
    @rule(sink=sinks, which=pick, fates=fates, is_stopped=st.booleans())
    def settle(self, sink: str, which: int, fates: list[str], is_stopped: bool) -> None:
        """Settles a batch; in part, where a clean stop comes in between."""
        if not (open_batches := self.unsettled(sink)):
            return
        batch = open_batches[which % len(open_batches)]
        positions = sorted(batch.left(sink))
        fate_of = {
            at: fate if is_stopped or fate != "pending" else "delivered" for at, fate in zip(positions, fates, strict=False)
        }
        assert len(fate_of) == len(positions)
        counts, letters = Counter(fate_of.values()), []
        for at, fate in fate_of.items():
            if fate in ("dead", "refused"):
                letters.append(self.letter(batch, at, sink if fate == "dead" else None))
        pending = [at for at, fate in fate_of.items() if fate == "pending"]
        dead = counts["dead"] + counts["refused"]
        settled = {"delivered": counts["delivered"], "filtered": counts["filtered"], "dead": dead}
        self.journal.batches.settle(sink, [Settlement(batch.id, **settled, pending=pending)], letters)
        batch.done.setdefault(sink, Counter()).update(settled)
        batch.pending[sink] = set(pending)

    def letter(self, batch: Stored, at: int, sink: str | None) -> DeadLetter:
        """Returns the dead letter of a record; the model has each once."""
        number = batch.records[at]
        if not any((one.batch, one.position, one.sink, one.state) == (batch.id, at, sink, "dead") for one in self.letters):
            self.letters.append(Letter(batch.id, at, sink, number, batch.key))
        return DeadLetter("sink" if sink else "transform", "SinkRejected", "no", body_of(number), batch.id, at, sink)

    # --- dead letters ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.dead())
    @rule(which=pick)
    def requeue(self, which: int) -> None:
        letter, at = self.chosen_letter(which)
        stored = list(self.journal.dead_letters.find())[at]
        before = {number for (number,) in self.journal._file.rows("SELECT id FROM batch")}
        assert self.journal.dead_letters.requeue(stored)
        letter.state = "retried"
        if letter.number < 0:
            entry = self.items[letter.key]
            entry.state, entry.attempts = "listed", 0
            return
        (fresh,) = {number for (number,) in self.journal._file.rows("SELECT id FROM batch")} - before
        self.made_of[fresh] = {letter.batch, *self.made_of.get(letter.batch, ())}
        self.batches[fresh] = Stored(fresh, letter.key, [letter.number], set(), self.clock.now().timestamp(), letter.sink)

    @precondition(lambda self: self.dead())
    @rule(which=pick)
    def discard(self, which: int) -> None:
        letter, at = self.chosen_letter(which)
        self.journal.dead_letters.discard(list(self.journal.dead_letters.find())[at])
        letter.state = "discarded"

    # --- care --------------------------------------------------------------------------------------------------------

    @rule(hours=st.integers(1, 5), keep_hours=st.integers(0, 6))
    def prune(self, hours: int, keep_hours: int) -> None:
        self.clock.advance(hours * HOUR_S)
        horizon = self.clock.now().timestamp() - keep_hours * HOUR_S
        gone = [
            batch.id
            for batch in self.batches.values()
            if batch.stored_at < horizon and all(batch.is_settled(sink) or not batch.is_for(sink) for sink in SINKS)
        ]
        assert self.journal.prune(SINKS, keep_hours * HOUR_S) == len(gone)
        for number in gone:
            del self.batches[number]

    @rule(sink=sinks)
    def replay(self, sink: str) -> None:
        """All that is kept goes to a sink once more, each record once: what was retried is not sent beside its original."""
        chosen = choose(self.journal._file, sink, Selection(), is_alone=True)
        meant = {number: batch for number, batch in self.batches.items() if batch.is_for(sink)}
        copies = {number for number in meant if self.made_of.get(number, set()) & set(meant)}
        assert {batch.id for batch in chosen.copies} == copies
        assert {batch.id for batch in chosen.batches} == set(meant) - copies
        assert chosen.records == sum(len(meant[number].records) - len(meant[number].duplicates) for number in set(meant) - copies)
        others = [other for other in SINKS if other != sink]
        send_again(self.journal._file, sink, chosen, others)
        for number, batch in meant.items():
            if number not in copies:
                batch.done.pop(sink, None)
                batch.pending.pop(sink, None)
            elif not batch.is_settled(sink):
                batch.done[sink], batch.pending[sink] = Counter(filtered=1), set()
        for letter in [one for one in self.letters if one.state == "dead" and one.batch in meant and one.sink in (None, sink)]:
            self.take_back(letter, others)

    def take_back(self, letter: Letter, others: list[str]) -> None:
        """Marks a letter as sent again; what is dead for all sinks stays so for the others."""
        letter.state = "retried"
        if letter.sink is None and self.batches[letter.batch].only_sink is None:
            for other in others:
                if not any(
                    (one.batch, one.position, one.sink, one.state) == (letter.batch, letter.position, other, "dead")
                    for one in self.letters
                ):
                    self.letters.append(Letter(letter.batch, letter.position, other, letter.number, letter.key))

    @rule()
    def close_and_open(self) -> None:
        self.journal.close()
        self.journal.close()
        self.journal = open_journal(self.folder, self.clock)

    @rule()
    def crash(self) -> None:
        self.take_over(self.copy())

    def copy(self) -> Path:
        """Copies the state directory as a crash would leave it."""
        return snapshot(self.folder, Path(self.tmp.name) / f"life-{next(self.lives)}")

    def take_over(self, folder: Path) -> None:
        self.journal.close()
        self.folder, self.journal = folder, open_journal(folder, self.clock)

    # --- what has to hold --------------------------------------------------------------------------------------------

    @invariant()
    def each_sink_is_owed_what_the_model_says(self) -> None:
        for sink in SINKS:
            refs = self.journal.batches.unsettled(sink)
            assert [ref.id for ref in refs] == [batch.id for batch in self.unsettled(sink)]
            for ref in refs:
                batch, left = self.batches[ref.id], self.journal.batches.left_to_do(sink, [ref])[ref]
                assert (set(left) if left is not None else set(range(ref.records)) - batch.duplicates) == batch.left(sink)
                stored = self.journal.batches.read(ref)
                assert stored.origin.chunk.records == [record(number) for number in batch.records]
                assert stored.duplicates == batch.duplicates

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        rows = self.journal._file.rows("SELECT key, state, attempts, records, duplicates FROM item")
        assert {key: Entry(*rest) for key, *rest in rows} == self.items

    @invariant()
    def dead_letters_are_those_of_the_model(self) -> None:
        def shown(key: str, batch: int, position: int, sink: str | None, text: bytes) -> tuple[Any, ...]:
            return key, batch, position, sink, text

        found = [
            shown(one.item, one.letter.batch or 0, one.letter.position or 0, one.letter.sink, one.letter.body)
            for one in self.journal.dead_letters.find()
        ]
        wanted = [shown(one.key, one.batch, one.position, one.sink, body_of(one.number)) for one in self.dead()]
        assert Counter(found) == Counter(wanted)
        assert self.journal.dead_letters.count() == len(wanted)

    @invariant()
    def nothing_is_unaccounted_for(self) -> None:
        sums = self.journal._file.rows(
            "SELECT s.sink, b.id, b.records - length(b.duplicates) / 4,"
            " s.delivered + s.filtered + s.dead + coalesce(length(s.pending), 0) / 4"
            " FROM settlement s JOIN batch b ON b.id = s.batch"
        )
        assert all(into == out for _sink, _batch, into, out in sums)
        assert {(sink, batch) for sink, batch, _into, _out in sums} == {
            (sink, batch.id) for batch in self.batches.values() for sink in batch.done
        }

    # --- looking up --------------------------------------------------------------------------------------------------

    def waiting(self) -> list[str]:
        return [key for key, entry in self.items.items() if entry.state == "listed"]

    def chosen(self, which: int) -> LedgerItem:
        """Returns an item that waits, due or not."""
        key = sorted(self.waiting())[which % len(self.waiting())]
        rows = self.journal._file.rows("SELECT id, attempts FROM item WHERE key = ?", (key,))
        return LedgerItem(rows[0][0], "source", TENANT, WorkItem("stream", key, {}, NOW), rows[0][1])

    def unsettled(self, sink: str) -> list[Stored]:
        return [one for _id, one in sorted(self.batches.items()) if one.is_for(sink) and not one.is_settled(sink)]

    def dead(self) -> list[Letter]:
        return [letter for letter in self.letters if letter.state == "dead"]

    def chosen_letter(self, which: int) -> tuple[Letter, int]:
        """Returns a dead letter of the model, and the place of its twin in the journal."""
        at = which % len(self.dead())
        twin = list(self.journal.dead_letters.find())[at]
        return next(
            one
            for one in self.dead()
            if (one.key, one.batch, one.position, one.sink)
            == (twin.item, twin.letter.batch or 0, twin.letter.position or 0, twin.letter.sink)
        ), at


def open_journal(folder: Path, clock: Clock) -> SqliteJournal:
    return SqliteJournal(folder, clock, sinks=SINKS)


def body_of(number: int) -> bytes:
    """Returns the bytes of a record; none for a work item."""
    return body([record(number)])[1:-1] if number >= 0 else b""


@pytest.mark.fuzz
def test_the_journal_does_what_its_model_does() -> None:
    machine = JournalAndModel.TestCase()
    machine.settings = settings(stateful_step_count=30, deadline=None)
    machine.runTest()
