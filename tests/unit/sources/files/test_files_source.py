import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fakes
from ualpipe.pipeline.errors import ContentGone, ContentRefused, SourceDenied, SourceUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import Record
from ualpipe.pipeline.stages import Finding, Listed, WorkItem
from ualpipe.sources.files.source import FilesConfig, FilesSource

RECORDS = fakes.records(1, 5)
LINES = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
ARRAY = json.dumps(RECORDS).encode()


def source(folder: Path, *paths: str) -> FilesSource:
    made = FilesSource(build(FilesConfig, {"paths": list(paths)}, folder), fakes.env("in"))
    made.open()
    return made


def listed(files: FilesSource, stream: str | None = None) -> list[WorkItem]:
    found = list(files.discover(stream or files.streams()[0], None))
    assert found[-1] == Listed(fakes.NOW)
    return [item for item in found if isinstance(item, WorkItem)]


def names(files: FilesSource) -> list[str]:
    return [Path(item.locator["path"]).name for item in listed(files)]


def records_in(chunks: Iterator[Chunk]) -> list[Record]:
    return [record for chunk in chunks for record in chunk.records]


# --- listing ---------------------------------------------------------------------------------------------------------


def test_every_path_is_a_stream(tmp_path: Path) -> None:
    assert source(tmp_path, "a.json", "in", "a.json").streams() == [str(tmp_path / "a.json"), str(tmp_path / "in")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ["b.json", "a.log", ".hidden", "deep/c.json", "deep/.d.json"]:
        (tmp_path / "in" / name).write_bytes(LINES)
    (tmp_path / "in" / "link").symlink_to("b.json")
    (tmp_path / "in" / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("in", ["a.log", "b.json", "link"]),
        ("in/*.json", ["b.json"]),
        ("in/**/*.json", ["b.json", "c.json"]),
        ("i?/[ab].*", ["a.log", "b.json"]),
        ("in/.hidden", [".hidden"]),
        ("in/*.nothing", []),
        ("other/*", []),
    ],
)
def test_path_stands_for_files_in_order(folder: Path, path: str, expected: list[str]) -> None:
    assert names(source(folder, path)) == expected


def test_name_that_holds_pattern_characters_is_taken_literally_when_it_exists(tmp_path: Path) -> None:
    (tmp_path / "audit[1].json").write_bytes(LINES)
    (tmp_path / "audit1.json").write_bytes(LINES)
    assert names(source(tmp_path, "audit[1].json")) == ["audit[1].json"]


def test_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"a\.json: there is no such file or folder"):
        listed(source(tmp_path, "a.json"))


def test_pipe_is_no_file(folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match="pipe: can't be read: is no file"):
        listed(source(folder, "in/pipe"))


def test_unchanged_content_is_the_same_item(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(LINES)
    files = source(tmp_path, "a.json")
    (first,) = listed(files)
    os.utime(file, (1, 1))
    (touched,) = listed(files)
    assert touched.key == first.key == listed(source(tmp_path, "a.json"))[0].key
    assert touched.locator == first.locator


def test_grown_or_changed_file_is_a_new_item(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    files = source(tmp_path, "a.json")
    keys = set()
    for number, content in enumerate([LINES, LINES + LINES, LINES.replace(b"alice", b"carol")]):
        file.write_bytes(content)
        os.utime(file, (number, number))
        keys.add(listed(files)[0].key)
    assert len(keys) == 3


def test_item_can_be_stored_as_json(tmp_path: Path) -> None:
    (tmp_path / "a b é.json").write_bytes(LINES)
    (item,) = listed(source(tmp_path, "a b é.json"))
    assert json.loads(json.dumps(dict(item.locator))) == item.locator
    assert item.created is not None
    assert item.created.tzinfo is not None


def test_name_that_is_no_text_is_refused_after_all_others(tmp_path: Path) -> None:
    for name in [b"a", b"\xff", b"z"]:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(LINES)
    files = source(tmp_path, ".")
    seen = []
    with pytest.raises(SourceDenied, match="the name is not UTF-8"):
        seen.extend(files.discover(files.streams()[0], None))
    assert len(seen) == 2


class Unreadable(type(Path())):  # type: ignore[misc] - tests run as root, whom no permission stops
    """A path that may not be read."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    def iterdir(self) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("is_folder", [True, False])
def test_unreadable_path_is_denied(tmp_path: Path, is_folder: bool) -> None:
    path = Unreadable(tmp_path if is_folder else tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(LINES)
    files = FilesSource(FilesConfig(paths=[path]), fakes.env())
    with pytest.raises(SourceDenied, match=r"may not be read \(Permission denied\)"):
        list(files.discover(str(path), None))


# --- fetching --------------------------------------------------------------------------------------------------------


def test_item_gives_its_records_every_time(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(ARRAY)
    files = source(tmp_path, "a.json")
    (item,) = listed(files)
    assert records_in(files.fetch(item)) == records_in(files.fetch(item)) == RECORDS


def test_what_was_appended_since_is_left_to_the_next_item(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(LINES)
    files = source(tmp_path, "a.json")
    (item,) = listed(files)
    with (tmp_path / "a.json").open("ab") as file:
        file.write(LINES)
    assert records_in(files.fetch(item)) == RECORDS
    assert records_in(files.fetch(listed(files)[0])) == RECORDS * 2


def test_file_that_was_replaced_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(LINES)
    files = source(tmp_path, "a.json")
    (item,) = listed(files)
    (tmp_path / "a.json").write_bytes(LINES.replace(b"alice", b"carol"))
    with pytest.raises(ContentGone, match="changed after it was listed"):
        list(files.fetch(item))


def test_file_that_was_taken_away_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(LINES)
    files = source(tmp_path, "a.json")
    (item,) = listed(files)
    (tmp_path / "a.json").unlink()
    with pytest.raises(ContentGone, match=r"a\.json: taken away before it was read"):
        list(files.fetch(item))


def test_folder_that_was_taken_away_may_come_back(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_bytes(LINES)
    files = source(tmp_path, "in")
    (item,) = listed(files)
    (tmp_path / "in").rename(tmp_path / "out")
    with pytest.raises(SourceUnavailable, match="there is no such file or folder"):
        list(files.fetch(item))


def test_undecodable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"<html>")
    files = source(tmp_path, "a.json")
    with pytest.raises(ContentRefused, match=r"a\.json: an HTML page") as caught:
        list(files.fetch(listed(files)[0]))
    assert caught.value.body == b"<html>"


def test_refused_file_that_was_replaced_meanwhile_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"<html>")
    files = source(tmp_path, "a.json")
    (item,) = listed(files)
    (tmp_path / "a.json").write_bytes(b"<body>")
    with pytest.raises(ContentGone, match="changed after it was listed"):
        list(files.fetch(item))


def test_own_envelopes_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"kind": "export", "payload": {"audit": record}} for record in RECORDS]))
    options = {"paths": ["a.json"], "envelopes": ["payload.audit"]}
    files = FilesSource(build(FilesConfig, options, tmp_path), fakes.env("in"))
    assert records_in(files.fetch(listed(files)[0])) == RECORDS


# --- check -----------------------------------------------------------------------------------------------------------


def findings(folder: Path, *paths: str) -> list[tuple[str, str]]:
    found = list(source(folder, *paths).check())
    assert all(isinstance(finding, Finding) and (finding.action or finding.level == "ok") for finding in found)
    return [(finding.level, finding.message) for finding in found]


def test_check_counts_files_and_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.json").write_bytes(LINES)
    (tmp_path / "good" / "b.csv.gz").write_bytes(gzip.compress(ARRAY))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.txt").write_bytes(b"hello")
    (tmp_path / "bad" / "b.gz").write_bytes(gzip.compress(LINES)[:-9])
    assert findings(tmp_path, "good", "good/a.json", "*.json", "none", "bad") == [
        ("ok", "2 files"),
        ("ok", "1 file"),
        ("warning", "there are no files yet"),
        ("error", f"{tmp_path}/none: there is no such file or folder"),
        ("error", "neither JSON nor an export of an audit search (CSV with a column AuditData, say): it begins with 'hello'"),
        ("error", "damaged gzip: the file ends early"),
    ]
