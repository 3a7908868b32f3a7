"""Compares a journal with its mark, and counts its transactions: whether it is the one, and as new, as was left there."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from ualpipe.pipeline.journal.sqlite.state_dir.mark import Generation, Mark, make_mark, read_mark

JOURNAL_ID = "journal_id"
TRANSACTIONS = "transactions"
SET_BACK = "set_back"
"""Keys of the table ``meta``: which journal it is, how many transactions changed it, when and how it was last found set back."""

_SET = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

_log = logging.getLogger("ualpipe.journal")


def read_generation(db: sqlite3.Connection) -> Generation | None:
    """Returns the generation of a journal; None for one that is new, or was last used by a release without marks."""
    found = dict(db.execute("SELECT key, value FROM meta WHERE key IN (?, ?)", (JOURNAL_ID, TRANSACTIONS)).fetchall())
    return Generation(found[JOURNAL_ID], int(found[TRANSACTIONS])) if len(found) == 2 else None


def count_transaction(db: sqlite3.Connection) -> int | None:
    """Counts the transaction under way as one more; returns its number, or None where the journal does not count yet."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (TRANSACTIONS,)).fetchone()
    if row is None:
        return None
    db.execute("UPDATE meta SET value = ? WHERE key = ?", (str(int(row[0]) + 1), TRANSACTIONS))
    return int(row[0]) + 1


def compared(path: Path, mark: Path, db: sqlite3.Connection) -> tuple[str, Generation | None]:
    """Returns how a journal is not what its mark says it was, empty where it is; and what it says of itself.

    Raises:
        OSError: What stands in the place of the mark can't be read, or is no regular file.
    """
    is_there = os.path.lexists(mark)
    expected = read_mark(mark) if is_there else None  # before the journal: another process may be writing to both
    found = read_generation(db)
    return difference(path, mark, expected, found, is_there=is_there), found


def difference(path: Path, mark: Path, expected: Generation | None, found: Generation | None, *, is_there: bool) -> str:
    """Says how a journal differs from what its mark expects; empty where it does not.

    Args:
        path: The journal.
        mark: Its mark.
        expected: What the mark says; None where it is damaged.
        found: What the journal says; None where it does not count yet.
        is_there: Whether there is a mark.
    """
    if expected is None:
        untold = "whether the journal is as new as it was can't be told this time; the next run makes a new one"
        is_missed = is_there or (found is not None and found.transactions > 0)
        return f"the mark of the journal, {mark}, is {'damaged' if is_there else 'gone'}: {untold}" if is_missed else ""
    if found and found.journal != expected.journal:
        what = f"the journal {path} is another than the one that {mark} was made for: it was put in that one's place"
        return f"{what}. It goes on as it is; what only the other one knew to be delivered comes once more"
    behind = expected.transactions - (found.transactions if found else 0)
    if behind <= 0:
        return ""
    return (
        f"the journal {path} is {behind:,} transactions older than it was: a backup was put back, or the end of its write-ahead"
        " log (-wal) was removed or damaged. It goes on from there; what was delivered since then comes once more"
    )


Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


def settle_mark(path: Path, mark: Path, transaction: Transaction, db: sqlite3.Connection, now: float) -> Mark:
    """Compares a journal with its mark, says and notes a difference, and makes the two agree.

    Killed in between, it does the same at the next start: first the mark is there, then the journal counts; and a journal that
    was set back counts on from where the mark was before the mark follows, so that this is said once.

    Args:
        path: The journal.
        mark: Its mark, made where there is none.
        transaction: Begins a transaction of the journal.
        db: Its connection.
        now: Epoch seconds.

    Raises:
        OSError: The mark can't be read or written.
    """
    expected = read_mark(mark) if os.path.lexists(mark) else None
    said, found = compared(path, mark, db)
    is_uncounted = found is None
    found = found or Generation(expected.journal if expected else secrets.token_hex(16), 0)
    if is_uncounted and not said:
        make_mark(mark, found)
    if said:
        _log.error("%s", said)
    if is_uncounted or said:
        last = max(found.transactions, expected.transactions if expected else 0)
        _note(transaction, Generation(found.journal, last), said, now)
        found = Generation(found.journal, last + 1)
    if said or not expected:
        make_mark(mark, found)
    opened = Mark(mark, found.journal)
    opened.note(found.transactions)
    return opened


def _note(transaction: Transaction, generation: Generation, said: str, now: float) -> None:
    """Writes which journal it is and where its count stands; and, where there is one, the difference."""
    with transaction() as db:
        db.execute(_SET, (JOURNAL_ID, generation.journal))
        db.execute(_SET, (TRANSACTIONS, str(generation.transactions)))
        if said:
            db.execute(_SET, (SET_BACK, f"{now} {said}"))
