"""Stamps of files: they tell that a file was replaced or written to, however that was done."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ualpipe.pipeline.files import open_ours, replace_file, stamp_of, unsafe_reason, write_new


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


# --- files that are made -------------------------------------------------------------------------------------------------


def test_a_new_file_is_not_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "new", b"text")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["file", ".file.PID.new"])
def test_a_replaced_file_is_not_written_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / name.replace("PID", str(os.getpid()))).symlink_to(tmp_path / "precious")
    replace_file(tmp_path / "file", b"text")
    assert (tmp_path / "file").read_bytes() == b"text"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "precious"]


def test_a_replaced_file_is_for_its_owner_alone_under_any_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        replace_file(tmp_path / "file", b"text")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_file_that_can_not_be_replaced_is_as_it_was_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "file", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("kind", "owner", "user", "reason"),
    [
        (stat.S_IFREG, 1000, 1000, ""),
        (stat.S_IFREG, 0, 1000, ""),
        (stat.S_IFREG, 1000, 0, "belongs to user"),
        (stat.S_IFREG, 4321, 1000, "belongs to user 4321"),
        (stat.S_IFLNK, 1000, 1000, "symbolic link"),
        (stat.S_IFIFO, 1000, 1000, "no regular file"),
        (stat.S_IFCHR, 0, 0, "no regular file"),
        (stat.S_IFDIR, 0, 0, "no regular file"),
    ],
)
def test_only_a_regular_file_of_the_user_or_root_is_ours(kind: int, owner: int, user: int, reason: str) -> None:
    status = os.stat_result((kind | 0o600, 1, 1, 1, owner, 0, 0, 0, 0, 0))
    found = unsafe_reason(status, user)
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_descriptor_of_a_file_of_ours_is_not_inherited(tmp_path: Path) -> None:
    fd = open_ours(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert not os.get_inheritable(fd)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    os.close(fd)


# --- the one way to write ------------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[3]
WRITERS = {
    "pipeline/files.py": "it is the one way",
    "pipeline/cli.py": "the null device",
    "pipeline/journal/sqlite/state_dir/ownership.py": "a folder, to lock it",
    "transforms/geoip/database.py": "memory, without a name",
}


def writes(path: Path) -> bool:
    """Returns whether a module writes files by their names, or opens them in a way that could."""
    return any(_writes(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def _writes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("write_text", "write_bytes", "touch", "copyfile", "copy2", "NamedTemporaryFile", "mkstemp"):
        return True
    if name != "open":
        return False
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == "os":
        return True
    modes = [one.value for one in (*call.args, *(word.value for word in call.keywords)) if isinstance(one, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)


def test_files_are_made_and_opened_for_writing_in_one_place() -> None:
    """By way of ``open_ours``, ``write_new`` and ``replace_file``, which follow no link."""
    modules = [
        path
        for package in ("clients", "pipeline", "simulator", "sinks", "sources", "testing", "transforms")
        for path in (ROOT / package).rglob("*.py")
    ]
    assert {str(path.relative_to(ROOT)) for path in modules if writes(path)} == WRITERS.keys()


@pytest.mark.parametrize("code", ["os.open(p, 0)", "p.write_text('x')", "p.open('ab')", "open(p, mode='w')", "p.open('r+b')"])
def test_each_way_to_write_is_seen(tmp_path: Path, code: str) -> None:
    (tmp_path / "module.py").write_text(code)
    assert writes(tmp_path / "module.py")


@pytest.mark.parametrize("code", ["p.open('rb')", "sink.open()", "open(p)", "open_ours(p, 0)", "os.fdopen(fd, 'wb')"])
def test_what_does_not_write_by_name_passes(tmp_path: Path, code: str) -> None:
    (tmp_path / "module.py").write_text(code)
    assert not writes(tmp_path / "module.py")
