"""Written fakes for engine tests: a clock that only moves when told, a source and a sink in memory, both scriptable."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from ualpipe.pipeline.config import JournalOptions, PipelineConfig, SinkOptions, SourceOptions, StageSpec
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records import CHUNK_BYTES, Chunk, chunks_of_array
from ualpipe.pipeline.stages import Batch, Env, Finding, Gap, Instant, Listed, SinkLimits, WorkItem

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
        fetch_errors: Key → errors raised by the next fetches of it, first first.
        listing_errors: Stream → errors raised by the next listings.
    """

    Config: ClassVar[type] = NoOptions
    tenant = TENANT

    def __init__(self, items: Mapping[str, Mapping[str, bytes]], *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.items = {stream: dict(bodies) for stream, bodies in items.items()}
        self.fetch_errors: dict[str, list[Exception]] = {}
        self.listing_errors: dict[str, list[Exception]] = {}
        self.gaps: list[Gap] = []
        self.expires: Instant | None = None
        self.fetched: list[str] = []
        self.since: list[Instant | None] = []
        self._chunk_bytes = chunk_bytes

    def check(self) -> Iterable[Finding]:
        return [Finding("ok", "memory", "there")]

    def open(self) -> None:
        return None

    def streams(self) -> Sequence[str]:
        return list(self.items)

    def discover(self, stream: str, since: Instant | None) -> Iterator[WorkItem | Listed | Gap]:
        self.since.append(since)
        yield from self.gaps
        for key in self.items[stream]:
            yield WorkItem(stream, key, {}, NOW, self.expires)
        if errors := self.listing_errors.get(stream):
            raise errors.pop(0)
        yield Listed(NOW)

    def fetch(self, item: WorkItem) -> Iterator[Chunk]:
        self.fetched.append(item.key)
        body = self.items[item.stream][item.key]
        yield from chunks_of_array([body], max_bytes=self._chunk_bytes)
        if errors := self.fetch_errors.get(item.key):
            raise errors.pop(0)

    def close(self) -> None:
        return None


class MemorySink:
    """Keeps what is written.

    Attributes:
        delivered: Ids, in the order of arrival.
        script: What the next writes do: an error is raised, a mapping is returned, a callable gets the batch; None or an empty
            script delivers all.
    """

    Config: ClassVar[type] = NoOptions

    def __init__(self, script: Iterable[Any] = (), limits: SinkLimits | None = None) -> None:
        self.limits = limits or SinkLimits()
        self.script = list(script)
        self.delivered: list[str] = []
        self.events: list[Event] = []
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
        errors: Mapping[int, SinkError] = step(batch) if callable(step) else step or {}
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
    """A pipeline of fakes, for ``Runner``."""

    state_dir: Path
    source: Any
    sinks: dict[str, Any]
    transforms: list[Any] = field(default_factory=list)
    whens: dict[str, Any] = field(default_factory=dict)
    journal: JournalOptions | None = None

    def config(self) -> PipelineConfig:
        def spec(name: str, stage: Any, common: Any = None) -> StageSpec:
            return StageSpec(name, "memory", lambda _options, _env: stage, NoOptions(), common, self.whens.get(name))

        base = Path()
        return PipelineConfig(
            path=Path("pipeline.yaml"),
            pipeline="test",
            state_dir=self.state_dir,
            credentials={},
            sources={"source": spec("source", self.source, build(SourceOptions, {"concurrency": 2}, base))},
            transforms=[spec("transforms[0]", transform) for transform in self.transforms],
            sinks={name: spec(name, sink, build(SinkOptions, {}, base)) for name, sink in self.sinks.items()},
            journal=self.journal or build(JournalOptions, {}, base),
            version="0123456789ab",
            secrets=frozenset(),
        )


def body(found: Iterable[Any]) -> bytes:
    return json.dumps(list(found)).encode()


