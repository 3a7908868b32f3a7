"""Which events stand in the archive already, so that each is written once."""

from __future__ import annotations

import bisect
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.files import FileStamp, stamp_of
from ualpipe.sinks.archive import duck, layout
from ualpipe.sinks.archive.layout import Part, Partition

LIMIT_BYTES = 64 * 1024 * 1024
"""For hashes of ids, 12 bytes each: of five million events. The partition that was written to last stays, however large."""
_MOST_REMEMBERED = 50_000  # ids themselves, of the files that were looked into last: some 8 MB
_FETCHED_TOGETHER = 8192
_BESIDE = 0.5  # a run of hashes is merged into the one before it when it is at least so large in relation


class _Hashes:
    """Hashes of the ids of one partition, each with the number of the write that brought it.

    They stand in sorted runs, each less than half as long as the one before.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Any, Any]] = []

    @property
    def bytes(self) -> int:
        return sum(hashes.nbytes + numbers.nbytes for hashes, numbers in self._runs)

    def add(self, hashes: Any, number: int) -> None:
        import numpy  # noqa: PLC0415 - in the extra `reports`

        run = numpy.sort(hashes), numpy.full(hashes.size, number, numpy.uint32)
        if not hashes.size:
            return
        while self._runs and run[0].size > _BESIDE * self._runs[-1][0].size:
            longer = [numpy.concatenate(both) for both in zip(self._runs.pop(), run, strict=True)]
            order = numpy.argsort(longer[0], kind="stable")
            run = longer[0][order], longer[1][order]
        self._runs.append(run)

    def candidates(self, hashes: Any) -> Mapping[int, set[int]]:
        """Returns by place which writes brought an id with the same hash; a place without one is left out."""
        import numpy  # noqa: PLC0415 - in the extra `reports`

        found: dict[int, set[int]] = defaultdict(set)
        for run, numbers in self._runs:
            begins = numpy.searchsorted(run, hashes)
            hits = numpy.flatnonzero(run[numpy.minimum(begins, run.size - 1)] == hashes)
            ends = numpy.searchsorted(run, hashes[hits], side="right")
            for at, end in zip(hits.tolist(), ends.tolist(), strict=True):
                found[at].update(numbers[begins[at] : end].tolist())
        return found


class KnownIds:
    """The ids that stand in the partitions that are written to, as hashes in memory, read from the files at the first touch.

    A hash that is found proves nothing: then the ids themselves are looked up, in the file that the hash is from. So two events
    whose ids have one hash are both written, and what an erasure removed meanwhile can be written again.
    """

    def __init__(
        self, root: Path, connection: Any, note_damage: Callable[[Path, Exception], None], limit_bytes: int = LIMIT_BYTES
    ) -> None:
        """Reads nothing yet.

        Args:
            root: Folder of the archive.
            connection: Of DuckDB.
            note_damage: Told of each file that can't be read; events that stand in it alone count as not there.
            limit_bytes: Memory for hashes; the partitions that were not written to for longest are forgotten first.
        """
        self._root = root
        self._duck = connection
        self._note_damage = note_damage
        self._limit = limit_bytes
        self._partitions: OrderedDict[Partition, _Hashes] = OrderedDict()
        self._remembered: OrderedDict[FileStamp, frozenset[str]] = OrderedDict()

    def unknown(self, partition: Partition, ids: Sequence[str]) -> list[int]:
        """Returns the places of the ids that do not stand in a partition; of equal ones the first."""
        first = {name: at for at, name in reversed(list(enumerate(ids)))}
        candidates = self._of(partition).candidates(_hashes(ids))
        parts = sorted(layout.counting(layout.parts(partition.folder(self._root)))) if candidates else []
        stands = {at for at, numbers in candidates.items() if self._stands(ids[at], partition, parts, numbers)}
        return sorted(at for at in first.values() if at not in stands)

    def add(self, partition: Partition, ids: Sequence[str], number: int) -> None:
        """Notes ids that stand in a partition from now on, in the file of a write or in one that it is merged into."""
        self._of(partition).add(_hashes(ids), number)
        self._keep_to_limit()

    def forget(self, partition: Partition) -> None:
        """Forgets a partition: what stands there is read again when it is written to."""
        self._partitions.pop(partition, None)

    def _of(self, partition: Partition) -> _Hashes:
        found = self._partitions.get(partition)
        if found is None:
            found = self._partitions[partition] = self._read(partition)
            self._keep_to_limit()
        self._partitions.move_to_end(partition)
        return found

    def _read(self, partition: Partition) -> _Hashes:
        found, folder = _Hashes(), partition.folder(self._root)
        for part in layout.counting(layout.parts(folder)):
            for ids in self._read_ids(folder / part.name):
                found.add(_hashes(ids), part.first)
        return found

    def _stands(self, name: str, partition: Partition, parts: Sequence[Part], numbers: Iterable[int]) -> bool:
        """Returns whether an id stands in one of the files that hold some writes."""
        for number in numbers:
            at = bisect.bisect_right(parts, number, key=lambda part: part.first) - 1
            if at >= 0 and number <= parts[at].last and name in self._ids_in(partition.folder(self._root) / parts[at].name):
                return True
        return False

    def _ids_in(self, file: Path) -> frozenset[str]:
        """Returns the ids in a file; batches that come again come much in the order in which they came first."""
        stamp = stamp_of(file)
        found = self._remembered.get(stamp)
        if found is None:
            found = self._remembered[stamp] = frozenset(name for ids in self._read_ids(file) for name in ids)
            while len(self._remembered) > 1 and sum(map(len, self._remembered.values())) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(stamp)
        return found

    def _read_ids(self, file: Path) -> Iterable[list[str]]:
        cursor = self._duck.cursor()
        try:
            cursor.execute(f"SELECT event_id FROM read_parquet({duck.text(file)}, hive_partitioning = false)")
            while rows := cursor.fetchmany(_FETCHED_TOGETHER):
                yield [name for (name,) in rows if name is not None]
        except duck.error() as exc:
            self._note_damage(file, exc)
        finally:
            cursor.close()

    def _keep_to_limit(self) -> None:
        while len(self._partitions) > 1 and sum(one.bytes for one in self._partitions.values()) > self._limit:
            self._partitions.popitem(last=False)


def _hashes(ids: Sequence[str]) -> Any:
    """Returns hashes of 64 bits, by this process's own secret: nobody can make ids that have one."""
    import numpy  # noqa: PLC0415 - in the extra `reports`

    return numpy.fromiter(map(_hash, ids), numpy.int64, len(ids))


_hash = hash
