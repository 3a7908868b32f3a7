"""The SQLite file behind the journal: opened, locked, checked, and its errors worded."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import zstandard

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import JournalError, JournalFull, JournalInUse
from ualpipe.pipeline.files import make_folder, sync_folder
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.records.compression import decompress

FILE_NAME = "journal.db"
LOCK_NAME = "lock"
BUSY_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 1.0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger("ualpipe.journal")


class JournalFile:
    """One connection, shared by all threads under a lock. Each ``transaction`` is durable when it ends."""

    def __init__(self, state_dir: Path, clock: Clock, *, exclusive: bool) -> None:
        """Opens or creates the file.

        Args:
            state_dir: Folder of the file; made with mode 0700.
            clock: Time for what is noted.
            exclusive: Take the state directory for this process alone, as a running pipeline does. Without it the file must
                exist, and is used beside a running pipeline.

        Raises:
            JournalError: Another process has it, it is damaged, or it is of another version. Nothing is changed then.
        """
        self.dir = state_dir
        self.path = state_dir / FILE_NAME
        self.clock = clock
        self.lock = threading.RLock()
        self._owner = _own(state_dir) if exclusive else -1
        try:
            self.db = _open(self.path, is_owner=exclusive)
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
            if self._owner >= 0:
                os.close(self._owner)
                self._owner = -1
        finally:
            self.lock.release()

    def own(self) -> bool:
        """Takes the state directory for this process until ``close``; returns False when a running pipeline has it."""
        try:
            self._owner = _own(self.dir)
        except JournalInUse:
            return False
        return True

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
                yield self.db
                self.db.execute("COMMIT")
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
        f" aside (mv {path} {path}.damaged, its -wal and -shm files too) and start again: the service lists the last 7 days,"
        " which are then fetched and delivered once more. `sqlite3 JOURNAL .recover` can save what older records it held."
    )


def _own(state_dir: Path) -> int:
    """Makes the state directory and takes it for this process; the kernel lets go of it when the process ends."""
    try:
        make_folder(state_dir)
        owner = os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise JournalError(f"can't use the state directory {state_dir}: {exc.strerror}") from exc
    if (mode := stat.S_IMODE(state_dir.stat().st_mode)) & _OTHERS:
        _log.warning("the state directory %s can be read by others (mode %o): chmod 700 %s", state_dir, mode, state_dir)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        holder = os.pread(owner, 32, 0).decode(errors="replace").strip()
        os.close(owner)
        raise JournalInUse(
            f"{state_dir} is in use by another ualpipe run (process {holder}); one pipeline per state_dir"
        ) from exc
    with suppress(OSError):  # on a full disk others are not told who has it
        os.truncate(owner, 0)
        os.pwrite(owner, f"{os.getpid()}\n".encode(), 0)
    return owner


def _open(path: Path, *, is_owner: bool) -> sqlite3.Connection:
    is_new = not path.exists() or path.stat().st_size == 0
    if is_new and not is_owner:
        raise JournalError(f"{path.parent}: there is no journal yet; `ualpipe run` makes it")
    try:
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
        raise JournalError(f"can't open the journal {path}: {exc.strerror}") from exc
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
    os.close(os.open(making, os.O_CREAT | os.O_WRONLY, 0o600))
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
    while (version := db.execute("PRAGMA user_version").fetchone()[0]) < _journal_schema.VERSION:
        db.executescript(f"BEGIN IMMEDIATE; {_journal_schema.MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;")


def _check(path: Path, *, is_owner: bool) -> None:
    """Looks at an existing journal through a connection that can't change it; not even by closing, as a writing one would."""
    # Even a reader makes a -wal file where there is none; without one nothing is under way, and the file can be read as it is.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY_TIMEOUT_S)) as db:
        _check_version(path, db)
        if is_owner and (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise damaged(path, verdict)


def _check_version(path: Path, db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found != _journal_schema.VERSION and found not in _journal_schema.MIGRATIONS:
        raise JournalError(
            f"the journal {path} has version {found}, this ualpipe writes version {_journal_schema.VERSION}."
            " Use the release that made it, or move the journal aside; nothing was changed."
        )
