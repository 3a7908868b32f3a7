import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
from ualpipe.pipeline.errors import ContentGone, ContentUndecodable, SourceDenied, SourceUnavailable
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord, Record
from ualpipe.pipeline.stages import Finding, Listed, WorkItem
from ualpipe.sources.files.byte_stream import READ_BYTES, Damage, decompressed, in_utf8, lines_of
from ualpipe.sources.files.csv_export import records_of_export
from ualpipe.sources.files.formats import CSV_EXPORT, HEAD_BYTES, JSON_ARRAY, JSON_LINES, JSON_OBJECTS, chunks_of, format_of
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


def read(content: bytes, block: int = 100) -> list[Record]:
    return records_in(chunks_of(content[at : at + block] for at in range(0, len(content), block)))


def read_until_refused(content: bytes) -> tuple[list[Record], ContentUndecodable]:
    found: list[Record] = []
    try:
        for chunk in chunks_of([content]):
            found += chunk.records
    except ContentUndecodable as exc:
        return found, exc
    pytest.fail("the content was taken as a whole")


def export(rows: list[list[str]], header: str, delimiter: str = ",", end: str = "\r\n") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue().encode()


# --- formats ---------------------------------------------------------------------------------------------------------

PORTAL_OLD = export(
    [["2019-01-01T10:00:00.0000000Z", "a", "b", json.dumps(x)] for x in RECORDS], "CreationDate,UserIds,Operations,AuditData"
)
PORTAL = export(
    [["r", "2026-08-31T10:18:39.0000000Z ", "15", "op", "a@b", json.dumps(x), "", ""] for x in RECORDS],
    "RecordId,CreationDate,RecordType,Operation,UserId,AuditData,AssociatedAdminUnits,AssociatedAdminUnitsNames",
)
POWERSHELL = b"#TYPE Selected.System.Management.Automation.PSCustomObject\r\n" + export(
    [["9/20/2023 4:05:03 AM", "a", "SharePoint", json.dumps(x)] for x in RECORDS], "CreationDate,UserIds,RecordType,AuditData"
)
EXCEL = b"sep=;\n" + export([[json.dumps(x), "1"] for x in RECORDS], "AuditData,Index", delimiter=";", end="\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (LINES, JSON_LINES),
        (b"\n\n  " + LINES.replace(b"\n", b"\r\n\r\n").strip(), JSON_LINES),
        (json.dumps(RECORDS[0]).encode(), JSON_LINES),
        (b"", JSON_LINES),
        (b" \n", JSON_LINES),
        (b'{"Id": "cut\n' + LINES, JSON_LINES),
        (b"2026-11-20 started\n" + LINES, JSON_LINES),
        (ARRAY, JSON_ARRAY),
        (json.dumps(RECORDS, indent=2).encode(), JSON_ARRAY),
        (b"\n[]", JSON_ARRAY),
        (json.dumps(RECORDS[0], indent=2).encode(), JSON_OBJECTS),
        (b"".join(json.dumps(x, indent=4).encode() + b"\n\n" for x in RECORDS), JSON_OBJECTS),
        (PORTAL_OLD, CSV_EXPORT),
        (PORTAL, CSV_EXPORT),
        (POWERSHELL, CSV_EXPORT),
        (EXCEL, CSV_EXPORT),
        (PORTAL.replace(b"AuditData", b"auditdata "), CSV_EXPORT),
        (PORTAL.replace(b"\r\n", b"\n"), CSV_EXPORT),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, b"\xef\xbb\xbf".__add__, lambda x: x.decode().encode("utf-16")])
def test_format_is_told_by_content(content: bytes, expected: str, pack: Any) -> None:
    packed = pack(content)
    assert format_of([packed]) == expected
    good = [record for record in read(packed) if isinstance(record, dict)]
    assert good == RECORDS[: len(good)]
    assert len(good) == content.replace(b'""', b'"').count(b'"Id": "0')


def test_bad_lines_stay_in_place() -> None:
    found = read(LINES + b'{"Id": "cut\n5\n' + LINES)
    assert [type(record) for record in found] == [dict] * 5 + [BadRecord] * 2 + [dict] * 5


def test_records_larger_than_what_is_looked_at_are_read() -> None:
    large = [fakes.record(number, EventData="x" * 2 * HEAD_BYTES) for number in range(3)]
    assert read(b"".join(json.dumps(record).encode() + b"\n" for record in large), 10_000) == large


@pytest.mark.parametrize("content", [b"hello", b"<html></html>", b"a,b\n1,2\n", b"PK\x03\x04", b'"AuditLog",x\n'])
def test_other_content_is_refused_with_its_bytes(content: bytes) -> None:
    with pytest.raises(ContentUndecodable, match="neither JSON nor the CSV export") as caught:
        read(content)
    assert caught.value.body == content


def test_broken_array_gives_what_comes_before() -> None:
    content = json.dumps([fakes.record(n, Padding="x" * 1000) for n in range(3000)]).encode()[:-700]
    found, refusal = read_until_refused(content)
    assert len(found) > 1000
    assert refusal.body.endswith(content[-100:])


# --- gzip, UTF-16, lines ---------------------------------------------------------------------------------------------


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.integers(1, 50),
    st.integers(0, 3).map(bytes),
)
def test_gzip_of_several_members_is_read_in_any_pieces(members: list[bytes], block: int, padding: bytes) -> None:
    packed = b"".join(map(gzip.compress, members)) + padding
    damage = Damage()
    blocks = [packed[at : at + block] for at in range(0, len(packed), block)]
    assert b"".join(decompressed(blocks, damage)) == b"".join(members)
    assert damage.reason == ""


def test_highly_compressed_bytes_come_in_bounded_pieces() -> None:
    packed = gzip.compress(b"\0" * 50_000_000)
    assert max(map(len, decompressed([packed], Damage()))) <= READ_BYTES


def test_gzip_without_its_trailer_still_gives_all_bytes() -> None:
    content = b"\n" * (READ_BYTES + 1)  # one byte stays inside zlib when the input is used up
    damage = Damage()
    assert b"".join(decompressed([gzip.compress(content)[:-8]], damage)) == content
    assert damage.reason == "damaged gzip: the file ends early"


@pytest.mark.parametrize("kept", [2, 15, -40, -4, -1])
def test_cut_gzip_gives_all_whole_records_before_it_is_refused(kept: int) -> None:
    packed = gzip.compress(b"".join(json.dumps(record).encode() + b"\n" for record in fakes.records(1, 500)))
    found, refusal = read_until_refused(packed[:kept])
    assert str(refusal) == "damaged gzip: the file ends early"
    good = [record for record in found if isinstance(record, dict)]
    assert good == fakes.records(1, len(good))
    assert len(good) > 450 or kept > 0
    assert len(found) - len(good) <= 1


def test_damaged_gzip_carries_the_bytes_it_could_not_use() -> None:
    packed = gzip.compress(LINES) + b"no gzip"
    with pytest.raises(ContentUndecodable, match="damaged gzip") as caught:
        read(packed, 10_000)
    assert caught.value.body == b"no gzip"


@given(st.text('aé\n€\U0001f600{"', max_size=50), st.sampled_from(["utf-8-sig", "utf-16"]), st.integers(1, 7))
def test_text_with_a_mark_is_read_as_utf_8_in_any_pieces(text: str, encoding: str, block: int) -> None:
    encoded = text.encode(encoding)
    blocks = [encoded[at : at + block] for at in range(0, len(encoded), block)]
    assert b"".join(in_utf8(blocks)).decode() == text


@given(
    st.lists(st.binary(max_size=20).map(lambda x: x.replace(b"\n", b"").rstrip(b"\r"))),
    st.integers(1, 7),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_lines_are_the_same_in_any_pieces(lines: list[bytes], block: int, end: bytes) -> None:
    content = b"".join(line + end for line in lines)
    assert list(lines_of(content[at : at + block] for at in range(0, len(content), block))) == lines


def test_endless_line_is_cut_into_pieces_without_loss() -> None:
    pieces = list(lines_of([b"x" * 300] * 10, max_bytes=1000))
    assert b"".join(pieces) == b"x" * 3000
    assert max(map(len, pieces)) < 1000 + 300


# --- CSV export ------------------------------------------------------------------------------------------------------

FIELD = st.text('a ,;"\n{}', max_size=8).map(lambda text: text.replace("\r", ""))


@given(
    st.lists(st.tuples(FIELD, st.dictionaries(st.text('k"', max_size=3), FIELD, max_size=3), FIELD)),
    st.sampled_from([",", ";", "\t"]),
)
def test_every_record_of_an_export_is_found(rows: list[tuple[str, dict[str, str], str]], delimiter: str) -> None:
    content = export([[left, json.dumps(record), right] for left, record, right in rows], "Left,AuditData,Right", delimiter)
    assert [json.loads(line) for line in records_of_export(lines_of([content]))] == [record for _, record, _ in rows]


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("a,,b", b"a,,b"),
        ("a", b"a"),
        ('a,"{""Id"": ""1"", ""Operat",b', b'a,"{""Id"": ""1"", ""Operat",b'),
        ("a,text,b", b"a,text,b"),
        ("a,[1],b", b"a,[1],b"),
        ('"a\nb","{""Id"": ""1""",c', b'"a b","{""Id"": ""1""",c'),
    ],
)
def test_row_without_a_whole_record_is_kept_as_bad_record(row: str, shown: bytes) -> None:
    good = export([["a", json.dumps(RECORDS[0]), "b"]], "UserIds,AuditData,Operations")
    content = good + row.encode() + b"\r\n" + good.splitlines()[1]
    assert [type(record) for record in read(content)] == [dict, BadRecord, dict]
    assert list(records_of_export(lines_of([content])))[1] == shown


def test_row_that_was_cut_does_not_swallow_those_that_follow() -> None:
    header, *rows = export([["a", json.dumps(x)] for x in RECORDS], "UserIds,AuditData").splitlines()
    cut = rows[0][: len(rows[0]) // 2]
    assert cut.count(b'"') % 2
    found = read(b"\r\n".join([header, rows[0], cut, *rows[1:3], cut, *rows[3:]]))
    assert [type(record) for record in found] == [dict, BadRecord, dict, dict, BadRecord, dict, dict]
    assert [record for record in found if isinstance(record, dict)] == RECORDS


def test_search_for_the_end_of_a_quote_is_bounded() -> None:
    header, row = export([["a", json.dumps(RECORDS[0])]], "UserIds,AuditData").splitlines()
    taken: list[bytes] = []
    lines = (taken.append(line) or line for line in [header, b'"open', *[row] * 50])  # type: ignore[func-returns-value]
    found = records_of_export(lines, max_row_bytes=500)
    assert next(found) == b'"open'
    assert len(taken) < 10
    assert [json.loads(line) for line in found] == [RECORDS[0]] * 50


def test_record_larger_than_the_csv_modules_limit_is_read() -> None:
    record = fakes.record(1, EventData='"' * 300_000)
    assert read(export([[json.dumps(record)]], "AuditData"), 65536) == [record]


def test_joined_exports_are_read_as_one() -> None:
    assert read(PORTAL + PORTAL) == RECORDS * 2


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
    with pytest.raises(ContentUndecodable, match=r"a\.json: neither JSON nor") as caught:
        list(files.fetch(listed(files)[0]))
    assert caught.value.body == b"<html>"


# --- check -----------------------------------------------------------------------------------------------------------


def findings(folder: Path, *paths: str) -> list[tuple[str, str]]:
    found = list(source(folder, *paths).check())
    assert all(isinstance(finding, Finding) and (finding.action or finding.level == "ok") for finding in found)
    return [(finding.level, finding.message) for finding in found]


def test_check_counts_files_and_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.json").write_bytes(LINES)
    (tmp_path / "good" / "b.csv.gz").write_bytes(gzip.compress(PORTAL))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.txt").write_bytes(b"hello")
    (tmp_path / "bad" / "b.gz").write_bytes(gzip.compress(LINES)[:-9])
    assert findings(tmp_path, "good", "good/a.json", "*.json", "none", "bad") == [
        ("ok", "2 files"),
        ("ok", "1 file"),
        ("warning", "there are no files yet"),
        ("error", f"{tmp_path}/none: there is no such file or folder"),
        ("error", "neither JSON nor the CSV export of an audit search (a column AuditData)"),
        ("error", "damaged gzip: the file ends early"),
    ]
