"""What was served, what was delivered, and what the journal says of it: the one assertion that all fault scripts share."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from chaos.scripted_scene import Scene
from ualpipe.simulator.service.content import SimulatedBlob


@dataclass
class Figures:
    """Counts of one script, or of all."""

    scripts: int = 0
    blobs: int = 0
    records: int = 0
    dead_blobs: int = 0
    duplicates: int = 0
    lost: int = 0
    doubled: int = 0

    def add(self, other: Figures) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"{self.scripts} fault scripts: {self.blobs:,} blobs, {self.dead_blobs:,} of them dead with their reason; "
            f"{self.records:,} records to deliver, {self.duplicates:,} duplicates left out; "
            f"lost {self.lost}, doubled {self.doubled}"
        )


@dataclass
class Account:
    """One script's outcome.

    Attributes:
        delivered: How often each record was delivered.
        served: How often it has to be: once.
        items: The ledger, by tenant and contentId.
        letters: Dead letters.
        gaps: Gaps, by source and stream: start and end in epoch seconds.
        notices: Documents of the sink that tell of gaps.
    """

    served: Counter[str]
    delivered: Counter[str]
    items: dict[tuple[str, str], sqlite3.Row]
    letters: list[sqlite3.Row]
    gaps: dict[tuple[str, str], tuple[float, float]]
    notices: list[dict[str, Any]]
    unexplained: list[str] = field(default_factory=list)

    def figures(self) -> Figures:
        return Figures(
            scripts=1,
            blobs=len(self.items),
            records=self.served.total(),
            dead_blobs=sum(item["state"] != "fetched" for item in self.items.values()),
            duplicates=sum(item["duplicates"] or 0 for item in self.items.values()),
            lost=(self.served - self.delivered).total(),
            doubled=(self.delivered - self.served).total(),
        )


def account_of(scene: Scene, *, dead: Collection[SimulatedBlob] = (), unlisted: Collection[SimulatedBlob] = ()) -> Account:
    """Compares the tenants with the sink and the ledger.

    Args:
        scene: After its run.
        dead: Blobs that can't be had; all others have to be.
        unlisted: Blobs that the service never listed while the pipeline ran.
    """
    blobs = [(tenant.tenant_id, blob) for tenant in scene.tenants for blob in tenant.blobs() if blob not in unlisted]
    served = {identity for _tenant, blob in blobs if blob not in dead for identity in _served(blob)}
    documents = [orjson.loads(line) for file in _files(scene.folder) for line in file.read_bytes().splitlines()]
    notices = [found for found in documents if "labels" in found]
    delivered = Counter(_delivered(found) for found in documents if "labels" not in found)
    with closing(sqlite3.connect(f"file:{scene.folder / 'state' / 'journal.db'}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        items = {(row["tenant"], row["key"]): row for row in db.execute("SELECT * FROM item WHERE state <> 'notice'")}
        letters = db.execute("SELECT * FROM dead_letter").fetchall()
        gaps = {(row["source"], row["stream"]): (row["starts"], row["ends"]) for row in db.execute("SELECT * FROM gap")}
        account = Account(Counter(served), delivered, items, letters, gaps, notices)
        account.unexplained = [*_ledger_defects(account, blobs, dead), *_batch_defects(db)]
    return account


def assert_explained(account: Account) -> None:
    """Fails unless everything that was served is delivered, once, and the ledger explains every blob."""
    assert account.served - account.delivered == Counter(), "lost"
    assert account.delivered - account.served == Counter(), "doubled, or nobody knows where from"
    assert account.unexplained == []


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "out").glob("*.ndjson"))


def _served(blob: SimulatedBlob) -> Iterator[str]:
    """Yields what each record of a blob is known by: its Id, or its text where it has none."""
    assert isinstance(blob.body, bytes)
    try:
        records = json.loads(blob.body)
    except UnicodeDecodeError:  # the texts of records that are in no blob twice; those of the scripts end at `},`
        records = [_read(text) for text in _texts(blob.body)]
    yield from (str(record["Id"]) if isinstance(record, Mapping) else _text(record) for record in records)


def _texts(body: bytes) -> list[bytes]:
    return [text.strip(b", ") + b"}" for text in body.strip(b"[]").split(b"}") if text]


def _read(text: bytes) -> Any:
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        return text


def _text(record: Any) -> str:
    return record.decode("utf-8", "replace") if isinstance(record, bytes) else json.dumps(record)


def _delivered(document: Mapping[str, Any]) -> str:
    return str(document["event"].get("id") or document["event"]["original"])


def _ledger_defects(
    account: Account, blobs: Iterable[tuple[str, SimulatedBlob]], dead: Collection[SimulatedBlob]
) -> Iterator[str]:
    """Yields what the ledger does not explain: each blob is fetched with all its records, or dead with a reason."""
    expected = {(tenant, blob.content_id): blob for tenant, blob in blobs}
    yield from (f"{key}: in the ledger, but never served" for key in account.items.keys() - expected.keys())
    reasons = {(letter["tenant"], letter["item"]): letter["reason"] for letter in account.letters if letter["batch"] is None}
    for key, blob in expected.items():
        item = account.items.get(key)
        if item is None:
            yield f"{key}: not in the ledger"
        elif blob in dead:
            if item["state"] not in ("dead", "gone") or not reasons.get(key):
                yield f"{key}: {item['state']}, with the reason {reasons.get(key)!r}"
        elif item["state"] != "fetched" or item["records"] != len(list(_served(blob))) or item["bytes"] != len(blob.body):
            yield f"{key}: {item['state']} with {item['records']} records, {item['bytes']} bytes: {item['error']}"


def _batch_defects(db: sqlite3.Connection) -> Iterator[str]:
    """Yields batches that are not settled to the last record."""
    rows = db.execute(
        "SELECT item.key, item.records, item.duplicates, count(batch.id) AS batches, sum(batch.records) AS stored,"
        " coalesce(sum(s.delivered + s.filtered + s.dead), 0) AS settled, sum(s.pending IS NOT NULL) AS pending"
        " FROM item LEFT JOIN batch ON batch.item = item.id AND batch.ready LEFT JOIN settlement s ON s.batch = batch.id"
        " WHERE item.state = 'fetched' GROUP BY item.id"
    )
    for key, records, duplicates, batches, stored, settled, pending in rows:
        if batches and (stored != records or settled + duplicates != records or pending):
            yield f"{key}: {records} records, {duplicates} duplicates, {stored} stored, {settled} settled, {pending} pending"


def last_settled(folder: Path) -> dict[str, float]:
    """Returns when the last batch of each source was settled, in epoch seconds."""
    with closing(sqlite3.connect(f"file:{folder / 'state' / 'journal.db'}?mode=ro", uri=True)) as db:
        return dict(
            db.execute(
                "SELECT item.source, max(s.settled_at) FROM item JOIN batch ON batch.item = item.id"
                " JOIN settlement s ON s.batch = batch.id GROUP BY item.source"
            ).fetchall()
        )
