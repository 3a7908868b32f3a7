"""The journal file: one owner, nothing lost by a crash, and nothing changed or deleted when something is wrong with it."""

import contextlib
import fcntl
import gc
import os
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest

from fakes import body, chunks_of, enter, open_journal, pack, records, rows, snapshot, store
from ualpipe.pipeline.errors import JournalError
from ualpipe.pipeline.journal.sqlite import file as file_module
from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.journal import UNDER_WAY, SqliteJournal
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME
from ualpipe.pipeline.journal.types import Settlement


def state(folder, clock) -> tuple:
    """Returns everything a journal tells that matters."""
    journal = open_journal(folder, clock)
    try:
        found = [one for ref in journal.unsettled("sink") for one in journal.read(ref).origin.chunk.records]
        items = rows(folder, "SELECT key, state, records FROM item ORDER BY key")
        return found, items, rows(folder, "SELECT sink, batch, delivered FROM settlement")
    finally:
        journal.close()


def contents(folder) -> dict[str, bytes]:
    """Returns the files that hold something: not the lock, nor the shared memory that each reader makes anew."""
    gc.collect()  # what a refused journal held open is closed now, as at the end of its process
    files = (file for file in folder.iterdir() if file.name != "lock" and not file.name.endswith("-shm"))
    return {file.name: file.read_bytes() for file in files}


# --- opening ---------------------------------------------------------------------------------------------------------


def test_the_state_directory_and_its_files_are_for_their_owner_alone(tmp_path, clock):
    old = os.umask(0o022)
    try:
        journal = open_journal(tmp_path / "deep" / "state", clock)
    finally:
        os.umask(old)
    store(journal, "item", records(1, 3))
    folder = tmp_path / "deep" / "state"
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "lock", MARK_NAME, UNDER_WAY, "reserve"} == set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    journal.close()


@pytest.mark.parametrize("made", ["", "PRAGMA journal_mode = WAL;", "CREATE TABLE item(id INTEGER);"])
def test_a_journal_that_was_not_made_to_the_end_is_made_at_the_next_start(tmp_path, clock, monkeypatch, made):
    with monkeypatch.context() as patch:
        patch.setattr(_journal_schema, "TABLES", f"COMMIT; {made} here the process ends")
        with pytest.raises(JournalError):
            open_journal(tmp_path, clock)
    for part in ("", "-journal"):
        (tmp_path / f"{FILE_NAME}.new{part}").write_bytes(b"what else it left")
    journal = open_journal(tmp_path, clock)
    store(journal, "item", records(1, 3))
    journal.close()
    assert state(tmp_path, clock)[0] == records(1, 3)
    assert not list(tmp_path.glob("*.new*"))


def test_what_is_left_of_a_journal_that_was_moved_is_not_taken_for_a_part_of_the_new_one(tmp_path, clock):
    journal = open_journal(tmp_path / "state", clock)
    store(journal, "item", records(1, 200))
    crashed = snapshot(tmp_path / "state", tmp_path / "crashed")
    journal.close()
    (crashed / FILE_NAME).rename(tmp_path / "aside.db")
    (crashed / MARK_NAME).unlink()
    before = contents(crashed)
    with pytest.raises(JournalError, match=rf"{FILE_NAME}-wal is there.*move that, too"):
        open_journal(crashed, clock)
    assert contents(crashed) == before
    (crashed / f"{FILE_NAME}-wal").unlink()
    open_journal(crashed, clock).close()
    assert state(crashed, clock) == ([], [], [])


def test_every_transaction_is_on_the_disk_when_it_ends(tmp_path, clock):
    file = JournalFile(tmp_path, clock, exclusive=True)
    assert file.rows("PRAGMA journal_mode") == [("wal",)]
    assert file.rows("PRAGMA synchronous") == [(2,)]
    file.close()


def test_what_was_stored_is_there_when_the_journal_is_opened_again(tmp_path, clock):
    journal = open_journal(tmp_path, clock)
    (ref,) = store(journal, "a", records(1, 3)).batches
    journal.settle("other", [Settlement(ref.id, delivered=3)], [])
    journal.close()
    journal.close()
    assert state(tmp_path, clock) == (records(1, 3), [("a", "fetched", 3)], [("other", ref.id, 3)])


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path, clock):
    script = f"""
import sys, pathlib
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.sqlite.file import JournalFile
file = JournalFile(pathlib.Path({str(tmp_path)!r}), SystemClock(), exclusive=True)
print("open", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        before = contents(tmp_path)
        with pytest.raises(JournalError, match=rf"in use by another ualpipe run \(process {holder.pid}\)"):
            open_journal(tmp_path, clock)
        assert contents(tmp_path) == before
        JournalFile(tmp_path, clock, exclusive=False).close()
        holder.communicate()
    open_journal(tmp_path, clock).close()


def test_the_lock_of_a_process_that_was_killed_does_not_stay(tmp_path, clock):
    (tmp_path / "lock").write_text("99999\n")
    open_journal(tmp_path, clock).close()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_refused_journal_lets_go_of_the_directory(tmp_path, clock):
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError):
        open_journal(tmp_path, clock)
    with (tmp_path / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_readers_need_a_journal_and_do_not_make_one(tmp_path, clock):
    with pytest.raises(JournalError, match="no journal yet"):
        JournalFile(tmp_path / "none", clock, exclusive=False)
    assert not (tmp_path / "none").exists()


def test_a_state_directory_that_can_not_be_made_is_said_so(tmp_path, clock):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="can't use the state directory"):
        open_journal(tmp_path / "file" / "state", clock)


# --- wrong or damaged ------------------------------------------------------------------------------------------------


def test_a_journal_of_another_version_is_refused_and_left_as_it_is(tmp_path, clock):
    open_journal(tmp_path, clock).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = contents(tmp_path)
    for exclusive in (True, False):
        with pytest.raises(JournalError, match=r"has version 99.*nothing was changed"):
            JournalFile(tmp_path, clock, exclusive=exclusive)
    assert contents(tmp_path) == before


def filled(folder, clock) -> None:
    journal = open_journal(folder, clock)
    for at in range(30):
        store(journal, str(at), records(20 * at, 20))
    journal.close()


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.9])
def test_a_damaged_journal_is_refused_or_read_right_and_nothing_is_changed(tmp_path, clock, where):
    filled(tmp_path, clock)
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    begin = int(len(data) * where) // 4096 * 4096
    data[begin : begin + 8192] = b"\xa5" * 8192
    path.write_bytes(data)
    before = contents(tmp_path)
    with pytest.raises(JournalError, match=r"(?s)damaged.*Nothing was changed or deleted.*To recover"):
        open_journal(tmp_path, clock)
    assert contents(tmp_path) == before


def test_a_torn_journal_is_refused_and_nothing_is_changed(tmp_path, clock):
    filled(tmp_path, clock)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = contents(tmp_path)
    with pytest.raises(JournalError, match="damaged"):
        open_journal(tmp_path, clock)
    assert contents(tmp_path) == before


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path, clock):
    (tmp_path / FILE_NAME).write_bytes(b"precious notes\n" * 1000)
    before = contents(tmp_path)
    with pytest.raises(JournalError, match="damaged"):
        open_journal(tmp_path, clock)
    assert contents(tmp_path) == before


def test_a_damaged_journal_keeps_what_a_crash_left_in_its_write_ahead_log(tmp_path, clock):
    file = JournalFile(tmp_path / "state", clock, exclusive=True)
    journal = SqliteJournal(file)
    for at in range(30):
        store(journal, str(at), records(20 * at, 20))
    file.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    store(journal, "newest", records(1000, 50))
    crashed = snapshot(tmp_path / "state", tmp_path / "crashed")
    journal.close()
    data = bytearray((crashed / FILE_NAME).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\xa5" * 8192
    (crashed / FILE_NAME).write_bytes(data)
    before = contents(crashed)
    assert set(before) == {FILE_NAME, f"{FILE_NAME}-wal", MARK_NAME, UNDER_WAY, "reserve"}
    with pytest.raises(JournalError, match="damaged"):
        open_journal(crashed, clock)
    assert contents(crashed) == before


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_a_copy_taken_at_any_moment_holds_every_finished_transaction_and_nothing_else(tmp_path, clock):
    journal = open_journal(tmp_path / "state", clock)
    expected: list = []
    for at in range(6):
        store(journal, str(at), records(10 * at, 3), chunk_bytes=500)
        expected += records(10 * at, 3)
        folder = snapshot(tmp_path / "state", tmp_path / f"after {at}")
        item = enter(journal, f"open {at}")
        begun = [journal.stage(item, pack(chunk, clock)) for chunk in chunks_of(body(records(1000 + 10 * at, 9)), 500)]
        staged = snapshot(tmp_path / "state", tmp_path / f"staged {at}")
        journal.discard(begun)
        assert state(folder, clock)[0] == state(staged, clock)[0] == expected
    journal.close()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_torn_write_ahead_log_falls_back_to_an_earlier_consistent_moment(tmp_path, clock, share):
    journal = open_journal(tmp_path / "state", clock)
    for at in range(10):
        store(journal, str(at), records(10 * at, 3))
    crashed = snapshot(tmp_path / "state", tmp_path / "crashed")
    journal.close()
    log = crashed / f"{FILE_NAME}-wal"
    log.write_bytes(log.read_bytes()[: int(log.stat().st_size * share)])
    (crashed / f"{FILE_NAME}-shm").unlink(missing_ok=True)
    found, items, _settled = state(crashed, clock)
    fetched = [int(key) for key, what, _count in items if what == "fetched"]
    assert fetched == list(range(len(fetched)))
    assert found == [one for at in fetched for one in records(10 * at, 3)]
    again = open_journal(crashed, clock)
    for at in range(len(fetched), 10):
        assert store(again, str(at), records(10 * at, 3)).duplicates == 0
    again.close()


# --- beside others -----------------------------------------------------------------------------------------------------


def test_an_exception_inside_a_transaction_rolls_it_back_and_leaves_the_journal_usable(tmp_path, clock):
    file = JournalFile(tmp_path, clock, exclusive=True)
    journal = SqliteJournal(file)
    with contextlib.suppress(ZeroDivisionError), file.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('a', 'b')")
        raise ZeroDivisionError
    assert rows(tmp_path, "SELECT * FROM meta WHERE key = 'a'") == []
    store(journal, "a", records(1, 1))
    journal.close()


def test_a_reader_sees_the_journal_of_a_running_pipeline_and_may_write_beside_it(tmp_path, clock):
    journal = open_journal(tmp_path, clock)
    store(journal, "a", records(1, 2))
    reader = JournalFile(tmp_path, clock, exclusive=False)
    assert reader.rows("SELECT count(*) FROM batch") == [(1,)]
    with reader.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('a', 'b')")
    store(journal, "b", records(5, 2))
    assert reader.rows("SELECT count(*) FROM batch") == [(2,)]
    reader.close()
    journal.close()


def test_a_journal_in_the_hands_of_a_thread_that_hangs_is_left_as_it_is(tmp_path, clock, monkeypatch, caplog):
    monkeypatch.setattr(file_module, "CLOSE_TIMEOUT_S", 0.05)
    file = JournalFile(tmp_path, clock, exclusive=True)
    has_it, end = threading.Event(), threading.Event()

    def hang():
        with file.lock:
            has_it.set()
            end.wait(30)

    thread = threading.Thread(target=hang)
    thread.start()
    has_it.wait(30)
    file.close()
    assert "it is left as it is, which loses nothing" in caplog.text
    end.set()
    thread.join()
    file.close()
    JournalFile(tmp_path, clock, exclusive=True).close()
