"""A consistent copy of a journal, also of one that a running pipeline writes to."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError, JournalError
from ualpipe.pipeline.files import sync_folder, write_new
from ualpipe.pipeline.journal.sqlite.file import BUSY_TIMEOUT_S, FILE_NAME, damaged, journal_error
from ualpipe.pipeline.journal.types import Backup


def back_up(state_dir: Path, to: Path) -> Backup:
    """Copies the journal of a state directory as it is at one moment, and checks the copy.

    Args:
        state_dir: Its folder; nothing in it changes, and a running pipeline goes on.
        to: The copy, readable for its owner alone. It appears under this name when it is whole.

    Returns:
        Its size, and how it takes the place of the journal.

    Raises:
        ConfigError: There is something of that name already, or no such folder.
        JournalError: There is no journal, it is damaged, or there is no room for the copy.
    """
    journal = state_dir / FILE_NAME
    if not journal.exists():
        raise JournalError(f"{state_dir}: there is no journal yet; `ualpipe run` makes it")
    _refuse_existing(to)
    partial = to.with_name(f"{to.name}.{os.getpid()}.partial")
    try:
        write_new(partial, b"")
        _copy(journal, partial)
        _check(journal, partial)
        _refuse_existing(to)  # copying takes a while
        partial.rename(to)
        sync_folder(to.parent)
    except OSError as exc:
        raise ConfigError(f"can't write the backup {to}: {exc.strerror}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return Backup(to.stat().st_size, f"move {journal}, {journal}-wal and {journal}-shm aside, then cp {to} {journal}")


def _refuse_existing(to: Path) -> None:
    if os.path.lexists(to):
        raise ConfigError(f"{to} exists already: a backup overwrites nothing; give another name")


def _copy(journal: Path, partial: Path) -> None:
    """Copies all pages as one read transaction sees them; what is written meanwhile waits in the write-ahead log."""
    try:
        with (
            closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as source,
            closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as exc:
        is_full = getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise journal_error(partial if is_full else journal, exc) from exc


def _check(journal: Path, partial: Path) -> None:
    """Looks at every page of the copy."""
    try:
        # Immutable: nobody else has it yet, and reading leaves no files of SQLite beside it.
        with closing(sqlite3.connect(f"{partial.absolute().as_uri()}?immutable=1", uri=True)) as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as exc:
        raise journal_error(journal, exc) from exc
    if verdict != "ok":
        raise damaged(journal, verdict)
