"""Dead letters: what could not go on, with its bytes and the reason; listed, shown, exported, and sent again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ualpipe.pipeline.journal.sqlite.columns import instant, pack_conflicts
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.types import Conflict, DeadLetter, DeadLetterTotals, LedgerItem, StoredDeadLetter
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.compression import compress

_ITEM = "source = ? AND stream = ? AND key = ?"
_COLUMNS = (
    *("id", "source", "tenant", "stream", "item", "noticed_at", "config", "state"),
    *("stage", "code", "reason", "body", "batch", "position", "sink", "pointer", "attempts", "conflict"),
)


class DeadLetters:
    """The dead letters of one journal."""

    def __init__(self, file: JournalFile, config_version: str) -> None:
        self._file = file
        self._config = config_version

    def insert(self, db: sqlite3.Connection, dead_letters: Iterable[DeadLetter]) -> None:
        """Adds events, within the caller's transaction; one that stands there already is left as it is."""
        for dead_letter in dead_letters:
            origin = db.execute(
                "SELECT i.source, i.tenant, i.stream, i.key FROM batch b JOIN item i ON i.id = b.item WHERE b.id = ?",
                (dead_letter.batch,),
            ).fetchone()
            self._insert(db, dead_letter, origin)

    def bury(self, db: sqlite3.Connection, item: LedgerItem, dead_letter: DeadLetter, state: str) -> bool:
        """Gives a work item up as a whole, within the caller's transaction; returns False where it does not wait any more."""
        changed = db.execute(
            "UPDATE item SET state = ?, attempts = attempts + 1, error = ? WHERE id = ? AND state = 'listed'",
            (state, dead_letter.reason, item.id),
        )
        if changed.rowcount:
            self.insert_for_item(db, dead_letter, item)
        return bool(changed.rowcount)

    def insert_for_item(self, db: sqlite3.Connection, dead_letter: DeadLetter, item: LedgerItem) -> None:
        """Adds a dead letter of a work item, within the caller's transaction."""
        self._insert(db, dead_letter, (item.source, item.tenant, item.work.stream, item.work.key))

    def count(self, since: float = 0.0) -> int:
        """Returns how many there are that were noticed at or after an instant (epoch seconds)."""
        return int(self._file.rows("SELECT count(*) FROM dead_letter WHERE state = 'dead' AND noticed_at >= ?", (since,))[0][0])

    def totals(self) -> DeadLetterTotals:
        """Measures all dead letters; reads every row, but not the bodies."""
        count, size, oldest = self._file.rows(
            "SELECT count(*), coalesce(sum(length(body)), 0), min(noticed_at) FROM dead_letter WHERE state = 'dead'"
        )[0]
        return DeadLetterTotals(count, size, instant(oldest))

    def find(self, ids: Sequence[int] = (), *, sink: str | None = None, code: str | None = None) -> Iterator[StoredDeadLetter]:
        """Yields dead letters, oldest first: all, or those of some ids, a sink, or a code."""
        wanted: list[str] = ["state = 'dead'"]
        values: list[str] = []
        if ids:
            wanted.append(f"id IN ({','.join(map(str, map(int, ids)))})")
        for column, value in (("sink", sink), ("code", code)):
            if value is not None:
                wanted.append(f"{column} = ?")
                values.append(value)
        rows = self._file.rows(
            f"SELECT {', '.join(_COLUMNS)}, coalesce(trace, '') FROM dead_letter LEFT JOIN dead_letter_trace ON dead_letter = id"
            f" WHERE {' AND '.join(wanted)} ORDER BY id",
            values,
        )
        for row in rows:
            found: dict[str, Any] = dict(zip((*_COLUMNS, "trace"), row, strict=True))
            found["body"] = self._file.unpack(found["body"])
            found["noticed_at"] = instant(found["noticed_at"])
            dead_letter = DeadLetter(**{name: found.pop(name) for name in DeadLetter.__slots__})
            yield StoredDeadLetter(**found, dead_letter=dead_letter)

    def requeue(self, stored: StoredDeadLetter) -> bool:
        """Sends a dead letter on its way again: an event as a batch of its own to the sinks it missed, a work item to fetching.

        Returns:
            False when the service has dropped the work item meanwhile and there are no bytes to send.
        """
        with self._file.transaction() as db:
            if self.is_lost(stored):
                return False
            if not db.execute("UPDATE dead_letter SET state = 'retried' WHERE id = ? AND state = 'dead'", (stored.id,)).rowcount:
                return True  # somebody else has just sent it
            _remove_traces(db, [(stored.id,)])
            if stored.dead_letter.batch is not None:
                self._insert_batch(db, stored)
            else:
                db.execute(f"UPDATE item SET state = 'listed', attempts = 0, next_attempt = 0 WHERE {_ITEM}", _item_of(stored))
        return True

    def is_lost(self, stored: StoredDeadLetter) -> bool:
        """Tells whether a letter can't be sent again: the service has dropped the work item, and there are no bytes to send."""
        rows = self._file.rows(f"SELECT expires FROM item WHERE {_ITEM}", _item_of(stored))
        if not rows:
            return True
        expires = rows[0][0]
        return stored.dead_letter.batch is None and expires is not None and bool(expires < self._file.now())

    def chunk(self, stored: StoredDeadLetter) -> Chunk:
        """Returns the event of a dead letter as a chunk of its own."""
        (state,) = self._file.rows(f"SELECT state FROM item WHERE {_ITEM}", _item_of(stored))[0]
        return Chunk(b"[" + stored.dead_letter.body + b"]", "notice") if state == "notice" else chunk_of(stored.dead_letter)

    def let_go_of_sent(self, db: sqlite3.Connection, batches: Iterable[tuple[int]]) -> None:
        """Lets go of the bytes of letters that were sent again, within the transaction that removes the batches they came in.

        Until then a replay knows by them which batch holds one record of these once more.
        """
        sent = db.execute(
            "SELECT id FROM dead_letter WHERE state = 'retried' AND batch IN (SELECT value FROM json_each(?))",
            (json.dumps([batch for (batch,) in batches]),),
        ).fetchall()
        nothing = compress(b"")
        db.executemany("UPDATE dead_letter SET body = ? WHERE id = ?", [(nothing, dead_letter) for (dead_letter,) in sent])
        _remove_traces(db, sent)

    def discard(self, stored: StoredDeadLetter) -> None:
        """Lets go of a dead letter's bytes and traceback; that it was there, and why, stays in the journal."""
        with self._file.transaction() as db:
            discarded = db.execute(
                "UPDATE dead_letter SET state = 'discarded', body = ? WHERE id = ? AND state = 'dead'",
                (compress(b""), stored.id),
            )
            if discarded.rowcount:
                _remove_traces(db, [(stored.id,)])

    def _insert(self, db: sqlite3.Connection, dead_letter: DeadLetter, origin: tuple[str, str, str, str]) -> None:
        source, tenant, stream, item = origin
        values = {name: getattr(dead_letter, name) for name in DeadLetter.__slots__ if name != "trace"}
        values |= {"source": source, "tenant": tenant, "stream": stream, "item": item}
        values["sink"] = dead_letter.sink or _only_sink(db, dead_letter.batch)
        values |= {"body": compress(dead_letter.body), "config": self._config, "noticed_at": self._file.now()}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = db.execute(f"INSERT OR IGNORE INTO dead_letter({names}) VALUES ({marks})", list(values.values()))
        if dead_letter.trace and cursor.rowcount:
            db.execute("INSERT INTO dead_letter_trace VALUES (?, ?)", (cursor.lastrowid, dead_letter.trace))

    def _insert_batch(self, db: sqlite3.Connection, stored: StoredDeadLetter) -> None:
        chunk, dead_letter = self.chunk(stored), stored.dead_letter
        packed, sha256 = compress(chunk.body), hashlib.sha256(chunk.body).digest()
        conflicts = pack_conflicts({0: Conflict(dead_letter.conflict)} if dead_letter.conflict else {})
        values = (chunk.framing, len(chunk.body), packed, sha256, self._file.now(), dead_letter.sink, conflicts)
        db.execute(
            "INSERT INTO batch(item, framing, records, bytes, body, sha256, stored_at, ready, only_sink, conflicts)"
            f" SELECT id, ?, 1, ?, ?, ?, ?, 1, ?, ? FROM item WHERE {_ITEM}",
            (*values, *_item_of(stored)),
        )


def chunk_of(dead_letter: DeadLetter) -> Chunk:
    """Returns the record of a dead letter as a chunk of its own."""
    # A record that spans lines (or holds a raw line break in a string) is an array of one; one that is no JSON is a line.
    return Chunk(b"[" + dead_letter.body + b"]", "array") if b"\n" in dead_letter.body else Chunk(dead_letter.body, "lines")


def _only_sink(db: sqlite3.Connection, batch: int | None) -> str | None:
    """Returns the one sink that a batch is for: what no transform takes of it is dead for that sink, and for no other."""
    row = db.execute("SELECT only_sink FROM batch WHERE id = ?", (batch,)).fetchone()
    return row[0] if row else None


def _remove_traces(db: sqlite3.Connection, dead_letters: Iterable[tuple[int]]) -> None:
    db.executemany("DELETE FROM dead_letter_trace WHERE dead_letter = ?", dead_letters)


def _item_of(stored: StoredDeadLetter) -> tuple[str, str, str]:
    return stored.source, stored.stream, stored.item
