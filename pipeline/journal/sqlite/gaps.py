"""Gaps: periods that can no longer be fetched, noted in the journal, with notices for the sinks."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping

from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.schema import begin_key
from ualpipe.pipeline.journal.types import BatchRef, Notice
from ualpipe.pipeline.records.compression import compress
from ualpipe.pipeline.stages import Gap, Listed


class Gaps:
    """The gaps of one journal.

    A gap grows until the listing that finds it comes to its end: until then it is noted, so that the status shows it. A complete
    listing settles its bounds, and the sinks get a notice of it.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def note(self, source: str, stream: str, gap: Gap) -> bool:
        """Notes a gap whose end is not certain yet; returns whether it is news, and not one that has grown."""
        with self._file.transaction() as db:
            return self._note(db, source, stream, gap)

    def conclude(
        self, source: str, tenant: str, stream: str, gaps: Mapping[Gap, Notice], listed: Listed | None
    ) -> list[BatchRef]:
        """Notes the end of a listing and, for good, the gaps that it found, with the notice of each to all sinks."""
        with self._file.transaction() as db:
            for gap in gaps:
                self._note(db, source, stream, gap)
            stored = [self._store(db, source, tenant, stream, notice) for notice in gaps.values()]
            if listed is not None:
                self._forget_unconfirmed(db, source, stream, gaps)
                db.execute("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", (source, stream, listed.until.timestamp()))
            if listed is not None and listed.begin is not None:
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (begin_key(source, stream), str(listed.begin.timestamp())))
        return [ref for ref in stored if ref is not None]

    def _note(self, db: sqlite3.Connection, source: str, stream: str, gap: Gap) -> bool:
        where = (source, stream, gap.start.timestamp())
        grown = db.execute(
            "UPDATE gap SET ends = ?, reason = ? WHERE source = ? AND stream = ? AND starts = ?",
            (gap.end.timestamp(), gap.reason, *where),
        )
        if grown.rowcount:
            return False
        db.execute(
            "INSERT INTO gap(source, stream, starts, ends, reason, noticed_at) VALUES (?, ?, ?, ?, ?, ?)",
            (*where, gap.end.timestamp(), gap.reason, self._file.now()),
        )
        return True

    def _store(self, db: sqlite3.Connection, source: str, tenant: str, stream: str, notice: Notice) -> BatchRef | None:
        """Stores a notice as a batch of one; None where it was stored before."""
        now, body = self._file.now(), notice.body
        item = db.execute(
            "INSERT OR IGNORE INTO item(source, tenant, stream, key, locator, created, first_listed, state)"
            " VALUES (?, ?, ?, ?, '{}', ?, ?, 'notice')",
            (source, tenant, stream, notice.key, now, now),
        )
        if not item.rowcount:
            return None
        batch = db.execute(
            "INSERT INTO batch(item, framing, records, bytes, body, sha256, stored_at, ready)"
            " VALUES (?, 'notice', 1, ?, ?, ?, ?, 1)",
            (item.lastrowid, len(body), compress(body), hashlib.sha256(body).digest(), now),
        )
        return BatchRef(int(batch.lastrowid or 0), 1, len(body))

    def _forget_unconfirmed(self, db: sqlite3.Connection, source: str, stream: str, gaps: Iterable[Gap]) -> None:
        """Takes back a gap that unfinished listings saw and the complete one did not: the clock was wrong for a while."""
        starts = [gap.start.timestamp() for gap in gaps]
        db.execute(
            "DELETE FROM gap WHERE source = ?1 AND stream = ?2 AND starts ="
            " (SELECT listed_until FROM stream WHERE source = ?1 AND stream = ?2)"
            f" AND starts NOT IN ({','.join('?' * len(starts))})",
            (source, stream, *starts),
        )
