"""What the file sink finds in the place of a file and is not its own: nothing of it is cut, and nothing appended to it."""

from __future__ import annotations

import gzip
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from fakes import FakeClock, env
from ualpipe.pipeline.errors import SinkDenied
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.file.sink import FileSink
from ualpipe.testing import make_events

STRANGER = 4321

FOREIGN = {
    "text": b"root:x:0:0:root:/root:/bin/bash\nmail:x:8:8:mail",
    "text with its end": b"Dear diary,\n",
    "one line without an end": b"precious",
    "a program": b"\x7fELF\x02\x01\x01" + b"\0" * 200 + b"\n\x90\x90{",
    "a settings file": b'{\n  "runtimes": {}\n}\n',
    "a settings file without its end": b'{\n  "runtimes": {}\n}',
    "an array": b'[\n{"a": 1},\n{"b": 2}\n]\n',
    "words behind objects": b'{"a": 1}\n{"b": 2}\nhello',
    "zeros and text": b"\0" * 3000 + b"boot sector",
}


def sink(folder: Path, name: str = "audit.ndjson", **options: Any) -> FileSink:
    return FileSink(build(FileSink.Config, {"path": name, **options}, folder), env("local", clock=FakeClock()))


def written(target: FileSink, count: int = 1) -> None:
    target.open()
    target.write(Batch(make_events(count)))
    target.close()


def findings(target: FileSink) -> list[tuple[str, str, str]]:
    return [(found.level, found.message, found.action) for found in target.check()]


# --- other content -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes, is_gzip: bool) -> None:
    target = sink(tmp_path, gzip=is_gzip)
    path = tmp_path / ("audit.ndjson.gz" if is_gzip else "audit.ndjson")
    path.write_bytes(content)
    with pytest.raises(SinkDenied, match=rf"{path}: .*move the file away, or choose another path"):
        written(target)
    assert any(level == "error" and "move the file away" in message for level, message, _action in findings(target))
    assert path.read_bytes() == content


def test_text_behind_our_gzip_data_is_refused_and_not_cut(tmp_path: Path) -> None:
    written(sink(tmp_path, gzip=True))
    path = tmp_path / "audit.ndjson.gz"
    with path.open("ab") as file:
        file.write(b"notes")
    before = path.read_bytes()
    with pytest.raises(SinkDenied, match=f"at byte {len(before) - 5}"):
        written(sink(tmp_path, gzip=True))
    assert path.read_bytes() == before


def test_text_that_is_added_while_the_file_is_open_is_not_cut(tmp_path: Path) -> None:
    target = sink(tmp_path)
    target.write(Batch(make_events(1)))
    with (tmp_path / "audit.ndjson").open("ab") as other:
        other.write(b"a note of somebody")
    before = (tmp_path / "audit.ndjson").read_bytes()
    with pytest.raises(SinkDenied, match="behind its last line break is no JSON"):
        target.write(Batch(make_events(1)))
    assert (tmp_path / "audit.ndjson").read_bytes() == before


@pytest.mark.parametrize("begin", [b"", b'{"a":1}\n'])
def test_a_last_object_that_lacks_only_its_line_break_gets_it(tmp_path: Path, begin: bytes) -> None:
    """As editors and other tools leave files; cut, it would be lost."""
    (tmp_path / "audit.ndjson").write_bytes(begin + b'{"b":2}')
    written(sink(tmp_path))
    lines = (tmp_path / "audit.ndjson").read_bytes().splitlines()
    assert (tmp_path / "audit.ndjson").read_bytes().startswith(begin + b'{"b":2}\n')
    assert json.loads(lines[-1])["event"]["id"]


def test_an_empty_file_that_log_rotation_made_is_taken(tmp_path: Path) -> None:
    (tmp_path / "audit.ndjson").touch(mode=0o600)
    written(sink(tmp_path))
    assert (tmp_path / "audit.ndjson").stat().st_size


def test_records_as_received_may_be_broken_at_the_end_of_a_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "audit.ndjson").write_bytes(b'{"Id":"a"}\nbroken one\nbroken two\n')
    written(sink(tmp_path, payload="original"))
    (tmp_path / "audit.ndjson").write_bytes(b"broken one\nbroken two\n")
    with pytest.raises(SinkDenied):
        written(sink(tmp_path, payload="original"))


def test_a_line_that_a_loss_of_power_filled_with_zeros_is_ours(tmp_path: Path) -> None:
    (tmp_path / "audit.ndjson").write_bytes(b'{"a":1}\n{"b":"\0\0\0\0"}\n')
    written(sink(tmp_path))


def test_a_last_line_longer_than_the_look_back_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "audit.ndjson").write_bytes(b'{"a":"' + b"x" * 300_000 + b'"}\n')
    written(sink(tmp_path))
    (tmp_path / "other.ndjson").write_bytes(b"x" * 300_000 + b"\n")
    with pytest.raises(SinkDenied):
        written(sink(tmp_path, "other.ndjson"))


# --- links, devices, other users ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("content", [b"\x7fELF" + b"\0" * 60, b'{"a":1}\n', b"", None], ids=["program", "ours", "empty", "none"])
def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path, content: bytes | None, is_gzip: bool) -> None:
    precious = tmp_path / "precious"
    if content is not None:
        precious.write_bytes(content)
    (tmp_path / ("audit.ndjson" + ".gz" * is_gzip)).symlink_to(precious)
    target = sink(tmp_path, gzip=is_gzip)
    with pytest.raises(SinkDenied, match="symbolic link, which is not followed: give the path of the file itself"):
        written(target)
    assert any(level == "error" and "symbolic link" in message for level, message, _action in findings(target))
    assert (precious.read_bytes() if precious.exists() else None) == content


def test_a_link_that_is_put_in_the_place_of_an_open_file_is_not_followed(tmp_path: Path) -> None:
    target = sink(tmp_path)
    target.write(Batch(make_events(1)))
    (tmp_path / "audit.ndjson").rename(tmp_path / "moved")
    (tmp_path / "audit.ndjson").symlink_to(tmp_path / "moved")
    size = (tmp_path / "moved").stat().st_size
    with pytest.raises(SinkDenied, match="symbolic link"):
        target.write(Batch(make_events(1)))
    assert (tmp_path / "moved").stat().st_size == size


def test_a_link_of_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large disk")
    written(sink(tmp_path, "out/audit.ndjson"))
    assert (tmp_path / "large disk" / "audit.ndjson").stat().st_size


def test_a_link_among_numbered_files_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"")
    (tmp_path / "audit.7.ndjson").symlink_to(tmp_path / "precious")
    with pytest.raises(SinkDenied, match=r"audit\.7\.ndjson: .*symbolic link"):
        written(sink(tmp_path, rotate_size="1KiB"))


def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit.ndjson")
    with pytest.raises(SinkDenied, match="no regular file"):
        written(sink(tmp_path))


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audit.ndjson").write_bytes(b'{"a":1}\n')
    if os.geteuid() == 0:
        os.chown(tmp_path / "audit.ndjson", STRANGER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    with pytest.raises(SinkDenied, match=r"belongs to user .*chown it, or choose another path"):
        written(sink(tmp_path))
    assert (tmp_path / "audit.ndjson").read_bytes() == b'{"a":1}\n'


# --- modes ---------------------------------------------------------------------------------------------------------------


def test_a_looser_mode_than_the_config_wants_is_said_once_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.ndjson"
    path.write_bytes(b'{"a":1}\n')
    path.chmod(0o644)
    target = sink(tmp_path)
    with caplog.at_level(logging.WARNING):
        written(target)
        written(target)
    assert [record.getMessage() for record in caplog.records] == [f"{path} has mode 0644, and `mode` is 0600: chmod 600 {path}"]
    assert ("warning", f"{path} has mode 0644, and `mode` is 0600", f"chmod 600 {path}") in findings(target)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644, "who may read is the operator's to say"
    caplog.clear()
    written(sink(tmp_path, mode="0644"))
    assert not caplog.records


@pytest.mark.parametrize(("mode", "is_named"), [(0o777, True), (0o770, True), (0o1777, False), (0o755, False)])
def test_a_folder_above_that_others_can_write_to_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, is_named: bool
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    target = sink(tmp_path, "shared/out/audit.ndjson")
    with caplog.at_level(logging.WARNING):
        written(target)
    remedy = f"chmod go-w {tmp_path / 'shared'}"
    assert (remedy in caplog.text) == is_named
    assert (remedy in [action for _level, _message, action in findings(target)]) == is_named


def test_the_remedy_of_an_unusable_folder_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    for target in (sink(tmp_path, "taken/audit.ndjson"), sink(tmp_path, "taken/deeper/audit.ndjson")):
        ((level, message, action),) = findings(target)
        assert level == "error"
        assert f"{message} {action}".count("check `path`") == 1


def test_check_takes_a_file_of_ours_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson.gz"
    path.write_bytes(b"")
    written(sink(tmp_path, gzip=True))
    with path.open("ab") as file:
        file.write(b"\x1f\x8b")
    before = path.read_bytes()
    path.chmod(0o600)
    assert [level for level, _message, _action in findings(sink(tmp_path, gzip=True))] == ["ok"]
    assert path.read_bytes() == before
    assert gzip.decompress(before[:-2])
