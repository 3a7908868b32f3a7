"""Counters and gauges, with the names of all of them in one place."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

RECORDS_RECEIVED = "source.records.received"  # records in fetched work items, duplicates included
RECORDS_DUPLICATE = "source.records.duplicate"  # records that were stored before: the same Id and the same content
RECORDS_CONFLICT = "source.records.conflict"  # records with other content than the first under their Id
BYTES_RECEIVED = "source.bytes.received"  # bytes of fetched work items, decompressed
REQUESTS = "source.requests"  # requests sent to the service, by outcome
ITEMS_LISTED = "source.items.listed"  # work items seen for the first time
ITEMS_LIVE = "source.items.live"  # of these work items, those that became available within the last hour
ITEMS_FETCHED = "source.items.fetched"  # work items stored in the journal
ITEMS_FAILED = "source.items.failed"  # attempts to fetch that failed
ITEMS_DEAD = "source.items.dead"  # work items given up, each a dead letter
ITEMS_WAITING = "source.items.waiting"  # work items listed and not fetched yet
CLEARS_IN_S = "source.backlog.clears_in_s"  # seconds until nothing waits, at the rate of the last minutes; -1: never
AT_ONCE = "source.concurrency"  # work items that may be fetched at the same time now
THROTTLED_S = "source.throttled_s"  # seconds that the service has asked us to pause
CERTIFICATE_DAYS = "credential.certificate.days"  # days that a certificate still lasts; below 0 when it has expired
EVENTS_IN = "sink.events.in"  # events read for a sink
EVENTS_DELIVERED = "sink.events.delivered"  # events the destination has
EVENTS_FILTERED = "sink.events.filtered"  # events a transform or `when` left out
EVENTS_DEAD = "sink.events.dead"  # events dead-lettered for a sink
EVENTS_EXISTING = "sink.events.existing"  # events that the destination says it had already, among those delivered
EVENTS_UNCERTAIN = (
    "sink.events.uncertain"  # events sent again of which nobody knows whether they arrived: they may be there twice
)
EVENTS_FLAWED = "sink.events.flawed"  # events read for a sink whose record is not as it should be, by source and kind of flaw
EVENTS_OFFERED = "sink.when.events"  # events that a sink's `when` was asked about
EVENTS_UNWANTED = "sink.when.unwanted"  # of these events, those that it left out
TRANSFORM_IN = "transform.events.in"  # events that came to a transform, by its place in the config, for a sink
TRANSFORM_PASSED = "transform.events.passed"  # of these events, those that it let pass
TRANSFORM_LEFT_OUT = "transform.events.left_out"  # of these events, those that it left out or refused
EVENTS_RETRIED = "sink.events.retried"  # events sent again
BYTES_DELIVERED = "sink.bytes.delivered"  # bytes of the encoded documents delivered
WRITES = "sink.writes"  # writes, by outcome
SINK_BACKLOG = "sink.backlog.batches"  # stored batches not yet settled
VIOLATIONS = "conservation.violations"  # nodes where more or fewer records come out than go in: a bug, and perhaps a loss
MEMORY_BYTES = "process.memory.bytes"  # memory of the process and its workers, without shared files
JOURNAL_BYTES = "journal.bytes"  # size of the journal on disk
GAPS = "source.gaps"  # periods that could not be fetched

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Noted:
    """One call of ``add`` or ``set``, to be repeated in another process."""

    is_gauge: bool
    name: str
    value: float
    labels: Mapping[str, str]


class Metrics:
    """Thread-safe numbers by name and labels. Called once a batch or request, never once a record."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raises a counter."""
        key = frozenset(labels.items())
        with self._lock:
            values = self._values.setdefault(name, {})
            values[key] = values.get(key, 0) + amount

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        with self._lock:
            self._values.setdefault(name, {})[frozenset(labels.items())] = value

    def repeat(self, calls: Iterable[Noted]) -> None:
        """Repeats the calls that another process noted."""
        for call in calls:
            (self.set if call.is_gauge else self.add)(call.name, call.value, **call.labels)

    def get(self, name: str, **labels: str) -> float:
        """Returns the sum of a name over all label sets that include the given labels; 0 when there is none."""
        wanted = frozenset(labels.items())
        with self._lock:
            return sum(value for found, value in self._values.get(name, {}).items() if wanted <= found)

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        with self._lock:
            rows = sorted((name, sorted(of), value) for name, values in self._values.items() for of, value in values.items())
        return iter([(name, dict(labels), value) for name, labels, value in rows])


class NotedMetrics(Metrics):
    """Notes the calls for the process that has the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Noted] = []

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        self._calls.append(Noted(is_gauge=False, name=name, value=amount, labels=labels))

    def set(self, name: str, value: float, **labels: str) -> None:
        self._calls.append(Noted(is_gauge=True, name=name, value=value, labels=labels))

    def take(self) -> list[Noted]:
        """Returns the calls since the last ``take``."""
        calls, self._calls = self._calls, []
        return calls
