"""Backups: whole and equal, also of a journal in use; for their owner alone; nothing is ever overwritten."""

import sqlite3
import stat
from contextlib import closing

import pytest

from fakes import body, enter, open_journal, records, store
from ualpipe.pipeline.errors import ConfigError, JournalError
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.queries.backup import back_up
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import Settlement


def dump(path) -> list[str]:
    """Returns everything in a journal, as SQL."""
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


def filled(folder, clock, count: int = 20) -> SqliteJournal:
    journal = open_journal(folder, clock)
    for at in range(count):
        (ref,) = store(journal, str(at), records(20 * at, 20)).batches
        journal.settle("siem", [Settlement(ref.id, delivered=20)], [])
    return journal


def restored(backup, folder, clock) -> SqliteJournal:
    """Puts a backup in the place of a journal, as the command says."""
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(backup.read_bytes())
    return open_journal(folder, clock)


def test_a_backup_of_a_journal_in_use_holds_what_is_in_its_write_ahead_log(tmp_path, clock):
    journal = filled(tmp_path / "state", clock)
    assert (tmp_path / "state" / f"{FILE_NAME}-wal").stat().st_size > 0
    backup = back_up(tmp_path / "state", tmp_path / "copy.db")
    assert backup.bytes == (tmp_path / "copy.db").stat().st_size
    assert dump(tmp_path / "copy.db") == dump(tmp_path / "state" / FILE_NAME)
    journal.close()


def test_a_restored_journal_goes_on_where_it_was(tmp_path, clock):
    journal = filled(tmp_path / "state", clock)
    back_up(tmp_path / "state", tmp_path / "copy.db")
    store(journal, "after", records(9000, 5))
    journal.close()
    again = restored(tmp_path / "copy.db", tmp_path / "restored", clock)
    assert again.unsettled("siem") == []
    (first, *_rest) = again.unsettled("bus")
    assert again.read(first).origin.chunk.body == body(records(0, 20))
    assert store(again, "known", records(0, 20)).duplicates == 20
    assert store(again, "after", records(9000, 5)).duplicates == 0
    again.close()


def test_a_transaction_under_way_is_not_in_it(tmp_path, clock):
    filled(tmp_path / "state", clock, 1).close()
    file = JournalFile(tmp_path / "state", clock, exclusive=True)
    item = enter(SqliteJournal(file), "half")
    with file.transaction() as db:
        db.execute("UPDATE item SET state = 'gone' WHERE id = ?", (item.id,))
        back_up(tmp_path / "state", tmp_path / "copy.db")
    file.close()
    db = sqlite3.connect(tmp_path / "copy.db")
    assert db.execute("SELECT state FROM item WHERE key = 'half'").fetchall() == [("listed",)]
    db.close()


def test_the_backup_says_how_it_takes_the_place_of_the_journal(tmp_path, clock):
    filled(tmp_path / "state", clock, 1).close()
    backup = back_up(tmp_path / "state", tmp_path / "copy.db")
    journal = tmp_path / "state" / FILE_NAME
    assert backup.how_to_restore.endswith(f"then cp {tmp_path / 'copy.db'} {journal}")
    assert all(f"{journal}{part}" in backup.how_to_restore for part in ("", "-wal", "-shm"))


def test_the_reading_side_makes_the_same_backup(tmp_path, clock):
    journal = filled(tmp_path / "state", clock, 3)
    with closing(SqliteJournalReader(tmp_path / "state", clock)) as reader:
        assert reader.back_up(tmp_path / "copy.db").bytes == (tmp_path / "copy.db").stat().st_size
    assert dump(tmp_path / "copy.db") == dump(tmp_path / "state" / FILE_NAME)
    journal.close()


def test_a_run_writes_on_after_a_backup(tmp_path, clock):
    journal = filled(tmp_path / "state", clock, 1)
    back_up(tmp_path / "state", tmp_path / "copy.db")
    assert store(journal, "next", records(500, 3)).records == 3
    journal.close()


def test_a_backup_of_a_journal_at_rest_leaves_it_readable_as_it_was(tmp_path, clock):
    filled(tmp_path / "state", clock).close()
    before = (tmp_path / "state" / FILE_NAME).read_bytes()
    back_up(tmp_path / "state", tmp_path / "copy.db")
    assert (tmp_path / "state" / FILE_NAME).read_bytes() == before
    assert dump(tmp_path / "copy.db") == dump(tmp_path / "state" / FILE_NAME)


def test_a_backup_is_one_file_for_its_owner_alone(tmp_path, clock):
    filled(tmp_path / "state", clock).close()
    (tmp_path / "to").mkdir()
    back_up(tmp_path / "state", tmp_path / "to" / "copy.db")
    (copy,) = (tmp_path / "to").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(tmp_path, clock, kind):
    filled(tmp_path / "state", clock, 1).close()
    to = tmp_path / "copy.db"
    {"file": lambda: to.write_text("precious"), "folder": to.mkdir, "dangling link": lambda: to.symlink_to("none")}[kind]()
    with pytest.raises(ConfigError, match="exists already"):
        back_up(tmp_path / "state", to)
    assert kind != "file" or to.read_text() == "precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.db", "state"]


def test_the_journal_itself_is_not_overwritten(tmp_path, clock):
    filled(tmp_path / "state", clock, 1).close()
    with pytest.raises(ConfigError, match="exists already"):
        back_up(tmp_path / "state", tmp_path / "state" / FILE_NAME)


def test_a_folder_that_is_not_there_is_said_so(tmp_path, clock):
    filled(tmp_path / "state", clock, 1).close()
    with pytest.raises(ConfigError, match=r"can't write the backup .*/none/copy\.db: No such file or directory"):
        back_up(tmp_path / "state", tmp_path / "none" / "copy.db")


def test_without_a_journal_there_is_nothing_to_back_up(tmp_path):
    with pytest.raises(JournalError, match="no journal yet"):
        back_up(tmp_path / "state", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", [0.0, 0.3, 0.9])
def test_a_damaged_journal_gives_no_backup(tmp_path, clock, where):
    filled(tmp_path / "state", clock).close()
    path = tmp_path / "state" / FILE_NAME
    data = bytearray(path.read_bytes())
    begin = int(len(data) * where) // 4096 * 4096
    data[begin : begin + 8192] = b"\xa5" * 8192
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged"):
        back_up(tmp_path / "state", tmp_path / "copy.db")
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_a_journal_of_any_version_is_backed_up_before_an_upgrade(tmp_path, clock):
    filled(tmp_path / "state", clock, 1).close()
    db = sqlite3.connect(tmp_path / "state" / FILE_NAME)
    db.execute("PRAGMA user_version = 99")
    db.close()
    back_up(tmp_path / "state", tmp_path / "copy.db")
    db = sqlite3.connect(tmp_path / "copy.db")
    assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()
