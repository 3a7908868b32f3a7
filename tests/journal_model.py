"""A model of the journal in plain Python: who has which item, what is a duplicate, and what each sink is owed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ualpipe.pipeline.journal.types import BatchRef, LedgerItem

NO_RECORD = -1
IDS = 14  # numbers from here on are other contents of the records below


@dataclass(slots=True)
class Stored:
    """A batch: numbers of its records, positions of duplicates and conflicts, and what each sink has done with it."""

    id: int
    key: str
    records: list[int]
    duplicates: set[int]
    stored_at: float
    only_sink: str | None = None
    conflicts: set[int] = field(default_factory=set)
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


@dataclass(slots=True)
class Letter:
    """A dead letter; without a record it is that of a whole item."""

    batch: int
    position: int
    sink: str | None
    number: int
    key: str
    state: str = "dead"

    @property
    def place(self) -> tuple[str, int, int, str | None]:
        return self.key, self.batch, self.position, self.sink


@dataclass(slots=True)
class Entry:
    """A work item, as the ledger has it."""

    expires: float | None
    state: str = "listed"
    attempts: int = 0
    records: int | None = None
    duplicates: int | None = None
    conflicts: int = 0
    due_at: float = 0.0

    @property
    def row(self) -> tuple[str, int, int | None, int | None]:
        return self.state, self.attempts, self.records, self.duplicates


class Model:
    """The journal of one source and one stream.

    Attributes:
        held: Leases that hold, by key.
        lost: Leases that were lost in this life of the process.
        aside: Items that are leased to nobody in this life.
        past: Sums of what the ledger has forgotten: items by state, ``records``, ``duplicates``, ``conflicts``.
        made_of: Of a dead letter sent again: the batches that the record was in before.
    """

    def __init__(self, sinks: Sequence[str]) -> None:
        self.sinks = sinks
        self.items: dict[str, Entry] = {}
        self.held: dict[str, LedgerItem] = {}
        self.lost: list[LedgerItem] = []
        self.aside: set[str] = set()
        self.past: Counter[str] = Counter()
        self.seen: set[int] = set()
        self.first: dict[int, int] = {}
        self.batches: dict[int, Stored] = {}
        self.letters: list[Letter] = []
        self.made_of: dict[int, set[int]] = {}

    # --- the ledger --------------------------------------------------------------------------------------------------

    def enter(self, expires: Mapping[str, float | None]) -> int:
        """Enters items; returns how many are new."""
        new = expires.keys() - self.items.keys()
        self.items.update({key: Entry(expires[key]) for key in expires if key in new})
        return len(new)

    def free(self) -> dict[str, Entry]:
        """Returns what waits and is leased to nobody."""
        return {
            key: one
            for key, one in self.items.items()
            if one.state == "listed" and key not in self.held and key not in self.aside
        }

    def due(self, now: float) -> set[str]:
        return {key for key, entry in self.free().items() if entry.due_at <= now}

    def lease(self, items: Iterable[LedgerItem]) -> None:
        self.held.update({item.work.key: item for item in items})

    def let_go(self, item: LedgerItem) -> Entry:
        """Ends a lease; returns the item."""
        self.lost.append(self.held.pop(item.work.key))
        return self.items[item.work.key]

    def revoke(self) -> None:
        self.lost += self.held.values()
        self.held.clear()
        self.aside.clear()

    def begin_anew(self) -> None:
        """Ends the process: nobody has a lease any more, not even a lost one."""
        self.revoke()
        self.lost.clear()

    def fail(self, item: LedgerItem, at: float, *, is_set_aside: bool) -> None:
        """Notes a failed attempt."""
        entry = self.let_go(item)
        entry.attempts, entry.due_at = entry.attempts + 1, at
        if is_set_aside:
            self.aside.add(item.work.key)

    def bury(self, item: LedgerItem, state: str) -> None:
        entry = self.let_go(item)
        entry.state, entry.attempts = state, entry.attempts + 1
        self.letters.append(Letter(0, 0, None, NO_RECORD, item.work.key))

    # --- records -----------------------------------------------------------------------------------------------------

    def store(self, item: LedgerItem, refs: Iterable[BatchRef], found: list[int], now: float) -> list[set[int]]:
        """Stores the records of an item, cut as the journal has cut them; returns the duplicates of each batch."""
        entry, records = self.let_go(item), iter(found)
        made = [Stored(ref.id, item.work.key, list(itertools.islice(records, ref.records)), set(), now) for ref in refs]
        assert next(records, None) is None, "a record is in no batch"
        for batch in made:
            for position, number in enumerate(batch.records):
                (batch.duplicates if number in self.seen else self.seen).add(position if number in self.seen else number)
                if self.first.setdefault(number % IDS, number) != number:
                    batch.conflicts.add(position)
            self.batches[batch.id] = batch
        entry.state, entry.records = "fetched", len(found)
        entry.duplicates = sum(len(batch.duplicates) for batch in made)
        entry.conflicts = sum(len(batch.conflicts - batch.duplicates) for batch in made)
        return [batch.duplicates for batch in made]

    def unsettled(self, sink: str) -> list[Stored]:
        return [one for _id, one in sorted(self.batches.items()) if one.is_for(sink) and not one.is_settled(sink)]

    def settle(self, sink: str, batch: Stored, fate_of: Mapping[int, str]) -> None:
        """Notes what became of positions of a batch: delivered, filtered, dead for the sink or refused for all, or pending."""
        counts = Counter(fate_of.values())
        dead = counts["dead"] + counts["refused"]
        batch.done.setdefault(sink, Counter()).update(delivered=counts["delivered"], filtered=counts["filtered"], dead=dead)
        batch.pending[sink] = {at for at, fate in fate_of.items() if fate == "pending"}
        for at, fate in fate_of.items():
            if fate in ("dead", "refused"):
                self._add_letter(Letter(batch.id, at, sink if fate == "dead" else batch.only_sink, batch.records[at], batch.key))

    # --- dead letters ------------------------------------------------------------------------------------------------

    def dead(self) -> list[Letter]:
        return [letter for letter in self.letters if letter.state == "dead"]

    def is_lost(self, letter: Letter, now: float) -> bool:
        expires = self.items[letter.key].expires
        return letter.number == NO_RECORD and expires is not None and expires < now

    def requeue(self, letter: Letter, fresh: int | None, now: float) -> None:
        """Sends a dead letter again: an item to fetching, or a record as the batch ``fresh``."""
        letter.state = "retried"
        if fresh is None:
            entry = self.items[letter.key]
            entry.state, entry.attempts, entry.due_at = "listed", 0, 0.0
            return
        self.made_of[fresh] = {letter.batch, *self.made_of.get(letter.batch, ())}
        self.batches[fresh] = Stored(fresh, letter.key, [letter.number], set(), now, letter.sink)
        self.batches[fresh].conflicts = {0} if self.first[letter.number % IDS] != letter.number else set()

    def _add_letter(self, letter: Letter) -> None:
        """Adds a dead letter, unless it stands there."""
        if not any(one.place == letter.place for one in self.dead()):
            self.letters.append(letter)

    # --- care --------------------------------------------------------------------------------------------------------

    def prune(self, before: float, forget_before: float) -> int:
        """Removes batches that were stored before an instant and every sink has, and items that expired before another."""
        gone = [
            batch.id
            for batch in self.batches.values()
            if batch.stored_at < before and all(batch.is_settled(sink) or not batch.is_for(sink) for sink in self.sinks)
        ]
        for number in gone:
            del self.batches[number]
        needed = {batch.key for batch in self.batches.values()} | {letter.key for letter in self.dead()}
        for key, entry in list(self.items.items()):
            if entry.state != "listed" and key not in needed and entry.expires is not None and entry.expires < forget_before:
                self.past.update({entry.state: 1, "records": entry.records or 0})
                self.past.update({"duplicates": entry.duplicates or 0, "conflicts": entry.conflicts})
                del self.items[key]
        return len(gone)

    def sums(self) -> tuple[int, ...]:
        """Returns what waits, and what there ever was of each end, with all records, duplicates and conflicts."""
        states = Counter(entry.state for entry in self.items.values())
        found = Counter(records=sum(one.records or 0 for one in self.items.values())) + self.past
        found["duplicates"] = self.past["duplicates"] + sum(one.duplicates or 0 for one in self.items.values())
        found["conflicts"] = self.past["conflicts"] + sum(one.conflicts for one in self.items.values())
        ends = (states[state] + self.past[state] for state in ("fetched", "dead", "gone"))
        return states["listed"], *ends, found["records"], found["duplicates"], found["conflicts"]

    def copies(self, sink: str) -> set[int]:
        """Returns the batches for a sink whose record stands in another batch for it: dead letters that were sent again."""
        meant = {number for number, batch in self.batches.items() if batch.is_for(sink)}
        return {number for number in meant if self.made_of.get(number, set()) & meant}

    def replay(self, sink: str) -> None:
        """Makes everything that is kept unsettled for a sink, each record once; its dead letters are taken back."""
        copies = self.copies(sink)
        meant = {number: batch for number, batch in self.batches.items() if batch.is_for(sink)}
        for number, batch in meant.items():
            if number not in copies:
                batch.done.pop(sink, None)
                batch.pending.pop(sink, None)
            elif not batch.is_settled(sink):
                batch.done[sink], batch.pending[sink] = Counter(filtered=1), set()
        for letter in [one for one in self.dead() if one.batch in meant and one.sink in (None, sink)]:
            letter.state = "retried"
            if letter.sink is None and self.batches[letter.batch].only_sink is None:
                self._leave_to_the_others(letter, {other for other in self.sinks if other != sink})

    def _leave_to_the_others(self, letter: Letter, others: Collection[str]) -> None:
        """Keeps what is dead for all sinks dead for the others."""
        for other in others:
            self._add_letter(Letter(letter.batch, letter.position, other, letter.number, letter.key))
