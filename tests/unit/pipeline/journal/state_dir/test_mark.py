"""The mark of a journal: what was cut, removed or put back is noticed, and a kill at any moment is not taken for that."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fakes import FakeClock, open_journal, records, rows, snapshot, store
from ualpipe.pipeline.errors import JournalError
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.queries.backup import back_up
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.sqlite.state_dir import generation
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME, Generation, Mark, make_mark, read_mark

WAL = f"{FILE_NAME}-wal"


@pytest.fixture
def killed(tmp_path: Path, clock: FakeClock) -> Path:
    """A state directory as a kill leaves it: with ten stored items, all of them in the write-ahead log alone."""
    journal = open_journal(tmp_path / "state", clock)
    for at in range(10):
        store(journal, str(at), records(10 * at, 10))
    left = snapshot(tmp_path / "state", tmp_path / "killed")
    journal.close()
    (left / f"{FILE_NAME}-shm").unlink()
    return left


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def reopened(folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Opens and closes a journal; returns the errors that were logged."""
    caplog.clear()
    open_journal(folder, clock).close()
    return errors(caplog)


def status_of(folder: Path, clock: FakeClock) -> str:
    with closing(SqliteJournalReader(folder, clock)) as reader:
        return reader.status([]).set_back


# --- noticed -----------------------------------------------------------------------------------------------------------


def test_a_journal_cut_to_nothing_is_refused_with_what_to_do(killed, clock):
    os.truncate(killed / FILE_NAME, 0)
    before = {file.name: file.read_bytes() for file in killed.iterdir()}
    for exclusive in (True, False):
        with pytest.raises(
            JournalError, match=r"is empty.*Put it back, or a backup.*to begin anew on purpose, move journal\.db, journal\.mark"
        ):
            JournalFile(killed, clock, exclusive=exclusive)
    after = {file.name: file.read_bytes() for file in killed.iterdir() if file.name != "lock"}
    assert after.items() <= before.items()
    for name in (FILE_NAME, MARK_NAME, WAL):
        (killed / name).unlink()
    open_journal(killed, clock).close()


def test_an_empty_file_is_refused_without_a_mark_too(tmp_path, clock):
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(JournalError, match="is empty"):
        open_journal(tmp_path, clock)


def test_a_journal_that_is_gone_is_refused_with_what_to_do_and_begun_anew_where_that_is_done(tmp_path, clock):
    open_journal(tmp_path, clock).close()
    (tmp_path / FILE_NAME).unlink()
    for exclusive in (True, False):
        with pytest.raises(JournalError, match=r"is gone, and its mark .*to begin anew on purpose, move journal\.mark"):
            JournalFile(tmp_path, clock, exclusive=exclusive)
    (tmp_path / MARK_NAME).unlink()
    open_journal(tmp_path, clock).close()


def cut(log: bytes) -> bytes:
    return log[: len(log) // 2]


def flip(log: bytes) -> bytes:
    at = len(log) // 2
    return log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :]


@pytest.mark.parametrize("change", [cut, flip, lambda _log: b"", None], ids=["halved", "flipped", "emptied", "removed"])
def test_a_write_ahead_log_that_lost_something_is_said_once_and_stays_in_the_status(killed, clock, caplog, change):
    log = killed / WAL
    log.write_bytes(change(log.read_bytes())) if change else log.unlink()
    assert "older than it was" in status_of(killed, clock)  # before a run has come to it
    (said,) = reopened(killed, clock, caplog)
    assert "transactions older than it was" in said
    assert "comes once more" in said
    assert reopened(killed, clock, caplog) == []
    assert said in status_of(killed, clock)


def test_a_reader_that_comes_before_the_run_leaves_the_evidence(killed, clock, caplog):
    log = killed / WAL
    log.write_bytes(cut(log.read_bytes()))
    with closing(JournalFile(killed, clock, exclusive=False)) as file, file.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('a', 'b')")
    assert len(reopened(killed, clock, caplog)) == 1


def test_a_backup_that_was_put_back_is_said(tmp_path, clock, caplog):
    journal = open_journal(tmp_path / "state", clock)
    store(journal, "a", records(1, 2))
    back_up(tmp_path / "state", tmp_path / "backup.db")
    store(journal, "b", records(3, 2))
    journal.close()
    for part in ("", "-wal", "-shm"):
        (tmp_path / "state" / f"{FILE_NAME}{part}").unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(tmp_path / "state" / FILE_NAME)
    (said,) = reopened(tmp_path / "state", clock, caplog)
    assert "a backup was put back" in said


def test_the_journal_of_another_pipeline_is_said(tmp_path, clock, caplog):
    for name in ("one", "two"):
        journal = open_journal(tmp_path / name, clock)
        store(journal, name, records(1, 2))
        journal.close()
    (tmp_path / "two" / FILE_NAME).replace(tmp_path / "one" / FILE_NAME)
    (said,) = reopened(tmp_path / "one", clock, caplog)
    assert "is another than the one" in said
    assert reopened(tmp_path / "one", clock, caplog) == []


@pytest.mark.parametrize("content", [None, b"", b"ualpipe", b"\0" * 97, b"ualpipe journal " + b"0" * 32 + b" transaction 9"])
def test_a_mark_that_is_gone_or_damaged_is_said_and_made_anew(tmp_path, clock, caplog, content):
    open_journal(tmp_path, clock).close()
    mark = tmp_path / MARK_NAME
    mark.unlink() if content is None else mark.write_bytes(content)
    (said,) = reopened(tmp_path, clock, caplog)
    assert ("is gone" if content is None else "is damaged") in said
    assert read_mark(mark)
    assert reopened(tmp_path, clock, caplog) == []


def test_a_mark_with_a_changed_number_is_damaged(tmp_path):
    make_mark(tmp_path / "mark", Generation("a" * 32, 12))
    text = (tmp_path / "mark").read_bytes()
    (tmp_path / "mark").write_bytes(text.replace(b"12 ", b"13 "))
    assert read_mark(tmp_path / "mark") is None


# --- not mistaken for it ------------------------------------------------------------------------------------------------


def test_the_mark_says_after_each_transaction_what_the_journal_says(tmp_path, clock):
    journal = open_journal(tmp_path, clock)
    before = read_mark(tmp_path / MARK_NAME)
    store(journal, "a", records(1, 2))
    after = read_mark(tmp_path / MARK_NAME)
    assert before
    assert after
    assert after.transactions > before.transactions
    assert [(after.journal,), (str(after.transactions),)] == rows(
        tmp_path, "SELECT value FROM meta WHERE key IN ('journal_id', 'transactions') ORDER BY key"
    )
    journal.close()


def test_a_journal_that_was_killed_opens_without_a_word(killed, clock, caplog):
    assert reopened(killed, clock, caplog) == []
    assert status_of(killed, clock) == ""


def test_a_journal_that_a_reader_has_tidied_up_after_a_kill_opens_without_a_word(killed, clock, caplog):
    """The last one to close a journal moves its write-ahead log into it, and removes the log."""
    with closing(sqlite3.connect(killed / FILE_NAME)) as db:
        db.execute("SELECT count(*) FROM item").fetchall()
    assert not (killed / WAL).exists()
    assert reopened(killed, clock, caplog) == []


def test_a_mark_that_lags_behind_as_after_a_loss_of_power_is_no_defect(tmp_path, clock, caplog):
    journal = open_journal(tmp_path, clock)
    early = (tmp_path / MARK_NAME).read_bytes()
    store(journal, "a", records(1, 2))
    journal.close()
    (tmp_path / MARK_NAME).write_bytes(early)
    assert reopened(tmp_path, clock, caplog) == []


def test_a_transaction_that_changes_nothing_is_not_counted_and_costs_no_write(tmp_path, clock):
    file = JournalFile(tmp_path, clock, exclusive=True)
    before = file.db.total_changes
    with file.transaction() as db:
        db.execute("DELETE FROM batch WHERE ready = 0")
    assert file.db.total_changes == before
    file.close()


def test_a_transaction_of_an_operator_counts_in_both(tmp_path, clock, caplog):
    open_journal(tmp_path, clock).close()
    with closing(JournalFile(tmp_path, clock, exclusive=False)) as file, file.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('a', 'b')")
    mark = read_mark(tmp_path / MARK_NAME)
    assert mark
    assert rows(tmp_path, "SELECT value FROM meta WHERE key = 'transactions'") == [(str(mark.transactions),)]


def test_a_journal_of_an_earlier_release_gets_its_mark_without_a_word(tmp_path, clock, caplog):
    journal = open_journal(tmp_path, clock)
    store(journal, "a", records(1, 2))
    journal.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as db:
        db.execute("DELETE FROM meta WHERE key IN ('journal_id', 'transactions')")
    (tmp_path / MARK_NAME).unlink()
    assert reopened(tmp_path, clock, caplog) == []
    assert read_mark(tmp_path / MARK_NAME)


class KilledHere(BaseException):
    """Ends a process here, as far as the files can tell."""


@pytest.mark.parametrize("step", ["make_mark", "_note", "Mark"])
@pytest.mark.parametrize("beginning", ["new", "set back"])
def test_a_kill_between_two_steps_of_the_mark_is_not_taken_for_damage(tmp_path, clock, caplog, monkeypatch, step, beginning):
    if beginning == "set back":
        open_journal(tmp_path, clock).close()
        known = read_mark(tmp_path / MARK_NAME)
        assert known
        make_mark(tmp_path / MARK_NAME, Generation(known.journal, known.transactions + 7))

    def killed(*_arguments: object) -> None:
        raise KilledHere

    with monkeypatch.context() as patch:
        patch.setattr(generation, step, killed)
        with pytest.raises(KilledHere):
            open_journal(tmp_path, clock)
    said = reopened(tmp_path, clock, caplog)
    assert len(said) == (1 if beginning == "set back" and step == "_note" else 0)
    assert reopened(tmp_path, clock, caplog) == []


def test_what_a_kill_left_of_a_mark_that_was_being_made_is_removed(tmp_path):
    (tmp_path / ".mark.99999.new").write_text("half")
    make_mark(tmp_path / "mark", Generation("a" * 32, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_a_mark_that_can_not_be_written_does_not_undo_what_was_committed(tmp_path):
    make_mark(tmp_path / "mark", Generation("a" * 32, 1))
    mark = Mark(tmp_path / "mark", "a" * 32)
    mark.close()
    mark.note(2)
    mark.close()
    assert read_mark(tmp_path / "mark") == Generation("a" * 32, 1)
