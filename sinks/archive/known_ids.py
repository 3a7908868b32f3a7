"""Which events stand in the archive already, so that each is written once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ualpipe.sinks.archive import duck, layout
from ualpipe.sinks.archive.layout import Partition

LIMIT_BYTES = 64 * 1024 * 1024
"""For hashes of ids, 8 bytes each: of eight million events. The partition that was written to last stays, however large."""
_FETCHED_TOGETHER = 8192
_BESIDE = 0.5  # a run of hashes is merged into the one before it when it is at least so large in relation


class _Hashes:
    """Hashes of the ids of one partition, as sorted runs, each less than half of the one before."""

    def __init__(self) -> None:
        self._runs: list[Any] = []

    @property
    def bytes(self) -> int:
        return sum(run.nbytes for run in self._runs)

    def add(self, hashes: Any) -> None:
        import numpy  # noqa: PLC0415 - in the extra `reports`

        run = numpy.sort(hashes)
        if not run.size:
            return
        while self._runs and run.size > _BESIDE * self._runs[-1].size:
            run = numpy.sort(numpy.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)

    def hold(self, hashes: Any) -> Any:
        """Returns for each hash whether it is there, as an array of booleans."""
        import numpy  # noqa: PLC0415 - in the extra `reports`

        found = numpy.zeros(hashes.size, dtype=bool)
        for run in self._runs:
            places = numpy.minimum(numpy.searchsorted(run, hashes), run.size - 1)
            found |= run[places] == hashes
        return found


class KnownIds:
    """The ids that stand in the partitions that are written to, as hashes in memory, read from the files at the first touch.

    A hash that is found proves nothing: then the ids themselves are looked up in the files. So two events whose ids have one
    hash are both written, and what an erasure removed meanwhile can be written again.
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

    def unknown(self, partition: Partition, ids: Sequence[str]) -> list[int]:
        """Returns the places of the ids that do not stand in a partition; of equal ones the first."""
        places = list({name: at for at, name in reversed(list(enumerate(ids)))}.values())[::-1]
        found = self._of(partition).hold(_hashes(ids))
        suspects = [ids[at] for at in places if found[at]]
        standing = self._standing(partition, suspects) if suspects else frozenset()
        return [at for at in places if not found[at] or ids[at] not in standing]

    def add(self, partition: Partition, ids: Sequence[str]) -> None:
        """Notes ids that stand in a partition from now on."""
        self._of(partition).add(_hashes(ids))
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
        found = _Hashes()
        for file in layout.files(self._root, partition):
            for ids in self._ids_in(file):
                found.add(_hashes(ids))
        return found

    def _ids_in(self, file: Path, where: str = "true", names: Sequence[str] = ()) -> Iterable[list[str]]:
        sql = f"SELECT event_id FROM read_parquet({duck.text(file)}, hive_partitioning = false) WHERE {where}"
        cursor = self._duck.cursor()
        try:
            cursor.execute(sql, [list(names)] if names else None)
            while rows := cursor.fetchmany(_FETCHED_TOGETHER):
                yield [name for (name,) in rows if name is not None]
        except duck.error() as exc:
            self._note_damage(file, exc)
        finally:
            cursor.close()

    def _standing(self, partition: Partition, names: Sequence[str]) -> set[str]:
        """Returns which of some ids stand in the files of a partition."""
        where = "event_id IN (SELECT unnest(CAST(? AS VARCHAR[])))"
        files = layout.files(self._root, partition)
        return {name for file in files for ids in self._ids_in(file, where, names) for name in ids}

    def _keep_to_limit(self) -> None:
        while len(self._partitions) > 1 and sum(one.bytes for one in self._partitions.values()) > self._limit:
            self._partitions.popitem(last=False)


_hash = hash


def _hashes(ids: Sequence[str]) -> Any:
    """Returns hashes of 64 bits, by this process's own secret: nobody can make ids that have one."""
    import numpy  # noqa: PLC0415 - in the extra `reports`

    return numpy.fromiter(map(_hash, ids), numpy.int64, len(ids))
