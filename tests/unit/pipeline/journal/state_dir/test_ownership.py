"""Who may have a state directory: the user that owns it, or anyone of root's; one process; and no file in it leads elsewhere."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import FakeClock, open_journal
from ualpipe.pipeline.errors import JournalError, JournalInUse
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME, JournalFile
from ualpipe.pipeline.journal.sqlite.state_dir.mark import MARK_NAME
from ualpipe.pipeline.journal.sqlite.state_dir.ownership import LOCK_NAME, look_who_has

STRANGER = 4321

HOLD = """
import pathlib, sys
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.sqlite.file import JournalFile
file = JournalFile(pathlib.Path(sys.argv[1]), SystemClock(), exclusive=True)
print("open", flush=True)
sys.stdin.read()
"""


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a path another user's: root can do that, others can only pretend to be somebody else."""
    if os.geteuid() == 0:
        os.lchown(path, STRANGER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)


@contextmanager
def another_run(state_dir: Path) -> Iterator[int]:
    """Runs a process that has the state directory; yields its number."""
    command = [sys.executable, "-c", HOLD, str(state_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"open\n"
        yield holder.pid
        holder.communicate()


def test_a_state_directory_of_another_user_is_refused_and_left_as_it_is(tmp_path, clock, monkeypatch):
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o777)
    give_away(state_dir, monkeypatch)
    with pytest.raises(JournalError, match=r"belongs to user .*who could replace the journal.*run it as .*chown -R.*`state_dir`"):
        open_journal(state_dir, clock)
    assert not list(state_dir.iterdir())


def test_a_state_directory_behind_a_link_of_ours_is_taken(tmp_path, clock):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "large disk")
    open_journal(tmp_path / "state", clock).close()
    assert (tmp_path / "large disk" / FILE_NAME).exists()


@pytest.mark.parametrize("name", [LOCK_NAME, MARK_NAME, FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", f"{FILE_NAME}.new"])
@pytest.mark.parametrize("is_there", [True, False])
def test_no_link_in_a_state_directory_is_followed(tmp_path, clock, name, is_there):
    target = tmp_path / "precious"
    if is_there:
        target.write_text("precious")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / name).symlink_to(target)
    if name == f"{FILE_NAME}.new":  # what a killed process left there is removed: the link, not what it leads to
        open_journal(tmp_path / "state", clock).close()
    else:
        with pytest.raises(JournalError, match=rf"{name}.*symbolic link|is gone, and its mark"):
            open_journal(tmp_path / "state", clock)
    assert target.exists() == is_there
    assert not is_there or target.read_text() == "precious"


@pytest.mark.parametrize("name", [LOCK_NAME, MARK_NAME, FILE_NAME, f"{FILE_NAME}-wal"])
def test_a_link_beside_a_journal_of_ours_is_not_followed_either(tmp_path, clock, name):
    state_dir, target = tmp_path / "state", tmp_path / "precious"
    open_journal(state_dir, clock).close()
    target.write_text("precious")
    (state_dir / name).unlink(missing_ok=True)
    (state_dir / name).symlink_to(target)
    for exclusive in (True, False):
        if exclusive or name != LOCK_NAME:  # who only reads has no use for the lock
            with pytest.raises(JournalError, match=f"{name}.*symbolic link"):
                JournalFile(state_dir, clock, exclusive=exclusive)
    assert target.read_text() == "precious"


def test_a_file_of_another_user_in_our_directory_is_refused(tmp_path, clock, monkeypatch):
    open_journal(tmp_path, clock).close()
    give_away(tmp_path / FILE_NAME, monkeypatch)
    with pytest.raises(JournalError, match="belongs to user"):
        open_journal(tmp_path, clock)


def test_who_only_looks_may_look_at_the_journal_of_another_user(tmp_path, clock, monkeypatch):
    """As root does with `status`, where a service has a user of its own."""
    state_dir = tmp_path / "state"
    open_journal(state_dir, clock).close()
    for path in (state_dir, *state_dir.iterdir()):
        give_away(path, monkeypatch)
    file = JournalFile(state_dir, clock, exclusive=False)
    assert file.rows("SELECT count(*) FROM batch") == [(0,)]
    assert not file.set_back
    file.close()
    with pytest.raises(JournalError, match="belongs to user"):
        JournalFile(state_dir, clock, exclusive=True)


def test_a_pipe_in_the_place_of_the_lock_is_refused_without_waiting_for_its_other_end(tmp_path, clock):
    os.mkfifo(tmp_path / LOCK_NAME)
    with pytest.raises(JournalError, match="lock: it is no regular file"):
        open_journal(tmp_path, clock)


def test_a_lock_that_holds_something_else_is_not_overwritten(tmp_path, clock):
    """A hard link of another file, or a folder that is somebody's."""
    (tmp_path / LOCK_NAME).write_text("host key\n")
    with pytest.raises(JournalError, match="holds no process number"):
        open_journal(tmp_path, clock)
    assert (tmp_path / LOCK_NAME).read_text() == "host key\n"


def test_a_second_run_is_refused_after_the_lock_was_removed(tmp_path, clock):
    with another_run(tmp_path):
        (tmp_path / LOCK_NAME).unlink()
        for _attempt in range(2):
            with pytest.raises(JournalInUse, match="in use by another ualpipe run"):
                open_journal(tmp_path, clock)
    open_journal(tmp_path, clock).close()


def test_a_second_run_is_refused_through_a_link_of_the_folder_and_with_the_files_replaced(tmp_path, clock):
    state_dir, link = tmp_path / "state", tmp_path / "link"
    link.symlink_to(state_dir)
    with another_run(state_dir) as pid:
        (state_dir / LOCK_NAME).rename(state_dir / "aside")
        (state_dir / LOCK_NAME).write_text(f"{pid}\n")
        with pytest.raises(JournalInUse, match=f"process {pid}"):
            open_journal(link, clock)


def test_a_folder_that_others_can_write_to_is_named_with_what_to_do(tmp_path, clock, caplog):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "state").mkdir()
    (tmp_path / "open" / "state").chmod(0o770)
    with caplog.at_level(logging.WARNING):
        open_journal(tmp_path / "open" / "state", clock).close()
    assert f"chmod go-w {tmp_path / 'open'}" in caplog.text
    assert f"can be read and written to by others (mode 770): chmod 700 {tmp_path / 'open' / 'state'}" in caplog.text


def test_a_folder_in_which_nobody_can_remove_what_is_ours_is_not_named(tmp_path, clock, caplog):
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    with caplog.at_level(logging.WARNING):
        open_journal(tmp_path / "sticky" / "state", FakeClock()).close()
    assert not caplog.records


def test_who_asks_hears_which_process_has_the_directory(tmp_path, clock):
    assert look_who_has(tmp_path / "none") == (None, None)
    open_journal(tmp_path, clock).close()
    assert look_who_has(tmp_path) == (False, None)
    with another_run(tmp_path) as pid:
        assert look_who_has(tmp_path) == (True, pid)
        (tmp_path / LOCK_NAME).unlink()
        assert look_who_has(tmp_path) == (True, None), "the directory itself is locked as well"
    assert look_who_has(tmp_path) == (False, None)


def test_a_run_that_begins_while_somebody_asks_begins(tmp_path, clock, monkeypatch):
    """Who asks has a shared lock for a moment: here for as long as two looks of the run take."""
    open_journal(tmp_path, clock).close()
    asks = [os.open(tmp_path, os.O_RDONLY), os.open(tmp_path / LOCK_NAME, os.O_RDONLY)]
    for fd in asks:
        fcntl.flock(fd, fcntl.LOCK_SH)
    looks = []

    def let_go_at_the_second(_seconds):
        looks.append(1)
        if len(looks) == 2:
            for fd in asks:
                os.close(fd)

    monkeypatch.setattr(time, "sleep", let_go_at_the_second)
    open_journal(tmp_path, clock).close()
    assert len(looks) == 2
