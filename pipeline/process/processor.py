"""The work on a chunk of records before it counts: decoding, transforms, encoding, compression. It keeps no progress.

Here it is done in this process, by ``worker_pool`` in processes of their own.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ualpipe.pipeline.events import Condition, Event, Origin, Transformed, event_of
from ualpipe.pipeline.process.transforming import NO_CONFLICTS, events_of, steps_for, transform_apart, transform_group
from ualpipe.pipeline.records.compression import compress
from ualpipe.pipeline.records.decoding import BadRecord, Record
from ualpipe.pipeline.records.identity import identity_of
from ualpipe.pipeline.stages import Apply

GROUP_RECORDS = 64
"""Records that are decoded and transformed together; decoded they take ten times their bytes."""


@dataclass(frozen=True, slots=True)
class ProcessedChunk:
    """A chunk, ready for the journal and the sinks.

    Attributes:
        digests: Identity of each record (``records.identity``); None for what is no record.
        transformed: What the transforms made of the records, duplicates included; None where they have not run, or one
            failed unexpectedly: the delivery meets the failure again, reports it and has it tried again.
        packed: The bytes of the chunk, compressed.
        sha256: Hash of the bytes.
        has_defects: Whether anything in it is no record.
    """

    digests: list[bytes | None]
    transformed: Transformed | None
    packed: bytes
    sha256: bytes
    has_defects: bool = False


class Processor(Protocol):
    """Does the work on chunks. Thread-safe."""

    def process(self, origin: Origin, *, transform: bool) -> ProcessedChunk:
        """Decodes and compresses a chunk that was fetched just now.

        Args:
            origin: The chunk, and where it comes from.
            transform: Whether the transforms are run as well, while the records are at hand.

        Raises:
            ContentUndecodable: The chunk holds no records, or not only records.
        """

    def transform(self, origin: Origin, duplicates: Collection[int], conflicts: Mapping[int, str] = NO_CONFLICTS) -> Transformed:
        """Decodes and transforms the records of a stored chunk.

        An event on which a transform fails unexpectedly stands among the failures, and holds up none beside it.

        Args:
            origin: The chunk, and where it comes from.
            duplicates: Positions of records that are left out.
            conflicts: By position, what tells the content of a record from that of another one with the same Id.
        """

    def rest(self) -> None:
        """Frees what is not needed now. Called from time to time."""

    def interrupt(self) -> None:
        """Ends work under way outside of this process, for a stop that has waited for it: whoever does gets ``Stopped``."""

    def close(self) -> None:
        """Frees everything. Never raises; safe twice."""


@dataclass(slots=True)
class LocalProcessor:
    """Works on chunks in this process, one at a time, whichever threads they come from.

    Threads that want the interpreter at the same time take it from one another every few milliseconds, and each finds the
    processor's caches full of the other's records.

    Attributes:
        transforms: Steps that each event goes through.
        conditions: What sinks want, by name; sinks that want everything are not in it.
    """

    transforms: Sequence[Apply] = ()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def process(self, origin: Origin, *, transform: bool) -> ProcessedChunk:
        with self.lock:
            digests, transformed, has_defects = self._decode(origin, transform=transform)
        body = origin.chunk.body
        return ProcessedChunk(digests, transformed, compress(body), hashlib.sha256(body).digest(), has_defects)

    def transform(self, origin: Origin, duplicates: Collection[int], conflicts: Mapping[int, str] = NO_CONFLICTS) -> Transformed:
        made = Transformed()
        events = events_of(origin, duplicates, conflicts)
        steps = steps_for(origin.chunk, self.transforms)
        with self.lock:
            while group := list(itertools.islice(events, GROUP_RECORDS)):
                made.add(self._transform(group, steps, origin))
        return made

    def _transform(self, events: Sequence[Event], steps: Sequence[Apply], origin: Origin) -> Transformed:
        """Transforms events together or, where that fails unexpectedly, one by one: then only those to blame fail."""
        positions = {event.index: event.conflict for event in events}
        try:
            return transform_group(events, steps, self.conditions)
        except Exception:  # noqa: BLE001 - met again below, for the event that is to blame
            return transform_apart(origin, positions, steps, self.conditions)

    def rest(self) -> None:
        """Does nothing: there is nothing to free."""

    def interrupt(self) -> None:
        """Does nothing: there is no work outside."""

    def close(self) -> None:
        """Does nothing: there is nothing to free."""

    def _decode(self, origin: Origin, *, transform: bool) -> tuple[list[bytes | None], Transformed | None, bool]:
        digests: list[bytes | None] = []
        has_defects = False
        transformed = Transformed() if transform else None
        records = origin.chunk.stream()
        while group := list(itertools.islice(records, GROUP_RECORDS)):
            if transformed is not None and not self._add(transformed, group, len(digests), origin):
                transformed = None
            digests += [None if isinstance(record, BadRecord) else identity_of(record, origin.tenant) for record in group]
            has_defects = has_defects or any(isinstance(record, BadRecord) for record in group)
        return digests, transformed, has_defects

    def _add(self, transformed: Transformed, group: Sequence[Record], first: int, origin: Origin) -> bool:
        """Adds what the transforms make of some records; returns False where a transform fails unexpectedly."""
        events = [event_of(record, at, origin) for at, record in enumerate(group, first)]
        try:
            transformed.add(transform_group(events, self.transforms, self.conditions))
        except Exception:  # noqa: BLE001 - the delivery meets the failure again, and reports it
            return False
        return True
