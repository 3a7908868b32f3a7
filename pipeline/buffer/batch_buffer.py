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
"""Bytes of bodies whose batches wait in memory for sinks, as received and as documents; as much again for batches read back."""
ROOM_WAIT_S = 1.0
"""How long a reservation waits for room in memory."""
SHORT_WAIT_S = 0.1
"""The same where the disk has no room: then nobody can tell how far sinks are behind."""
BEHIND = 1 / 16
"""Fraction of the spill file: with less to do there, sinks lack only the interpreter, which they get while fetching waits."""
AT_ONCE = 3
"""Reservations at most beside those whose batches are being decoded, however many threads a hundred tenants keep busy."""
IN_STEP_S = 0.25
"""Sinks that are behind the first by less than this are in step: a batch stays in memory for them."""
OUT_OF_STEP_S = 1.0
"""How long fetching does not wait for sinks after one was behind by more."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room that is reserved for batches that are about to be decoded.

    Attributes:
        is_there: Whether memory or disk has room for what the transforms make of the batches.
        keep: Takes a batch; without room it is dropped.
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
    """Keeps prepared batches on their way from collectors to sinks: in memory, within a bound.

    A batch that some sink has finished, and for which memory has no room any more, waits on disk for the sinks that are behind,
    as the transforms made it. A batch in neither place is not lost: it is read back from the journal and prepared again when a
    sink gets to it.
    """

    def __init__(self, journal: Outbox, processor: Processor, sinks: Collection[str], folder: Path, workers: int = 1) -> None:
        """Starts empty.

        Args:
            journal: Holds the batches that are not in memory.
            processor: Runs the transforms.
            sinks: Names of all sinks.
            folder: Folder of the file in which batches wait on disk, which only this process can read.
            workers: Batches that the processor works on at a time.
        """
        self._processor = processor
        self._journal = journal
        self._sinks = frozenset(sinks)
        self._states = dict.fromkeys(sinks, State.WORKING)
        self._blocked: set[str] = set()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._spill = SpillFile(folder)
        self._bytes = 0  # of batches that come from collectors, reserved room included
        self._read_back_bytes = 0  # apart, so that sinks that are behind take no room from collectors
        self._changed = threading.Condition()
        self._in_step_from = 0.0
        self._at_once = threading.Semaphore(AT_ONCE + workers)

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[Reservation]:
        """Reserves memory or disk for batches that are about to be decoded.

        While sinks are in step with fetching, it waits a little for room in memory. Where memory has none then, the batches go to
        disk as the transforms made them, which spares decoding them twice. Where the disk has none either, or all sinks stand
        still, they are not kept.
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
        """Keeps batches in the room that is reserved for them; gives back the room that they do not take."""
        with self._changed:
            for stored in kept:
                if stored.ref.id not in self._entries:  # else a sink has read it back from the journal already
                    self._entries[stored.ref.id] = _Entry(stored.ref.bytes, set(self._sinks), stored=stored)
                    size -= stored.ref.bytes
            self._bytes -= size

    def _keep_on_disk(self, kept: Iterable[StoredBatch]) -> None:
        """Puts batches on disk as the transforms made them. A failure does no harm: the journal has them, too."""
        for stored in kept:
            if stored.transformed is not None:
                with contextlib.suppress(Exception):
                    self._spill.put(stored.ref.id, pack(prepare(stored, self._processor)), is_read=False)

    def take(self, ref: BatchRef) -> PreparedBatch:
        """Returns a prepared batch; the first sink to ask prepares it, others wait for the result."""
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
        """Forgets what the transforms made of a batch, as they failed on some events: the next ``take`` prepares it anew."""
        with self._changed:
            entry = self._entries.get(ref.id)
        if entry is not None:
            with entry.lock:
                entry.prepared = None

    def holds(self, ref: BatchRef) -> bool:
        """Returns whether a batch is in memory, or is being read back."""
        with self._changed:
            return ref.id in self._entries

    def done(self, sink: str, refs: Sequence[BatchRef]) -> None:
        """Notes that a sink needs these batches no longer."""
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
        """Notes the health of a sink. For a sink that stands still nothing is kept in memory."""
        self._note_state(sink, health.state)

    def leave(self, sink: str) -> None:
        """Notes that the delivery of a sink has ended: nothing is kept for it any more."""
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
        """Drops the batches that wait on disk. Safe twice."""
        self._spill.close()

    def _read_back(self, ref: BatchRef) -> PreparedBatch:
        """Returns a batch that is not in memory: as the disk has it, or prepared again."""
        packed, stored = self._spill.get(ref.id), self._journal.read(ref)
        return prepare(stored, self._processor) if packed is None else unpack(packed, stored)

    def _wait_in_step(self, size: int) -> list[_Entry]:
        """Drops batches that sinks are behind with; if that makes no room, waits a moment and drops more. Returns the dropped."""
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
        """Drops the oldest batches that some sink has finished so long ago: the other sinks are behind, and read them back."""
        dropped = []
        for number in self._begun(is_read_back=False):
            if self._has_room(size) or time.monotonic() - self._entries[number].begun_at < at_least_s:
                break
            dropped.append(self._drop(number))
        return dropped

    def _let_go_of_read_back(self) -> list[_Entry]:
        """Drops the oldest read-back batches that some sink has finished: the other sinks had them before, or come much later."""
        dropped = []
        for number in self._begun(is_read_back=True):
            if self._read_back_bytes <= MEMORY_BYTES:
                break
            dropped.append(self._drop(number))
        return dropped

    def _spill_out(self, dropped: Iterable[_Entry]) -> None:
        """Puts dropped batches on disk for the sinks that have not had them. A failure does no harm: they are prepared again.

        The journal uses no id again, so that what stands on disk under an id is never another batch.
        """
        for entry in dropped:
            made = entry.prepared
            if made is not None and not made.failed and made.ref.id not in self._spill and entry.awaited_by - self._blocked:
                with contextlib.suppress(Exception):
                    self._spill.put(made.ref.id, pack(made))

    def _begun(self, *, is_read_back: bool) -> list[int]:
        """Returns the ids of batches that some sink has finished and others have not, oldest first."""
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
        """Returns whether sinks have so much more to do than memory holds that waiting for them would only hold up fetching."""
        return self._are_all_blocked() or self._spill.unread_fraction >= BEHIND

    def _drop(self, number: int) -> _Entry:
        entry = self._entries.pop(number)
        if entry.is_read_back:
            self._read_back_bytes -= entry.bytes
        else:
            self._bytes -= entry.bytes
        return entry
