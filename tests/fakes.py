"""Written fakes for engine tests: a clock that only moves when told, a source and a sink in memory, both scriptable."""

from __future__ import annotations

import dataclasses
import json
import logging
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ualpipe.pipeline.buffer import batch_buffer
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.collect import collector
from ualpipe.pipeline.config.model import JournalOptions, PipelineConfig, SinkOptions, SourceOptions, StageSpec
from ualpipe.pipeline.deliver import delivery
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.events import EncodedEvent, Event, Origin
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import CommitResult, FetchedItem, LedgerItem, PackedChunk, StoredDeadLetter
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import CHUNK_BYTES, chunks_of_array
from ualpipe.pipeline.stages import Batch, Env, Finding, Gap, Instant, Listed, SinkLimits, WorkItem
from ualpipe.pipeline.supervisor.runner import Runner

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TENANT = "22222222-2222-2222-2222-222222222222"


class FakeClock:
    """Stands still until ``advance``; waiting moves it on at once, so that no test sleeps."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._lock = threading.Lock()
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        if not event.is_set():
            self.advance(timeout_s)
        return event.is_set()


class HurriedClock:
    """Time that passes a thousand times as fast, so that the threads of a run wait as in life and no test does.

    A long wait is cut short and the clock put forward instead.
    """

    LONGEST_WAIT_S = 0.01

    def __init__(self, now: datetime = NOW, speed: float = 1000.0) -> None:
        self._begin = now
        self._speed = speed
        self._began_at = time.monotonic()
        self._skipped_s = 0.0
        self._lock = threading.Lock()
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._elapsed_s())

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed_s()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        real_s = min(timeout_s / self._speed, self.LONGEST_WAIT_S)
        if event.wait(real_s):
            return True
        with self._lock:
            self._skipped_s += timeout_s - real_s * self._speed
        return False

    def _elapsed_s(self) -> float:
        return (time.monotonic() - self._began_at) * self._speed + self._skipped_s


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Shortens the engine's own pauses, which are for waiting on threads and not on time."""
    patch.setattr(collector, "PROBE_S", 0.002)
    patch.setattr(delivery, "LOOK_AGAIN_S", 0.01)
    patch.setattr(batch_buffer, "ROOM_WAIT_S", 0.01)
    patch.setattr(batch_buffer, "IN_STEP_S", 0.002)


class NoBudget:
    """Lets every request pass."""

    def take(self) -> None:
        return None


def env(name: str = "stage", **changes: Any) -> Env:
    """Makes an ``Env`` for a stage under test."""
    base = Env(name, FakeClock(), logging.getLogger(f"test.{name}"), Metrics(), NoBudget())
    return dataclasses.replace(base, **changes)


def record(number: int, **changes: Any) -> dict[str, Any]:
    """Makes a small valid audit record; equal numbers give equal Ids."""
    return {
        "Id": f"00000000-0000-0000-0000-{number:012d}",
        "RecordType": 6,
        "CreationTime": "2026-11-20T08:00:00",
        "Operation": "FileAccessed",
        "OrganizationId": TENANT,
        "UserType": 0,
        "UserKey": "key",
        "Workload": "SharePoint",
        "UserId": "alice@contoso.com",
        **changes,
    }


def records(start: int, count: int) -> list[dict[str, Any]]:
    return [record(number) for number in range(start, start + count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """A stage without options."""


class MemorySource:
    """Serves work items from memory.

    Attributes:
        items: Stream → key → body.
        fetch_errors: Key → errors raised by the next fetches of it after its records, first first; None lets one pass.
        listing_errors: Stream → errors raised by the next listings after all items, first first; None lets one pass.
        open_errors: Raised by the next ``open``.
        expires: When all items can no longer be fetched.
        on_fetch: Called with the item at the begin of each fetch.
    """

    Config: ClassVar[type] = NoOptions
    tenant = TENANT

    def __init__(self, items: Mapping[str, Mapping[str, bytes]], *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.items = {stream: dict(bodies) for stream, bodies in items.items()}
        self.fetch_errors: dict[str, list[Exception | None]] = {}
        self.listing_errors: dict[str, list[Exception | None]] = {}
        self.open_errors: list[Exception] = []
        self.on_fetch: Callable[[WorkItem], None] = lambda _item: None
        self.gaps: list[Gap] = []
        self.expires: Instant | None = None
        self.fetched: list[str] = []
        self.closed = 0
        self.since: list[Instant | None] = []
        self._chunk_bytes = chunk_bytes

    def check(self) -> Iterable[Finding]:
        return [Finding("ok", "memory", "there")]

    def open(self) -> None:
        if self.open_errors:
            raise self.open_errors.pop(0)

    def streams(self) -> Sequence[str]:
        return list(self.items)

    def discover(self, stream: str, since: Instant | None) -> Iterator[WorkItem | Listed | Gap]:
        self.since.append(since)
        yield from self.gaps
        for key in self.items[stream]:
            yield WorkItem(stream, key, {}, NOW, self.expires)
        _raise_next(self.listing_errors.get(stream))
        yield Listed(NOW)

    def fetch(self, item: WorkItem) -> Iterator[Chunk]:
        self.fetched.append(item.key)
        self.on_fetch(item)
        body = self.items[item.stream][item.key]
        yield from chunks_of(body, self._chunk_bytes)
        _raise_next(self.fetch_errors.get(item.key))

    def close(self) -> None:
        self.closed += 1


def _raise_next(errors: list[Exception | None] | None) -> None:
    if errors and (error := errors.pop(0)) is not None:
        raise error


class MemorySink:
    """Keeps what is written.

    Attributes:
        delivered: Ids, in the order of arrival.
        script: What the next writes do: an error is raised, of a mapping that part is returned which is about events of the
            batch, a callable gets the batch and answers as it likes; None or an empty script delivers all.
    """

    Config: ClassVar[type] = NoOptions

    def __init__(self, script: Iterable[Any] = (), limits: SinkLimits | None = None) -> None:
        self.limits = limits or SinkLimits()
        self.script = list(script)
        self.delivered: list[str] = []
        self.events: list[EncodedEvent] = []
        self.writes: list[int] = []
        self.opened = self.closed = 0

    def check(self) -> Iterable[Finding]:
        return [Finding("ok", "memory", "there")]

    def open(self) -> None:
        self.opened += 1

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        self.writes.append(len(batch.events))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        errors: Mapping[int, SinkError] = (
            step(batch)
            if callable(step)
            else {index: error for index, error in (step or {}).items() if index < len(batch.events)}
        )
        taken = [event for index, event in enumerate(batch.events) if index not in errors]
        self.events += taken
        self.delivered += [event.id for event in taken]
        return errors

    def close(self) -> None:
        self.closed += 1


class TagTransform:
    """Makes a document of a record's Id; filters or fails on request of the record."""

    Config: ClassVar[type] = NoOptions

    def __init__(self, config: Any = None, env: Any = None) -> None:
        self.applied = 0

    def open(self) -> None:
        return None

    def apply(self, event: Event) -> Event | None:
        self.applied += 1
        event.document = {"event": {"id": event.id}}
        if isinstance(event.record.get("fail"), Exception):
            raise event.record["fail"]
        return None if event.record.get("drop") else event


@dataclass(slots=True)
class Pipeline:
    """A pipeline of fakes, for ``Runner``.

    Attributes:
        source: A source, or several by name.
        source_options: Options that every source has.
        clock: Goes on from run to run.
    """

    state_dir: Path
    source: Any
    sinks: dict[str, Any]
    transforms: list[Any] = field(default_factory=list)
    whens: dict[str, Any] = field(default_factory=dict)
    journal: JournalOptions | None = None
    source_options: Mapping[str, Any] = field(default_factory=lambda: {"concurrency": 2})

    clock: Clock = field(default_factory=HurriedClock)

    def runner(self, *, once: bool = True) -> Runner:
        """Makes a run of it."""
        return Runner(self.config(), once=once, clock=self.clock)

    def config(self) -> PipelineConfig:
        def spec(name: str, stage: Any, common: Any = None) -> StageSpec:
            return StageSpec(name, "memory", lambda _options, _env: stage, NoOptions(), common, self.whens.get(name))

        base = Path()
        sources = self.source if isinstance(self.source, dict) else {"source": self.source}
        source_options = build(SourceOptions, self.source_options, base)
        return PipelineConfig(
            path=Path("pipeline.yaml"),
            pipeline="test",
            state_dir=self.state_dir,
            credentials={},
            sources={name: spec(name, source, source_options) for name, source in sources.items()},
            transforms=[spec("transforms[0]", transform) for transform in self.transforms],
            sinks={name: spec(name, sink, build(SinkOptions, {}, base)) for name, sink in self.sinks.items()},
            journal=self.journal or build(JournalOptions, {}, base),
            version="0123456789ab",
            secrets=frozenset(),
        )


def body(found: Iterable[Any]) -> bytes:
    return json.dumps(list(found)).encode()


def chunks_of(content: bytes, size: int) -> Iterator[Chunk]:
    """Cuts a body into chunks as if it came over a slow line."""
    step = max(1, size // 4)
    return chunks_of_array((content[at : at + step] for at in range(0, max(1, len(content)), step)), max_bytes=size)


def open_journal(folder: Path, clock: Clock, **options: Any) -> SqliteJournal:
    """Opens the SQLite journal of a folder, as a running pipeline does."""
    return SqliteJournal(JournalFile(folder, clock, exclusive=True), **options)


def enter(journal: Journal, key: str, *, stream: str = "stream", tenant: str = TENANT) -> LedgerItem:
    """Enters a work item in the ledger and leases it, as a collector does."""
    journal.enter("source", tenant, [WorkItem(stream, key, {}, NOW)])
    leased = journal.lease("source", [stream], 1000)
    for item in leased:
        if item.work.key != key:
            journal.release(item)
    return next(item for item in leased if item.work.key == key)


def pack(chunk: Chunk, clock: Clock, tenant: str = TENANT) -> PackedChunk:
    """Makes a chunk ready for the journal, as a fetch task does."""
    done = LocalProcessor().process(Origin("source", tenant, "stream", "item", chunk), transform=False)
    return PackedChunk(chunk.framing, done.digests, len(chunk.body), done.packed, done.sha256, clock.now().timestamp())


def store(journal: Any, key: str, found: Iterable[Any], *, tenant: str = TENANT, chunk_bytes: int = CHUNK_BYTES) -> CommitResult:
    """Enters a work item and stores its records; all chunks but the last are staged."""
    item = enter(journal, key, tenant=tenant)
    *staged, last = [pack(chunk, journal.clock, tenant) for chunk in chunks_of(body(found), chunk_bytes)]
    fetched = FetchedItem(item, [journal.stage(item, chunk) for chunk in staged], last if last.digests else None)
    return journal.commit([fetched])[0]


def stored_ids(journal: Journal) -> list[str]:
    """Returns the Ids of everything stored for a sink and not a duplicate."""
    found = [journal.read(ref) for ref in journal.unsettled("sink")]
    return [one["Id"] for batch in found for at, one in enumerate(batch.origin.chunk.records) if at not in batch.duplicates]


def listed(journal: Any, *keys: str, source: str = "source") -> None:
    """Enters items of one stream by their keys."""
    journal.enter(source, TENANT, [WorkItem("stream", key, {}, NOW) for key in keys])


def lease(journal: Any, most: int = 100, *, source: str = "source") -> list[LedgerItem]:
    """Leases items of that stream."""
    found: list[LedgerItem] = journal.lease(source, ["stream"], most)
    return found


def keys(items: Iterable[LedgerItem]) -> list[str]:
    """Returns the keys of items in order."""
    return sorted(item.work.key for item in items)


def dead_letters_in(folder: Path) -> Sequence[StoredDeadLetter]:
    """Returns the dead letters in the journal of a folder."""
    with closing(SqliteJournalReader(folder, FakeClock())) as reader:
        return reader.dead_letters()


def rows(folder: Path, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """Asks the journal file of a folder, from beside."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        return db.execute(sql, values).fetchall()


def change(folder: Path, sql: str, values: Sequence[Any] = ()) -> None:
    """Changes the journal file of a folder, from beside: what no release does, and a disk may."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute(sql, values)


def snapshot(folder: Path, into: Path) -> Path:
    """Copies a state directory as a crash would leave it: while it is open, as it is on the disk."""
    into.mkdir()
    for file in folder.iterdir():
        (into / file.name).write_bytes(file.read_bytes())
    return into


PATIENCE_S = 20.0
"""Only a test that fails waits so long: a machine with more to do may take its time."""


def until(condition: Callable[[], Any], what: str = "it", *, timeout_s: float = PATIENCE_S) -> None:
    """Waits for other threads; fails the test when they take too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come about within {timeout_s:g} s")
        time.sleep(0.001)


def stacks() -> str:
    """Returns where each thread is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames().items()
    return "\n".join(f"{names.get(ident)}:\n{''.join(traceback.format_stack(frame)[-6:])}" for ident, frame in frames)


def run_to_end(run: Callable[[], Any], stop: Callable[[], None], *, timeout_s: float = PATIENCE_S) -> Any:
    """Runs something that has to end by itself; stops it and fails the test when it does not."""
    results: list[Any] = []
    errors: list[Exception] = []

    def target() -> None:
        try:
            results.append(run())
        except Exception as exc:  # noqa: BLE001 - raised again below
            errors.append(exc)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        where = stacks()
        stop()
        thread.join(timeout_s)
        pytest.fail(f"the run did not end within {timeout_s:g} s:\n{where}")
    if errors:
        raise errors[0]
    return results[0]
