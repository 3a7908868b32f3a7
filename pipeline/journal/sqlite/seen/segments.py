"""Segments of the Ids seen before: which runs each has, its filter, and the work of keeping them few."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ualpipe.pipeline.journal.sqlite.seen.bloom_filter import BloomFilter, capacity_of, maybe_added
from ualpipe.pipeline.journal.sqlite.seen.runs import PARTS, SeenRuns
from ualpipe.pipeline.records.identity import DIGEST_BYTES, IDENTITY_BYTES

SMALLEST_FILTER = 1 << 20  # bytes
LARGEST_FILTER = 1 << 24
_GROWTH = 4  # a new segment has room for so many times the Ids there are, within these sizes
MERGE_WIDTH = 16
"""So many runs as they were written are merged into one; and all runs of a segment when it is full."""
STEP_IDS = 500
"""For so many Ids that come, one step is worked: 1/256 of a merge."""

_WRITTEN, _MERGED = 1, 2  # levels of runs. Each run of level 2, and each that is being merged, is in its segment's stored filter.
_RANDOM_BITS = 40  # of a segment's number; those above count
_NOWHERE = 0  # what dropped runs are merged into


@dataclass(slots=True)
class Segment:
    """Ids of one stretch of time.

    Attributes:
        ids: How many it has.
        runs: Numbers of its runs.
        level: Of each run.
    """

    id: int
    filter: BloomFilter
    ids: int = 0
    runs: dict[int, int] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return self.ids >= self.filter.capacity


@dataclass(slots=True)
class _Job:
    """A merge under way: runs, what they are merged into, and the part that comes next."""

    sources: list[int]
    target: int
    part: int = 0


class Segments:
    """All segments, as they stand in the journal. The newest takes what comes until it is full."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._runs = SeenRuns(db)
        self._segments: dict[int, Segment] = {}
        self._job: _Job | None = None
        self._is_at_rest = False

    def load(self) -> None:
        """Reads from the journal what there is. Filters in memory stay: they may hold too many digests, never too few."""
        before, self._segments = self._segments, {}
        narrow = self._db.execute("SELECT id FROM seen_sorted WHERE width = ?", (DIGEST_BYTES,))
        self._runs.narrow = frozenset(run for (run,) in narrow)
        for number, size, ids in self._db.execute("SELECT id, filter_bytes, ids FROM seen_segment ORDER BY id").fetchall():
            runs = dict(self._db.execute("SELECT id, level FROM seen_sorted WHERE segment = ? ORDER BY id DESC", (number,)))
            known = before.get(number)
            kept = known.filter if known is not None and known.filter.size == size else self._load_filter(number, size)
            self._segments[number] = Segment(number, kept, ids, runs)
        self._job = self._load_job()
        self._is_at_rest = False

    def find(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Returns the contents beside those of some digests that stand in a run."""
        segments = list(self._segments.values())
        found: dict[bytes, bytes] = {}
        for position, at in maybe_added([segment.filter for segment in segments], digests):
            digest = digests[position]
            if digest not in found and (content := self._runs.find(segments[at].runs, digest)) is not None:
                found[digest] = content
        return found

    def write(self, identities: Sequence[bytes], newest: float) -> None:
        """Writes a run.

        Args:
            identities: Sorted.
            newest: When the last of them came, epoch seconds.
        """
        self._is_at_rest = False
        segment = self._open_segment()
        self._runs.write(self._note_run(segment, _WRITTEN), identities)
        segment.filter.add(_digests(identities))
        segment.ids += len(identities)
        self._db.execute(
            "UPDATE seen_segment SET ids = ?, newest = max(newest, ?) WHERE id = ?", (segment.ids, newest, segment.id)
        )

    def forget_before(self, instant: float) -> bool:
        """Drops segments whose newest Id came before an instant; their runs go in the steps that follow.

        Returns:
            Whether there were any.
        """
        self._is_at_rest = False
        dropped = self._db.execute("SELECT id FROM seen_segment WHERE newest < ?", (instant,)).fetchall()
        for (number,) in dropped:
            self._db.execute("UPDATE seen_sorted SET into_run = ?, segment = 0 WHERE segment = ?", (_NOWHERE, number))
            self._db.execute("DELETE FROM seen_filter WHERE segment = ?", (number,))
            self._db.execute("DELETE FROM seen_segment WHERE id = ?", (number,))
        return bool(dropped)

    def work(self, steps: int) -> None:
        """Works some steps of the merge under way, or of the next one."""
        for _step in range(0 if self._is_at_rest else steps):
            self._job = self._job or self._next_job()
            if self._job is None:
                self._is_at_rest = True  # until there is another run, or one less
                return
            self._step(self._job)

    def _step(self, job: _Job) -> None:
        job.part = self._runs.next_part(job.sources, job.part)
        if job.part < PARTS:
            self._runs.merge_part(job.sources, job.target or None, job.part)
            job.part += 1
            return
        self._job = None
        self._db.executemany("DELETE FROM seen_sorted WHERE id = ?", [(run,) for run in job.sources])
        for segment in self._segments.values():
            for run in job.sources:
                segment.runs.pop(run, None)

    def _next_job(self) -> _Job | None:
        """Starts the next merge, if there is anything to merge or to drop."""
        for segment in self._segments.values():
            written = [run for run, level in segment.runs.items() if level == _WRITTEN]
            sources = list(segment.runs) if segment.is_full else written
            if len(sources) >= (2 if segment.is_full else MERGE_WIDTH):
                self._store_filter(segment)
                target = self._note_run(segment, _MERGED)
                self._db.executemany("UPDATE seen_sorted SET into_run = ? WHERE id = ?", [(target, run) for run in sources])
                return _Job(sources, target)
        return self._load_job()

    def _load_job(self) -> _Job | None:
        rows = self._db.execute(
            "SELECT into_run, id FROM seen_sorted WHERE into_run IS NOT NULL ORDER BY into_run DESC"
        ).fetchall()
        for target, found in itertools.groupby(rows, key=lambda row: int(row[0])):
            return _Job([run for _target, run in found], target)
        return None

    def _open_segment(self) -> Segment:
        """Returns the newest segment, or a new one when that is full."""
        newest = next(reversed(self._segments.values()), None)
        if newest is not None and not newest.is_full:
            return newest
        size = _filter_size(sum(segment.ids for segment in self._segments.values()))
        number = _number_after(newest.id if newest is not None else 0)
        self._db.execute("INSERT INTO seen_segment(id, filter_bytes) VALUES (?, ?)", (number, size))
        self._segments[number] = Segment(number, BloomFilter(size))
        return self._segments[number]

    def _note_run(self, segment: Segment, level: int) -> int:
        row = (segment.id, level, IDENTITY_BYTES)
        run = self._db.execute("INSERT INTO seen_sorted(segment, level, width) VALUES (?, ?, ?)", row).lastrowid or 0
        segment.runs = {run: level, **segment.runs}  # newest first: a duplicate is rarely old
        return run

    def _store_filter(self, segment: Segment) -> None:
        self._db.execute("DELETE FROM seen_filter WHERE segment = ?", (segment.id,))
        self._db.executemany(
            "INSERT INTO seen_filter(segment, bits) VALUES (?, ?)", ((segment.id, piece) for piece in segment.filter.pieces())
        )

    def _load_filter(self, number: int, size: int) -> BloomFilter:
        """Reads a stored filter, and adds the runs that were written since."""
        loaded = BloomFilter(size)
        loaded.load(bits for (bits,) in self._db.execute("SELECT bits FROM seen_filter WHERE segment = ? ORDER BY id", (number,)))
        since = "SELECT id FROM seen_sorted WHERE segment = ? AND level = ? AND into_run IS NULL"
        for (run,) in self._db.execute(since, (number, _WRITTEN)).fetchall():
            for identities in self._runs.read(run):
                loaded.add(_digests(identities))
        return loaded


def _digests(identities: Iterable[bytes]) -> Iterator[bytes]:
    return (identity[:DIGEST_BYTES] for identity in identities)


def _number_after(number: int) -> int:
    """Returns the number of the next segment, which none had before.

    Filters in memory are known by it. Mere counting would give it out once more where a transaction was rolled back, to a segment
    with other Ids.
    """
    return ((number >> _RANDOM_BITS) + 1) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def _filter_size(ids: int) -> int:
    """Returns the size of a new segment's filter, where so many Ids are remembered already."""
    size = SMALLEST_FILTER
    while size < LARGEST_FILTER and capacity_of(size) < _GROWTH * ids:
        size *= 2
    return size
