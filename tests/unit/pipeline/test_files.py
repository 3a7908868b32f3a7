"""Stamps of files: they tell that a file was replaced or written to, however that was done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ualpipe.pipeline.files import stamp_of


def write(path: Path) -> None:
    path.write_text("longer than before")


def replace(path: Path) -> None:
    """As tools that renew certificates do, with the size and the time of the file before."""
    before, new = path.stat(), path.with_suffix(".new")
    new.write_bytes(path.read_bytes())
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [write, replace, touch, Path.unlink])
def test_a_stamp_changes_with_the_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "key.pem"
    path.write_text("before")
    before = stamp_of(path)
    assert stamp_of(path) == before != ()
    change(path)
    assert stamp_of(path) != before


def test_what_is_not_there_has_an_empty_stamp(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert [stamp_of(path) for path in (None, tmp_path / "none", tmp_path / "file" / "below")] == [(), (), ()]
