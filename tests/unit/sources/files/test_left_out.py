"""``files`` names what it leaves out: once, and not more than anybody reads."""

import logging
import os
from pathlib import Path

import pytest

import fakes
from ualpipe.pipeline.options import build
from ualpipe.sources.files import source as source_module
from ualpipe.sources.files.source import FilesConfig, FilesSource
from ualpipe.sources.files.walk import MAX_NAMED, files_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.json", "b.csv", ".hidden", "deep/c.json"):
        (tmp_path / "in" / name).write_text('{"Id": "1", "Operation": "x", "RecordType": 6}')
    (tmp_path / "in" / "empty.json").touch()
    (tmp_path / "in" / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    return tmp_path


def source(folder: Path, *paths: str) -> FilesSource:
    return FilesSource(build(FilesConfig, {"paths": list(paths)}, folder), fakes.env("in"))


def listed(files: FilesSource) -> None:
    for stream in files.streams():
        list(files.discover(stream, None))


def left_out(folder: Path, path: str) -> dict[str, str]:
    return {found.name: reason for found, reason in files_at(folder / path).left_out.items()}


def test_everything_in_a_folder_is_read_or_named(folder: Path) -> None:
    no_file = "no file, or a link to nothing"
    assert left_out(folder, "in") == {
        ".hidden": "hidden",
        "deep": "folder",
        "dangling": no_file,
        "pipe": no_file,
        "empty.json": "empty",
    }


def test_a_file_beside_those_that_fit_a_pattern_is_named(folder: Path) -> None:
    assert left_out(folder, "in/*.json") == {".hidden": "hidden", "b.csv": "no match", "empty.json": "empty"}
    assert left_out(folder, "in/**/*.json") == {".hidden": "hidden", "b.csv": "no match", "empty.json": "empty"}
    assert left_out(folder, "in/a.json") == {}


def test_the_log_names_each_thing_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = source(folder, "in")
    listed(files)
    listed(files)
    (line,) = caplog.messages
    assert line == (
        "left out: 1 empty (empty.json); 1 a folder (deep); 1 hidden (.hidden); 2 no file, or a link to nothing (dangling, pipe)"
    )
    (folder / "in" / "new.json").touch()
    listed(files)
    assert caplog.messages[1:] == ["left out: 1 empty (new.json)"]


def test_of_very_many_only_some_are_named_and_the_rest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_NAMED + 3):
        (tmp_path / f".{number}").touch()
    files = source(tmp_path, ".")
    (_warning, finding) = files.check()
    assert finding.message == "left out: 8 hidden (.0, .1, .2, .3, .4 and 3 more)"
    monkeypatch.setattr(source_module, "MAX_TOLD", 3)
    listed(files)
    assert len(files._told) == 3


def test_a_name_that_is_no_text_is_named_in_escapes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b".\xff\n")).touch()
    findings = list(source(tmp_path, ".").check())
    assert findings[-1].message == "left out: 1 hidden (.\\udcff\\n)"


def test_a_file_of_blanks_is_named_when_it_was_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "blank.json").write_text(" \n\n")
    files = source(tmp_path, "blank.json")
    (item, _listed) = files.discover(files.streams()[0], None)
    assert list(files.fetch(item)) == []  # type: ignore[arg-type]
    assert caplog.messages == [f"{tmp_path / 'blank.json'} holds no record: it is blank"]
