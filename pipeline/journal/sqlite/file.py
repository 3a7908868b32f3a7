"""The SQLite file behind the journal: opened, locked, checked, and its errors worded."""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import zstandard

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import JournalError, JournalFull, JournalInUse
from ualpipe.pipeline.files import refuse_unsafe, sync_folder, write_new
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.state_dir import generation
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME, Mark
from ualpipe.pipeline.journal.sqlite.state_dir.ownership import Ownership
from ualpipe.pipeline.records.compression import decompress

FILE_NAME = "journal.db"
BUSY_TIMEOUT_S = 30.0
_ADDS_COLUMN = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+)")
CLOSE_TIMEOUT_S = 1.0
_PARTS = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name of the file for those it makes beside it."""

_log = logging.getLogger("ualpipe.journal")


class JournalFile:
    """One connection, shared by all threads under a lock. Each ``transaction`` is durable when it ends.

    Attributes:
        set_back: How the journal is not the one that was left there, in words; empty where it is. A process that has the journal
            for itself says it in the log, and notes it.
    """

    def __init__(self, state_dir: Path, clock: Clock, *, exclusive: bool, is_read_only: bool = False) -> None:
        """Opens or creates the file.

        Args:
            state_dir: Folder of the file; made with mode 0700.
            clock: Time for what is noted.
            exclusive: Take the state directory for this process alone, as a running pipeline does. Without it the file must
                exist, and is used beside a running pipeline.
            is_read_only: Nothing is going to be changed: the file can be opened on a full disk, too.

        Raises:
            JournalError: Another process has it, or it is damaged, empty, gone, of another version, or not ours. Nothing is
                changed then.
        """
        self.dir = state_dir
        self.path = state_dir / FILE_NAME
        self.clock = clock
        self.lock = threading.RLock()
        self.set_back = ""
        self._mark: Mark | None = None
        self._owner = Ownership(state_dir) if exclusive else None
        try:
            self.db = _open(self.path, is_owner=exclusive, is_read_only=is_read_only)
            self._settle_mark() if exclusive else self._compare_with_mark()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file and lets go of the directory. Safe twice.

        A thread that a stop has left behind may be in the middle of a transaction for ever, on a disk that hangs: then the file
        is left as it is, as at a kill, and the kernel lets go of the directory.
        """
        if not self.lock.acquire(timeout=CLOSE_TIMEOUT_S):
            _log.warning("the journal is in use by a thread that does not end; it is left as it is, which loses nothing")
            return
        try:
            if hasattr(self, "db"):
                self.db.close()
            if self._mark:
                self._mark.close()
                self._mark = None
            if self._owner:
                self._owner.release()
                self._owner = None
        finally:
            self.lock.release()

    def own(self) -> bool:
        """Takes the state directory for this process until ``close``; returns False when a running pipeline has it."""
        try:
            self._owner = Ownership(self.dir)
        except JournalInUse:
            return False
        self._settle_mark()
        return True

    def _settle_mark(self) -> None:
        with self._reading_mark() as mark:
            try:
                self._mark = generation.settle_mark(self.path, mark, self.transaction, self.db, self.now())
            except (OSError, JournalFull) as exc:
                if isinstance(exc, OSError) and exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                _log.warning("the journal has no mark until it is opened with room on the disk: %s", exc)

    def _compare_with_mark(self) -> None:
        """Beside the process that has the journal, or may have it next: a difference is left for that one to note."""
        with self._reading_mark() as mark:
            self.set_back, found = generation.compared(self.path, mark, self.db)
            if found and not self.set_back:
                with suppress(OSError):  # who may only read needs none
                    self._mark = Mark(mark, found.journal)

    @contextmanager
    def _reading_mark(self) -> Iterator[Path]:
        try:
            yield self.dir / MARK_NAME
        except OSError as exc:
            raise JournalError(f"the mark of the journal, {exc.filename}: {exc.strerror}") from exc
        except sqlite3.Error as exc:
            raise journal_error(self.path, exc) from exc

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Runs a block as one durable transaction; rolls it back when it raises.

        Raises:
            JournalFull: There is no room on the disk.
            JournalError: The file is damaged.
        """
        with self.lock:
            try:
                self.db.execute("BEGIN IMMEDIATE")
                before = self.db.total_changes
                yield self.db
                number = generation.count_transaction(self.db) if self.db.total_changes != before else None
                self.db.execute("COMMIT")
                if number is not None and self._mark:
                    self._mark.note(number)
            except BaseException as exc:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                if isinstance(exc, sqlite3.Error):
                    raise journal_error(self.path, exc) from exc
                raise

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Returns the rows of a query."""
        with self.lock:
            try:
                return self.db.execute(sql, values).fetchall()
            except sqlite3.Error as exc:
                raise journal_error(self.path, exc) from exc

    def now(self) -> float:
        """Returns the time of day in epoch seconds."""
        return self.clock.now().timestamp()

    def unpack(self, packed: bytes) -> bytes:
        """Decompresses what ``compress`` made.

        Raises:
            JournalError: The bytes have changed since.
        """
        try:
            return decompress(packed)
        except zstandard.ZstdError as exc:
            raise damaged(self.path, f"a compressed body: {exc}") from exc

    def content_bytes(self) -> int:
        """Returns what the content takes on disk; free pages inside the file do not count."""
        tables = "pragma_page_count, pragma_freelist_count, pragma_page_size"
        return int(self.rows(f"SELECT (page_count - freelist_count) * page_size FROM {tables}")[0][0])


def journal_error(path: Path, exc: sqlite3.Error) -> JournalError:
    """Words an error of SQLite: what happened, and what to do."""
    extended = getattr(exc, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
        return JournalFull(f"the disk of {path.parent} is full")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(exc))
    return JournalError(f"journal {path}: {exc}")


def damaged(path: Path, reason: str) -> JournalError:
    """Words what a damaged journal means and how to recover."""
    return JournalError(
        f"the journal {path} is damaged ({reason}). Nothing was changed or deleted. To recover: restore a backup, or keep it"
        f" aside (mv {path} {path}.damaged, its -wal and -shm files and {MARK_NAME} too) and start again: {_FETCHED_AGAIN}."
        " `sqlite3 JOURNAL .recover` can save what older records it held."
    )


_FETCHED_AGAIN = "the service lists the last 7 days, which are then fetched and delivered once more"


def missing(path: Path) -> str:
    """Says that a journal is not there although it was, and what to do; empty where it is there, or where there never was one."""
    mark = path.with_name(MARK_NAME)
    parts = ", ".join(
        part.name for part in (path, mark, *(path.with_name(path.name + end) for end in _PARTS[1:])) if part.exists()
    )
    how = f"Put it back, or a backup; to begin anew on purpose, move {parts} aside: {_FETCHED_AGAIN}"
    if not path.exists():
        return f"the journal {path} is gone, and its mark {mark} is there. {how}" if os.path.lexists(mark) else ""
    return (
        "" if path.stat().st_size else f"the journal {path} is empty, which it never is by itself: it was cut to nothing. {how}"
    )


def _open(path: Path, *, is_owner: bool, is_read_only: bool) -> sqlite3.Connection:
    try:
        return _open_with_room(path, is_owner=is_owner)
    except JournalFull:
        if not is_read_only:
            raise
        return _open_on_full_disk(path)


def _open_on_full_disk(path: Path) -> sqlite3.Connection:
    """Opens a journal to read it where its disk has no room for the index of the write-ahead log, which SQLite makes beside it.

    Beside a running pipeline it is there. Else nobody has the journal, and the index may be kept in memory for who has the file
    alone; without a log no index is wanted.

    Raises:
        JournalError: It is of another version, or can't be read.
    """
    log = path.with_name(f"{path.name}-wal")
    is_logging = log.exists() and log.stat().st_size > 0
    uri = f"{path.absolute().as_uri()}?{'mode=rw' if is_logging else 'immutable=1'}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
    try:
        if is_logging:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
        _check_version(path, db)
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except BaseException as exc:
        db.close()
        if isinstance(exc, sqlite3.Error):
            raise journal_error(path, exc) from exc
        raise
    if version == _journal_schema.VERSION:
        return db
    db.close()
    raise JournalFull(f"the disk of {path.parent} is full, and the journal is of an earlier release: make room first")


def _open_with_room(path: Path, *, is_owner: bool) -> sqlite3.Connection:
    try:
        for part in _PARTS:
            refuse_unsafe(path.with_name(path.name + part), of_any_user=not is_owner)
        if lost := missing(path):
            raise JournalError(lost)
        is_new = not path.exists()
        if is_new and not is_owner:
            raise JournalError(f"{path.parent}: there is no journal yet; `ualpipe run` makes it")
        if is_new:
            _create(path)
        else:
            _check(path, is_owner=is_owner)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
        try:
            if is_owner:
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            _migrate(db)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as exc:
        raise journal_error(path, exc) from exc
    except OSError as exc:
        raise JournalError(f"can't open the journal {exc.filename or path}: {exc.strerror}") from exc
    return db


def _create(path: Path) -> None:
    """Makes an empty journal beside its place and moves it there whole: a crash leaves none, or one that can be opened.

    Raises:
        JournalError: Something of another journal is in its place.
    """
    if (left := path.with_name(f"{path.name}-wal")).exists() and left.stat().st_size:
        raise JournalError(f"{path} is gone, but {left.name} is there and holds a part of it: move that, too, or put it back")
    left.unlink(missing_ok=True)
    making = path.with_name(f"{path.name}.new")
    for part in (making, making.with_name(f"{making.name}-journal")):
        part.unlink(missing_ok=True)  # of a process that was killed here
    write_new(making, b"")
    # With a write-ahead log a part of it might stay in a file that is not moved.
    with closing(sqlite3.connect(making, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.executescript(f"BEGIN; {_journal_schema.TABLES} PRAGMA user_version = {_journal_schema.VERSION}; COMMIT;")
    making.replace(path)
    sync_folder(path.parent)


def _migrate(db: sqlite3.Connection) -> None:
    """Brings a journal of an earlier release up to date, one version after the other, each in one transaction.

    Whoever closes the connection when one fails undoes the half of it.
    """
    while db.execute("PRAGMA user_version").fetchone()[0] < _journal_schema.VERSION:
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been faster
        if version < _journal_schema.VERSION:
            for statement in _statements(f"{_journal_schema.MIGRATIONS[version]} PRAGMA user_version = {version + 1};"):
                if not _is_done(db, statement):
                    db.execute(statement)
        db.execute("COMMIT")


def _is_done(db: sqlite3.Connection, statement: str) -> bool:
    """Tells whether a statement adds a column that is there; of columns SQLite knows no IF NOT EXISTS."""
    adds = _ADDS_COLUMN.search(statement)
    return bool(adds and db.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", adds.groups()).fetchone())


def _statements(script: str) -> Iterator[str]:
    """Yields the statements of a script one by one: run as a whole it would end the transaction that it stands in."""
    statement = ""
    for part in script.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):  # not within a comment
            yield statement
            statement = ""


def _check(path: Path, *, is_owner: bool) -> None:
    """Looks at an existing journal through a connection that can't change it; not even by closing, as a writing one would."""
    with closing(connect_to_read(path)) as db:
        _check_version(path, db)
        if is_owner and (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise damaged(path, verdict)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Returns a connection that can't change the journal.

    Raises:
        sqlite3.Error: There is none, or it can't be read.
    """
    # Even a reader makes a -wal file where there is none; without one nothing is under way, and the file can be read as it is.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY_TIMEOUT_S)


def _check_version(path: Path, db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found != _journal_schema.VERSION and found not in _journal_schema.MIGRATIONS:
        raise JournalError(
            f"the journal {path} has version {found}, this ualpipe writes version {_journal_schema.VERSION}."
            " Use the release that made it, or move the journal aside; nothing was changed."
        )
