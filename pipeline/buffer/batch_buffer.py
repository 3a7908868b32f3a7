"""Batches made ready for sinks: decoded, transformed and encoded once, shared by all sinks that are in step."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ualpipe.pipeline.buffer.prepare import PreparedBatch, pack, prepare, unpack
from ualpipe.pipeline.buffer.spill import SpillFile
from ualpipe.pipeline.journal.contract import Outbox
from ualpipe.pipeline.journal.types import BatchRef, StoredBatch
from ualpipe.pipeline.observe.health import PartHealth, State
from ualpipe.pipeline.process.processor import Processor

MEMORY_BYTES = 2 * 1024 * 1024
"""Bodies that are kept in memory for sinks to come, as received and as encoded documents; as much again of what is read back."""
ROOM_WAIT_S = 1.0
SHORT_WAIT_S = 0.1
"""Where the disk has no room, nobody can tell how far sinks are behind."""
BEHIND = 1 / 16
"""Share of the room on disk: with less to do there sinks only want the interpreter, which they get while fetching waits."""
AT_ONCE = 3
"""Batches at most that are stored and kept beside those that are being decoded: a hundred tenants have a thousand threads."""
IN_STEP_S = 0.25
"""Sinks that are behind by less are in step: a batch stays in memory for them."""
OUT_OF_STEP_S = 1.0
"""When one was behind by more, for so long nothing waits for it."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is reserved for batches that are about to be decoded.

    Attributes:
        is_there: Whether memory or disk has room for what the transforms make of them.
        keep: Takes a batch, where there is room.
    """

    is_there: bool
    keep: Callable[[StoredBatch], None]


@dataclass(slots=True)
class _Entry:
    bytes: int
    awaited_by: set[str]
    is_read_back: bool = False
    begun_at: float = 0.0
    stored: StoredBatch | None = None
    prepared: PreparedBatch | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class BatchBuffer:
    """Keeps batches between the collector that decoded and transformed them and the sinks: in memory, within a bound.

    What does not fit and some sink had already waits on disk, as it was made, for those that are behind. What does not fit there
    is not lost either: it is read back from the journal and made again when a sink gets to it.
    """

    def __init__(self, journal: Outbox, processor: Processor, sinks: Collection[str], folder: Path, workers: int = 1) -> None:
        """Starts empty.

        Args:
            journal: Where a batch that is not in memory is read from.
            processor: Runs the transforms.
            sinks: Names of all sinks.
            folder: Where batches wait on disk; readable for this process alone.
            workers: Batches that the processor works on at a time.
        """
        self._processor = processor
        self._journal = journal
        self._sinks = frozenset(sinks)
        self._states = dict.fromkeys(sinks, State.WORKING)
        self._blocked: set[str] = set()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._spill = SpillFile(folder)
        self._bytes = 0  # of what comes from the collector, and room that is reserved for it
        self._read_back_bytes = 0  # a sink that is behind must not take that room, and slow down fetching
        self._changed = threading.Condition()
        self._in_step_from = 0.0
        self._at_once = threading.Semaphore(AT_ONCE + workers)

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[Reservation]:
        """Reserves memory or disk for batches that are about to be decoded.

        Waits a little while sinks are in step with fetching. Where memory has no room then, they go to disk as the transforms
        made them, which spares decoding them twice. Where the disk has none either, or all sinks wait for their destinations,
        they are not kept.
        """
        with self._at_once:
            self._spill_out(self._wait_in_step(size))
            with self._changed:
                wait_s = SHORT_WAIT_S if self._spill.is_refused else ROOM_WAIT_S
                self._changed.wait_for(lambda: self._has_room(size) or self._are_behind(), wait_s)
                is_in_memory = self._has_room(size)
                goes_to_disk = not (is_in_memory or self._are_all_blocked() or self._spill.is_full)
                self._bytes += size if is_in_memory else 0
            kept: list[StoredBatch] = []
            try:
                yield Reservation(is_in_memory or goes_to_disk, kept.append)
            finally:
                if is_in_memory:
                    self._keep(kept, size)
                elif goes_to_disk:
                    self._keep_on_disk(kept)

    def _keep(self, kept: Iterable[StoredBatch], size: int) -> None:
        """Keeps batches in the room that is reserved for them; gives back what none of them takes."""
        with self._changed:
            for stored in kept:
                if stored.ref.id not in self._entries:  # else a sink found it in the journal already
                    self._entries[stored.ref.id] = _Entry(stored.ref.bytes, set(self._sinks), stored=stored)
                    size -= stored.ref.bytes
            self._bytes -= size

    def _keep_on_disk(self, kept: Iterable[StoredBatch]) -> None:
        """Keeps what the transforms made of batches; where that fails the batch, which counts already, is made again."""
        for stored in kept:
            if stored.transformed is not None:
                with contextlib.suppress(Exception):
                    self._spill.put(stored.ref.id, pack(prepare(stored, self._processor)), is_read=False)

    def take(self, ref: BatchRef) -> PreparedBatch:
        """Returns a batch ready for sinks; the first to ask does the work, others wait for it."""
        with self._changed:
            entry = self._entries.get(ref.id)
            if entry is None:
                entry = self._entries[ref.id] = _Entry(ref.bytes, set(self._sinks), is_read_back=True)
                self._read_back_bytes += ref.bytes
        with entry.lock:
            if entry.prepared is None:
                entry.prepared = prepare(entry.stored, self._processor) if entry.stored is not None else self._read_back(ref)
                entry.stored = None
            return entry.prepared

    def forget(self, ref: BatchRef) -> None:
        """Lets go of what the transforms made of a batch, as they failed on some of it: the next to ask has it made anew."""
        with self._changed:
            entry = self._entries.get(ref.id)
        if entry is not None:
            with entry.lock:
                entry.prepared = None

    def holds(self, ref: BatchRef) -> bool:
        """Whether a batch is in memory, or somebody is reading it back."""
        with self._changed:
            return ref.id in self._entries

    def done(self, sink: str, refs: Sequence[BatchRef]) -> None:
        """Tells that a sink needs these batches no longer."""
        with self._changed:
            for ref in refs:
                self._spill.had(ref.id)
                entry = self._entries.get(ref.id)
                if entry is not None:
                    entry.begun_at = entry.begun_at or time.monotonic()
                    entry.awaited_by.discard(sink)
                    if not entry.awaited_by - self._blocked:
                        self._drop(ref.id)
            dropped = self._let_go_of_read_back()
            self._changed.notify_all()
        self._spill_out(dropped)

    def note_health(self, sink: str, health: PartHealth) -> None:
        """Notes how a sink is. For one that stands still nothing is kept in memory."""
        self._note_state(sink, health.state)

    def leave(self, sink: str) -> None:
        """Tells that the delivery of a sink has ended: nothing is kept for it any more."""
        self._note_state(sink, State.GIVEN_UP)

    def _note_state(self, sink: str, state: State) -> None:
        with self._changed:
            self._states[sink] = state
            self._blocked = {name for name, found in self._states.items() if found not in (State.WORKING, State.IDLE)}
            self._changed.notify_all()

    @property
    def is_moving(self) -> bool:
        """Whether at least one sink has work and does not stand still."""
        with self._changed:
            return State.WORKING in self._states.values()

    def close(self) -> None:
        """Lets go of what waits on disk. Safe twice."""
        self._spill.close()

    def _read_back(self, ref: BatchRef) -> PreparedBatch:
        """Returns a batch that is not in memory: as it was made before, or made again."""
        packed, stored = self._spill.get(ref.id), self._journal.read(ref)
        return prepare(stored, self._processor) if packed is None else unpack(packed, stored)

    def _wait_in_step(self, size: int) -> list[_Entry]:
        """Drops what sinks are behind with, and waits a moment for what they may be about to finish. Returns what it dropped."""
        with self._changed:
            at_least_s = IN_STEP_S if time.monotonic() >= self._in_step_from else 0.0
            dropped = self._make_room(size, at_least_s)
            if not self._has_room(size) and self._begun(is_read_back=False):
                self._changed.wait_for(lambda: self._has_room(size) or self._are_all_blocked(), IN_STEP_S)
                if late := self._make_room(size, IN_STEP_S):
                    self._in_step_from = time.monotonic() + OUT_OF_STEP_S
                    dropped += late
            return dropped

    def _make_room(self, size: int, at_least_s: float) -> list[_Entry]:
        """Drops the oldest batches that some sink has finished so long ago: the others are behind and read them back."""
        dropped = []
        for number in self._begun(is_read_back=False):
            if self._has_room(size) or time.monotonic() - self._entries[number].begun_at < at_least_s:
                break
            dropped.append(self._drop(number))
        return dropped

    def _let_go_of_read_back(self) -> list[_Entry]:
        """Drops the oldest of what was read back and some sink has finished: the others were there before, or come much later."""
        dropped = []
        for number in self._begun(is_read_back=True):
            if self._read_back_bytes <= MEMORY_BYTES:
                break
            dropped.append(self._drop(number))
        return dropped

    def _spill_out(self, dropped: Iterable[_Entry]) -> None:
        """Puts batches that were dropped on disk for the sinks that are to come to them; where that fails they are made again.

        Their numbers are never used again.
        """
        for entry in dropped:
            made = entry.prepared
            if made is not None and not made.failed and made.ref.id not in self._spill and entry.awaited_by - self._blocked:
                with contextlib.suppress(Exception):
                    self._spill.put(made.ref.id, pack(made))

    def _begun(self, *, is_read_back: bool) -> list[int]:
        """Returns what some sink has finished and others have not, oldest first."""
        return [
            number
            for number, entry in self._entries.items()
            if entry.is_read_back is is_read_back and len(entry.awaited_by) < len(self._sinks)
        ]

    def _has_room(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= MEMORY_BYTES

    def _are_all_blocked(self) -> bool:
        return self._blocked >= self._sinks

    def _are_behind(self) -> bool:
        """Whether sinks have much more to do than memory holds, so that to wait for them would only hold up fetching."""
        return self._are_all_blocked() or self._spill.unread_share >= BEHIND

    def _drop(self, number: int) -> _Entry:
        entry = self._entries.pop(number)
        if entry.is_read_back:
            self._read_back_bytes -= entry.bytes
        else:
            self._bytes -= entry.bytes
        return entry
