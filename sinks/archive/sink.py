"""Keeps events as Parquet files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.files import exposures, make_folder, replace_file
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits, StreamCoverage
from ualpipe.pipeline.wording import counted
from ualpipe.sinks.archive import coverage, duck, layout, parts, probe
from ualpipe.sinks.archive.failures import as_sink_error, first_line, told_number
from ualpipe.sinks.archive.known_ids import KnownIds
from ualpipe.sinks.archive.layout import Part, Partition
from ualpipe.sinks.archive.options import ArchiveSinkConfig
from ualpipe.sinks.archive.upkeep import compaction, retention
from ualpipe.sinks.archive.upkeep.locks import RunLock, changing
from ualpipe.sinks.event_fields import document_id, parse_instant
from ualpipe.sinks.table.rows import columns_of

_MARK = b'{"format": 1}\n'
_NEVER = datetime.min.replace(tzinfo=UTC)


class ArchiveSink:
    """Writes the events of each tenant's day into a Parquet file of their own, complete or not there.

    An event that stands there already is not written again. Small files are merged before the next write to their day: in this
    thread, as a merge takes a second or a few, and writes, merges and removals then can't meet.
    """

    Config = ArchiveSinkConfig
    is_local = True  # `check` asks the disk alone
    limits = SinkLimits(max_events=4000, max_bytes=8 * 1024 * 1024, max_event_bytes=8 * 1024 * 1024)

    def __init__(self, config: ArchiveSinkConfig, env: Env) -> None:
        self._config = config
        self._root = config.path
        self._env = env
        self._log = env.log
        self._duck: Any = None
        self._known: KnownIds | None = None
        self._run_lock: RunLock | None = None
        self._mutex = threading.Lock()  # coverage is noted by another thread, which removes old days, too
        self._marking = threading.Lock()
        self._is_swept = False
        self._retention_at = 0.0
        self._left_alone: set[Path] = set()
        self._too_old = self._repeated = 0

    def check(self) -> Iterable[Finding]:
        return list(probe.findings(self._root))

    def open(self) -> None:
        with self._mutex, self._as_sink_errors():
            self._mark()
            if self._run_lock is None:
                self._run_lock = RunLock(self._root)
            if self._duck is None:
                self._duck = duck.connect(threads=1, memory=duck.WRITING_MEMORY)
                self._known = KnownIds(self._root, self._duck, self._note_damage)
            if not self._is_swept:
                self._sweep()
            self._remove_old()

    def _mark(self) -> None:
        """Marks the folder as an archive; makes it where it is missing.

        Raises:
            SinkDenied: It holds files of something else.
        """
        with self._marking:
            make_folder(self._root)
            marker = self._root / layout.MARKER
            if marker.exists():
                return
            if foreign := layout.foreign(self._root):
                raise SinkDenied(f"{self._root}: holds other files ({foreign}), and is no archive: choose an empty folder")
            replace_file(marker, _MARK)

    def _sweep(self) -> None:
        """Removes what a killed process left."""
        with changing(self._root):
            if removed := retention.remove_leftovers(self._root):
                self._log.info("removed what an ended process had left: %s", counted(removed, "file"))
        for what, action in exposures(self._root):
            self._log.warning("%s: %s", what, action)
        self._is_swept = True
        self._retention_at = self._env.clock.monotonic()

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        with self._mutex, self._as_sink_errors():
            if self._known is None or not self._is_swept:
                raise SinkUnavailable("write before open")
            self._remove_old()
            with changing(self._root):
                for partition, events in _by_partition(batch.events).items():
                    self._write(partition, events, self._known)
        return {}

    def _write(self, partition: Partition, events: Sequence[EncodedEvent], known: KnownIds) -> None:
        """Writes the events of one partition that do not stand there yet."""
        if retention.is_too_old(partition, self._env.clock.now(), self._config.keep):
            self._pass_over(partition, len(events))
            return
        self._compact(partition)
        ids = [document_id(event) for event in events]
        try:
            if places := known.unknown(partition, ids):
                number = self._add([events[at] for at in places], partition)
                known.add(partition, [ids[at] for at in places], number)
        except BaseException:
            known.forget(partition)  # nobody can tell what stands there now
            raise
        self._repeated += len(events) - len(places)

    def _add(self, events: Sequence[EncodedEvent], partition: Partition) -> int:
        """Makes a file of events; returns its number."""
        folder = partition.folder(self._root)
        number = max((part.last for part in layout.parts(folder)), default=0) + 1
        columns = columns_of(sorted(events, key=_time))
        parts.add_part(folder, Part(number, number), lambda path: duck.write(self._duck, columns, path))
        return number

    def _compact(self, partition: Partition) -> None:
        """Merges small files of a partition, as often as is due. Where that fails, they count as they are."""
        folder = partition.folder(self._root)
        while chosen := compaction.due(self._sizes(folder), self._config.compact):
            try:
                compaction.merge(self._duck, folder, chosen)
            except (OSError, duck.error()) as exc:
                if not isinstance(exc, OSError) and not told_number(str(exc)):
                    self._leave_alone(folder, chosen, exc)
                else:
                    self._log.warning("small files are not merged now: %s", as_sink_error(exc, folder))
                return

    def _sizes(self, folder: Path) -> dict[Part, int]:
        sizes = layout.sizes(folder)
        left = {path.name for path in self._left_alone if path.parent == folder}
        return {part: compaction.LARGE_BYTES if part.name in left else sizes[part] for part in layout.counting(sizes)}

    def _leave_alone(self, folder: Path, chosen: Sequence[Part], exc: Exception) -> None:
        """Has files that can't be merged left as they are in this run: a damaged one, or all where memory is short."""
        for path in (folder / part.name for part in chosen):
            try:
                self._duck.execute(f"SELECT count(document), count(record) FROM read_parquet({duck.text(path)})").fetchall()
            except duck.error() as damage:
                self._note_damage(path, damage)
        paths = {folder / part.name for part in chosen}
        if not paths & self._left_alone:
            self._log.info("files in %s are not merged: %s", folder, first_line(exc))
            self._left_alone |= paths

    def _note_damage(self, path: Path, exc: Exception) -> None:
        if path not in self._left_alone:
            self._left_alone.add(path)
            self._log.warning("%s can't be read, and what is in it counts as not there: %s", path, first_line(exc))

    def _pass_over(self, partition: Partition, events: int) -> None:
        if not self._too_old:
            self._log.warning("events of %s are older than `keep`: they, and others as old, are not written", partition.day)
        self._too_old += events

    def _remove_old(self) -> None:
        """Removes days that are too old, where an hour has passed since that was done last."""
        now = self._env.clock.monotonic()
        if self._config.keep is None or not self._is_swept or now < self._retention_at:
            return
        self._retention_at = now + retention.INTERVAL_S
        with changing(self._root):
            for partition in retention.remove_old(self._root, self._env.clock.now(), self._config.keep):
                self._log.info("removed, as it is older than `keep`: %s", partition.folder(self._root))
                if self._known is not None:
                    self._known.forget(partition)

    def note_coverage(self, streams: Sequence[StreamCoverage]) -> None:
        """Writes how far the streams have come beside the events; removes old days also where no event comes."""
        with self._as_sink_errors():
            self._mark()
            coverage.write_coverage(self._root, self._env.pipeline, streams, self._env.clock.now())
            if self._mutex.acquire(blocking=False):
                try:
                    self._remove_old()
                finally:
                    self._mutex.release()

    def interrupt(self) -> None:
        """Ends a write or a merge that takes long, as a stop does."""
        if (connection := self._duck) is not None:
            connection.interrupt()

    def close(self) -> None:
        if self._repeated or self._too_old:
            counts = {"repeated": self._repeated, "older_than_keep": self._too_old}
            self._log.info("not written", extra={name: count for name, count in counts.items() if count})
            self._repeated = self._too_old = 0
        if self._duck is not None:
            self._duck.close()
            self._duck = self._known = None
        if self._run_lock is not None:
            self._run_lock.release()
            self._run_lock = None

    @contextlib.contextmanager
    def _as_sink_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise as_sink_error(exc, self._root) from exc
        except Exception as exc:
            if self._duck is not None and isinstance(exc, duck.error()):
                raise as_sink_error(exc, self._root) from exc
            raise


def _by_partition(events: Sequence[EncodedEvent]) -> dict[Partition, list[EncodedEvent]]:
    found: dict[Partition, list[EncodedEvent]] = {}
    for event in events:
        found.setdefault(layout.partition_of(event.tenant, parse_instant(event.time)), []).append(event)
    return found


def _time(event: EncodedEvent) -> datetime:
    return parse_instant(event.time) or _NEVER
