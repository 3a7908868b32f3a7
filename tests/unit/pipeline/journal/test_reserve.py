from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fakes import FakeClock, open_journal
from ualpipe.pipeline.journal.reserve import FILE_NAME, RESERVE_BYTES, ROOM_BYTES, Reserve


def test_the_room_is_kept_by_a_file_of_our_own(tmp_path: Path) -> None:
    Reserve(tmp_path).keep(ROOM_BYTES)
    status = (tmp_path / FILE_NAME).stat()
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (RESERVE_BYTES, 0o600)
    assert status.st_blocks * 512 >= RESERVE_BYTES, "a file with holes keeps no room"


def test_what_was_kept_before_is_not_written_again(tmp_path: Path) -> None:
    Reserve(tmp_path).keep(ROOM_BYTES)
    before = (tmp_path / FILE_NAME).stat()
    Reserve(tmp_path).keep(ROOM_BYTES)
    assert (tmp_path / FILE_NAME).stat() == before


@pytest.mark.parametrize("size", [0, RESERVE_BYTES // 2, RESERVE_BYTES + 1])
def test_half_of_a_reserve_is_made_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / FILE_NAME).write_bytes(bytes(size))
    Reserve(tmp_path).keep(ROOM_BYTES)
    assert (tmp_path / FILE_NAME).stat().st_size == RESERVE_BYTES


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "another"
    target.write_bytes(b"x" * RESERVE_BYTES)
    (tmp_path / FILE_NAME).symlink_to(target)
    Reserve(tmp_path).keep(ROOM_BYTES)
    assert not (tmp_path / FILE_NAME).is_symlink()
    assert target.read_bytes() == b"x" * RESERVE_BYTES


def test_a_disk_that_is_short_of_room_is_left_alone_until_it_has_some(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.keep(ROOM_BYTES - 1)
    assert not (tmp_path / FILE_NAME).exists()
    reserve.keep(ROOM_BYTES)
    assert (tmp_path / FILE_NAME).exists()


def test_what_was_let_go_is_kept_anew_when_there_is_room(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    reserve.keep(ROOM_BYTES)
    for _twice in range(2):
        reserve.let_go()
        assert not (tmp_path / FILE_NAME).exists()
    reserve.keep(ROOM_BYTES)
    assert (tmp_path / FILE_NAME).exists()


def test_a_folder_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "gone")
    reserve.keep(ROOM_BYTES)
    reserve.let_go()


def test_the_journal_keeps_it_from_its_start_lets_go_of_it_and_keeps_it_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, FakeClock())
    assert (tmp_path / FILE_NAME).exists()
    journal.use_reserve()
    assert not (tmp_path / FILE_NAME).exists()
    journal.check_room()
    assert (tmp_path / FILE_NAME).exists()
    journal.close()
