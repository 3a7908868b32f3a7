"""A tenant that makes every step happen, four destinations of its own, and what must be true when all is over."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from runs import Tenant, generated, ids_in, record_ids, served
from servers.peers.fake_receiver import FakeReceiver

SINKS = ["local", "bus", "search", "siem", "hook"]
RECORDS_PER_BLOB = 10
OVERSIZED = 64
OVERSIZED_BYTES = 40_000  # more than the syslog sink takes here; all of them together are more than one chunk
FLAWED_EVERY, FLAWED_USER = 7, 5  # a number is no user
SYSLOG_LIMIT = "32KiB"
SOURCE = "contoso"
STREAM = "Audit.General"


@dataclass(frozen=True, slots=True)
class Scene:
    """What is served.

    Attributes:
        ids: Of all records.
        oversized: Of those that the syslog sink refuses.
        listed: Of all blobs: content type and contentId.
        flawed: Of those in which a field is not as its schema says.
        no_json: Blobs that hold no records.
        cut_off: Blobs whose good records count, and whose rest is a dead letter.
    """

    tenant: Tenant
    ids: frozenset[str]
    oversized: frozenset[str]
    flawed: frozenset[str]
    listed: frozenset[tuple[str, str]]
    no_json: frozenset[str]
    cut_off: frozenset[str]

    def wanted(self, sink: str, aside: frozenset[str] = frozenset()) -> frozenset[str]:
        """Returns the Ids that a sink must have, where some stand in dead letters of whole items."""
        return self.ids - aside - (self.oversized if sink == "siem" else frozenset())


@contextmanager
def served_scene(folder: Path, blobs: int, records_per_blob: int = RECORDS_PER_BLOB, **source: Any) -> Iterator[Scene]:
    """Serves small blobs, and among them: one in several chunks with records that a sink refuses, two whose records stand in
    others, one that is no JSON, and one that is cut off."""
    records = generated(blobs * records_per_blob)
    for record in records[::FLAWED_EVERY]:
        record["UserId"] = FLAWED_USER
    source = {"requests_per_minute": 100_000, **source}
    with served(folder, records, records_per_blob=records_per_blob, **source) as tenant:
        large = [_oversized(record) for record in records[:OVERSIZED]]
        begun = [_oversized(record) for record in records[:OVERSIZED]]
        cut = orjson.dumps(begun)[:-1] + b',{"Id": "half a rec]'
        # Fetched last, between the newest and those that expire first: each attempt makes the pause before the next longer.
        middle = datetime.now(UTC) - timedelta(hours=3)
        for first in (0, blobs * records_per_blob // 2):
            tenant.tenant.add_blob(STREAM, records[first : first + records_per_blob])
        no_json = tenant.tenant.add_blob(STREAM, b'{"error": "no array"}', created=middle)
        cut_off = tenant.tenant.add_blob(STREAM, cut, created=middle)
        tenant.tenant.add_blob(STREAM, large)
        oversized = frozenset(record["Id"] for record in (*large, *begun))
        yield Scene(
            tenant,
            frozenset(record["Id"] for record in records) | oversized,
            oversized,
            frozenset(record["Id"] for record in (*records, *large, *begun) if record["UserId"] == FLAWED_USER),
            frozenset((blob.content_type, blob.content_id) for blob in tenant.tenant.blobs()),
            frozenset((no_json.content_id,)),
            frozenset((cut_off.content_id,)),
        )


def _oversized(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "Id": str(uuid.uuid4()), "UserKey": "k" * OVERSIZED_BYTES, "ContosoTrial": 1}


@dataclass(frozen=True, slots=True)
class Destinations:
    """A file, a topic, a data stream and a receiver that got nothing before; perhaps one that takes events by HTTP."""

    folder: Path
    name: str
    kafka: Any
    elasticsearch: Any
    rsyslog: Any
    kafka_driver: str = "auto"
    hook: FakeReceiver | None = None

    def prepared(self) -> Destinations:
        """Makes the topic, and forgets what the receiver got before."""
        self.kafka.create_topic(self.name, 2)
        self.rsyslog.forget()
        return self

    @property
    def sinks(self) -> dict[str, Any]:
        """The config section."""
        bus = {"bootstrap_servers": [self.kafka.bootstrap_servers], "topic": self.name, "driver": self.kafka_driver}
        syslog = {"host": "127.0.0.1", "port": self.rsyslog.tcp_port, "transport": "tcp", "max_message_bytes": SYSLOG_LIMIT}
        hook = {"hook": {"type": "http", "url": self.hook.url, "compression": "gzip"}} if self.hook else {}
        return {
            "sinks": {
                **hook,
                "local": {
                    "type": "file",
                    "path": str(self.folder / "audit.ndjson"),
                    "rotate_size": "256KiB",
                    "when": {"event.kind|exists": True},
                },
                "bus": {"type": "kafka", **bus},
                "search": {"type": "elasticsearch", "urls": [self.elasticsearch.url], "data_stream": self._data_stream},
                "siem": {"type": "syslog", **syslog},
            }
        }

    @property
    def names(self) -> list[str]:
        """Names of the sinks."""
        return [sink for sink in SINKS if sink != "hook" or self.hook]

    @property
    def _data_stream(self) -> str:
        return f"logs-o365.audit-{self.name}"

    def delivered(self, scene: Scene, aside: frozenset[str]) -> dict[str, Counter[str]]:
        """Returns how often each record Id is there, by sink; what is there in part only counts as ``(torn)``."""
        messages = self.kafka.consume(self.name, len(scene.wanted("bus", aside)), 30)
        return {
            "local": Counter(ids_in(self.folder)),
            "bus": Counter(message.key.decode() for message in messages),
            "search": Counter(record_ids(self.elasticsearch.search_ids(self._data_stream))),
            "siem": self._syslog_ids(len(scene.wanted("siem", aside))),
            **({"hook": Counter(event["event"]["id"] for event in self.hook.taken)} if self.hook else {}),
        }

    def _syslog_ids(self, wanted: int, timeout_s: float = 10.0) -> Counter[str]:
        """Reads until all have arrived and nothing follows."""
        deadline = time.monotonic() + timeout_s
        before = -1
        while time.monotonic() < deadline:
            found = Counter(_syslog_id(line["msg"]) for line in self.rsyslog.received())
            if len(found.keys() - {TORN}) >= wanted and found.total() == before:
                break
            before = found.total()
            time.sleep(0.1)
        return found


TORN = "(torn)"


def _syslog_id(message: str) -> str:
    try:
        return str(orjson.loads(message.lstrip("\ufeff"))["event"]["id"])
    except orjson.JSONDecodeError:
        return TORN
