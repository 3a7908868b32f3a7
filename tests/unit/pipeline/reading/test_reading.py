"""Whatever holds audit records is read alike: layouts, marks, encodings, compression, envelopes, exports of all vintages."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from ualpipe.pipeline.errors import ContentRefused
from ualpipe.pipeline.reading import chunks_of, first_defect, known_envelopes, pieces_of
from ualpipe.pipeline.reading.blocks import READ_BYTES
from ualpipe.pipeline.reading.encoding import in_utf8
from ualpipe.pipeline.reading.unpacking import Damage, gunzipped, unpacked
from ualpipe.pipeline.records.chunk import Piece
from ualpipe.pipeline.records.decoding import BadRecord, decode_line

RECORDS = fakes.records(1, 5)
KNOWN = known_envelopes()


def blocks(content: bytes, size: int = 100) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def pieces(content: bytes, size: int = 100, *, is_patient: bool = True) -> list[Piece]:
    return [piece for some in pieces_of(blocks(content, size), KNOWN, is_patient=is_patient) for piece in some]


def read(content: bytes, size: int = 100) -> list[Any]:
    """Returns the records, as ``files`` and as ``map`` understand the same content."""
    found = pieces(content, size)
    assert pieces(content, size, is_patient=False) == found
    chunked = [record for chunk in chunks_of(blocks(content, size), KNOWN) for record in chunk.records]
    records = [BadRecord(piece.defect, piece.facts) if piece.defect else decode_line(piece.body) for piece in found]
    assert chunked == records
    return records


def refusal(content: bytes) -> str:
    with pytest.raises(ContentRefused) as caught:
        read(content)
    return str(caught.value)


def only_defect(content: bytes) -> BadRecord:
    (bad,) = [one for one in read(content) if isinstance(one, BadRecord)]
    return bad


def text(value: Any, **layout: Any) -> bytes:
    return json.dumps(value, **layout).encode()


def lines(found: list[Any]) -> bytes:
    return b"".join(text(one) + b"\n" for one in found)


def export(rows: list[list[str]], header: str, delimiter: str = ",", end: str = "\r\n") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return out.getvalue().encode()


PORTAL_HEADER = "RecordId,CreationDate,RecordType,Operation,UserId,AuditData,AssociatedAdminUnits,AssociatedAdminUnitsNames"


def portal(cells: list[str], delimiter: str = ",") -> bytes:
    rows = [
        [one["Id"], "2026-11-20T08:00:00.0000000Z", "15", "op", "a@b", cell, "", ""]
        for one, cell in zip(RECORDS, cells, strict=False)
    ]
    return export(rows, PORTAL_HEADER, delimiter)


CELLS = [json.dumps(one) for one in RECORDS]
PORTAL = portal(CELLS)
POWERSHELL = b"#TYPE Selected.System.Management.Automation.PSCustomObject\r\n" + export(
    [["9/20/2023 4:05:03 AM", "a", "SharePoint", cell] for cell in CELLS], "CreationDate,UserIds,RecordType,AuditData"
)

# --- layouts ---------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "lines": lines(RECORDS),
    "lines_crlf_and_blank": b"\r\n \r\n" + lines(RECORDS).replace(b"\n", b"\r\n\r\n"),
    "array": text(RECORDS),
    "array_pretty": text(RECORDS, indent=2),
    "array_tabs": text(RECORDS, indent="\t").replace(b"\n", b"\r\n"),
    "array_a_record_a_line": b"[\n" + b",\n".join(map(text, RECORDS)) + b"\n]\n",
    "commas_first": b"[ " + b"\n, ".join(map(text, RECORDS)) + b"\n]",
    "trailing_comma": b"[" + b",".join(map(text, RECORDS)) + b",]",
    "lines_with_commas": b"".join(text(one) + b",\n" for one in RECORDS),
    "glued": b"".join(map(text, RECORDS)),
    "glued_with_blanks": b"  ".join(map(text, RECORDS)),
    "pretty_objects": b"\n\n".join(text(one, indent=4) for one in RECORDS),
    "pretty_glued": b"".join(text(one, indent=1) for one in RECORDS),
    "arrays_a_line": text(RECORDS[:2]) + b"\n" + text(RECORDS[2:]) + b"\n",
    "arrays_glued": text(RECORDS[:3], indent=1) + text(RECORDS[3:]),
    "arrays_with_comma": text(RECORDS[:3]) + b",\n" + text(RECORDS[3:]),
    "array_of_arrays": text([RECORDS[:2], RECORDS[2:]]),
    "array_without_its_end": text(RECORDS)[:-1],
    "mixed": text(RECORDS[:2]) + lines(RECORDS[2:4]) + text(RECORDS[4], indent=2),
    "record_separators": b"".join(b"\x1e" + text(one) + b"\n" for one in RECORDS),
    "texts_of_records": text([json.dumps(one) for one in RECORDS]),
    "empty_arrays_between": b"[]" + text(RECORDS) + b"\n[]\n",
    "portal": PORTAL,
    "powershell": POWERSHELL,
    "old_portal": export([["2019", "a", "b", cell] for cell in CELLS], "CreationDate,UserIds,Operations,AuditData"),
    "excel": b"sep=;\n" + export([[cell, "1"] for cell in CELLS], "AuditData,Index", delimiter=";", end="\n"),
    "tabs": portal(CELLS, "\t"),
    "pipes": portal(CELLS, "|"),
    "case_and_blanks": PORTAL.replace(b"AuditData", b"auditdata "),
    "no_header": PORTAL.split(b"\r\n", 1)[1],
    "title_before_the_header": b"Audit log search\r\n\r\n" + PORTAL,
    "hunting": export([["t", "a", cell] for cell in CELLS], "Timestamp,ActionType,RawEventData"),
    "joined_exports": portal(CELLS[:2]) + export([[cell, "x"] for cell in CELLS[2:]], "AuditData,More"),
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("size", [7, 100, 100_000])
def test_any_layout_is_read(content: bytes, size: int) -> None:
    assert read(content, size) == RECORDS or [one["Id"] for one in read(content, size)] == [one["Id"] for one in RECORDS]


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip_twice": lambda content: gzip.compress(gzip.compress(content)),
    "mark": codecs.BOM_UTF8.__add__,
    "utf16": lambda content: content.decode().encode("utf-16"),
    "utf16be": lambda content: codecs.BOM_UTF16_BE + content.decode().encode("utf-16-be"),
    "utf16le_without_mark": lambda content: content.decode().encode("utf-16-le"),
    "utf16be_without_mark": lambda content: content.decode().encode("utf-16-be"),
    "utf32": lambda content: content.decode().encode("utf-32"),
    "utf32le_without_mark": lambda content: content.decode().encode("utf-32-le"),
    "utf32be_without_mark": lambda content: content.decode().encode("utf-32-be"),
}


@pytest.mark.parametrize("layout", ["lines", "array_pretty", "glued", "portal"])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
@pytest.mark.parametrize("size", [9, 100_000])
def test_any_packing_is_undone(layout: str, pack: Callable[[bytes], bytes], size: int) -> None:
    assert read(pack(LAYOUTS[layout]), size) == RECORDS


@pytest.mark.parametrize("head", [b"\0\n\0", b"x\0\n\0"])
def test_stray_zeros_before_the_first_record_are_no_utf_16(head: bytes) -> None:
    assert [one for one in read(head + lines(RECORDS), 300) if isinstance(one, dict)][-2:] == RECORDS[-2:]


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
@pytest.mark.parametrize("layout", ["lines", "array", "portal"])
@pytest.mark.parametrize(
    "encodings", [("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-8", "utf-16"), ("utf-16", "utf-8-sig")]
)
def test_joined_files_with_marks_are_read(layout: str, encodings: tuple[str, str], mark: bytes) -> None:
    content = LAYOUTS[layout].decode()
    assert read(b"".join(content.encode(encoding) for encoding in encodings)) == RECORDS * 2
    assert read(mark + LAYOUTS[layout] + mark + b"\n" + mark + LAYOUTS[layout]) == RECORDS * 2


@pytest.mark.parametrize("layout", [lines, text])
def test_windows_text_is_read_as_such_and_damaged_utf_8_is_not(layout: Callable[[list[Any]], bytes]) -> None:
    umlauts = [fakes.record(1, ObjectId="Gr\xfc\xdfe \u2013 100 €"), fakes.record(2)]
    content = (
        json.dumps(umlauts, ensure_ascii=False)
        if layout is text
        else "\n".join(json.dumps(one, ensure_ascii=False) for one in umlauts)
    )
    assert read(content.encode("cp1252")) == umlauts
    damaged = lines([fakes.record(1)]) + b'{"Id": "caf\xe9 \xc3\xa9", "CreationTime": "x"}\n' + lines([fakes.record(2)])
    assert [type(one) for one in read(damaged)] == [dict, BadRecord, dict]


@settings(max_examples=100)
@given(st.text('aé\n€\U0001f600{"', max_size=50), st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]), st.integers(1, 7))
def test_text_with_a_mark_is_read_as_utf_8_in_any_pieces(content: str, encoding: str, block: int) -> None:
    assert b"".join(in_utf8(blocks(content.encode(encoding), block))).decode() == content


# --- compression -----------------------------------------------------------------------------------------------------


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("size", [1, 33, 100_000])
def test_each_file_of_an_archive_is_read_by_itself(method: int, size: int) -> None:
    files = {"folder/": b"", "a.json": text(RECORDS), "b.csv": PORTAL, "c.jsonl.gz": gzip.compress(lines(RECORDS))}
    assert read(zipped(files, method), size) == RECORDS * 3


def test_archive_that_was_written_to_a_pipe_is_read() -> None:
    out = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return out.write(data)

    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a.json", text(RECORDS))
        archive.writestr("b.json", lines(RECORDS))
    assert read(out.getvalue()) == RECORDS * 2


def test_what_can_not_be_read_of_an_archive_is_named_and_costs_no_other_file() -> None:
    found = read(zipped({"notes.txt": b"hello\n" * 9, "a.json": text(RECORDS), "b.pdf": b"%PDF-1.4"}))
    assert [one for one in found if isinstance(one, dict)] == RECORDS
    reasons = [one.reason for one in found if isinstance(one, BadRecord)]
    assert [reason.split(": ")[0] for reason in reasons] == ["notes.txt", "b.pdf"] or len(reasons) == 10


def test_archive_with_a_password_is_refused_by_name() -> None:
    content = bytearray(zipped({"a.json": text(RECORDS)}))
    content[6] |= 1
    assert "encrypted" in refusal(bytes(content))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 3).map(bytes))
def test_gzip_of_several_members_is_read_in_any_pieces(members: list[bytes], block: int, padding: bytes) -> None:
    packed = b"".join(map(gzip.compress, members)) + padding
    damage = Damage()
    assert b"".join(gunzipped(blocks(packed, block), damage)) == b"".join(members)
    assert damage.reason == ""


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_highly_compressed_bytes_come_in_bounded_pieces(pack: Callable[[bytes], bytes]) -> None:
    (member,) = unpacked([pack(b"\0" * 20_000_000)])
    sizes = [len(block) for block in member.blocks]
    assert (max(sizes) <= READ_BYTES, sum(sizes)) == (True, 20_000_000)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_cut_compressed_text_gives_what_comes_before_and_is_then_refused(pack: Callable[[bytes], bytes]) -> None:
    many = fakes.records(1, 3000)
    packed = pack(lines(many))
    found: list[Any] = []
    with pytest.raises(ContentRefused, match="the file ends early"):
        found.extend(record for chunk in chunks_of([packed[:-40]], KNOWN) for record in chunk.records)
    good = [one for one in found if isinstance(one, dict)]
    assert good == many[: len(good)]
    assert len(found) - len(good) <= 1


def test_damaged_gzip_carries_the_bytes_it_could_not_use() -> None:
    with pytest.raises(ContentRefused, match="damaged gzip") as caught:
        read(gzip.compress(lines(RECORDS)) + b"no gzip", 10_000)
    assert caught.value.body == b"no gzip"


# --- envelopes -------------------------------------------------------------------------------------------------------


def graph(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": one["Id"],
        "createdDateTime": one["CreationTime"],
        "operation": "x",
        "administrativeUnits": [""],
        "auditData": one,
    }


def search(one: dict[str, Any], data: Any) -> dict[str, Any]:
    return {
        "RecordType": "SharePoint",
        "CreationDate": "/Date(1795162001000)/",
        "UserIds": "sana@contoso.com",
        "Operations": "FileAccessed",
        "AuditData": data,
        "Identity": one["Id"],
    }


def page(found: list[Any]) -> dict[str, Any]:
    return {"@odata.context": "https://x/$metadata", "@odata.count": len(found), "value": found}


ENVELOPES: dict[str, Any] = {
    "graph": [graph(one) for one in RECORDS],
    "graph_page": page([graph(one) for one in RECORDS]),
    "graph_page_with_next": page([graph(one) for one in RECORDS]) | {"@odata.nextLink": "https://x/"},
    "graph_pages": [page([graph(one)]) for one in RECORDS],
    "search_text": [search(one, json.dumps(one)) for one in RECORDS],
    "search_object": [search(one, one) for one in RECORDS],
    "search_text_of_text": [search(one, json.dumps(json.dumps(one))) for one in RECORDS],
    "powershell_5": {"value": [search(one, json.dumps(one)) for one in RECORDS], "Count": 5},
    "event_hub": {"records": [{"time": "x", "properties": {"ActionType": "x", "RawEventData": one}} for one in RECORDS]},
    "hunting": {"Schema": [{"Name": "a"}], "Results": [{"Timestamp": "x", "RawEventData": json.dumps(one)} for one in RECORDS]},
    "elastic": [{"_index": "x", "_source": {"event": {"original": json.dumps(one)}, "message": "m"}} for one in RECORDS],
    "elastic_answer": {
        "took": 1,
        "hits": {"total": {"value": 5}, "hits": [{"_source": {"message": json.dumps(one)}} for one in RECORDS]},
    },
    "wazuh": [{"rule": {"id": "91533"}, "data": {"integration": "office365", "office365": one}} for one in RECORDS],
    "wazuh_index": [{"_source": {"data": {"office365": one}}} for one in RECORDS],
    "splunk": [{"preview": False, "result": {"_raw": json.dumps(one), "host": "x"}} for one in RECORDS],
    "splunk_hec": [{"time": 1, "sourcetype": "o365:management:activity", "event": one} for one in RECORDS],
    "cribl": [{"_raw": json.dumps(one), "source": "x"} for one in RECORDS],
    "old_odata": {"d": {"results": RECORDS}},
    "empty_page_first": [{"value": []}, *RECORDS],
}


@pytest.mark.parametrize("value", ENVELOPES.values(), ids=ENVELOPES.keys())
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [50, 100_000])
def test_records_are_taken_out_of_their_envelopes(value: Any, indent: int | None, size: int) -> None:
    assert read(text(value, indent=indent), size) == RECORDS
    assert read(b"".join(text(one, indent=indent) for one in [value, value]), size) == RECORDS * 2
    if isinstance(value, list):
        assert read(lines(value), size) == RECORDS


def test_page_that_is_larger_than_memory_should_be_is_read_as_it_comes() -> None:
    one = graph(fakes.record(1, ObjectId="x" * 10_000))
    parts = [b'{"@odata.context":"x","value":[', *[text(one) + b","] * 3000, text(one), b'],"@odata.count":3001}']
    found = [len(some) for some in pieces_of(parts, KNOWN)]
    assert (sum(found), max(found) < 100) == (3001, True)


def test_broken_record_in_a_page_costs_no_other() -> None:
    content = text(page([graph(one) for one in RECORDS]))
    at = content.index(RECORDS[2]["Id"].encode())
    found = read(content[:at] + b'"' + content[at:])
    assert [one for one in found if isinstance(one, dict)] == RECORDS, "the record inside of what is broken is whole"
    assert sum(isinstance(one, BadRecord) for one in found) == 1


def test_a_record_with_names_of_envelopes_inside_is_one_record() -> None:
    odd = fakes.record(1, value=[{"Id": "x"}], data={"Id": "y", "Operation": "z"}, event={"original": "{}"}, AuditData=None)
    assert read(text(odd, indent=1)) == read(text([odd])) == read(lines([odd])) == [odd]


def test_own_paths_are_looked_for() -> None:
    own = KNOWN.with_paths(["payload.audit", "Blob"])
    found = [piece for some in pieces_of([text([{"payload": {"audit": RECORDS}}, {"Blob": CELLS[0]}])], own) for piece in some]
    assert [json.loads(piece.body) for piece in found] == [*RECORDS, RECORDS[0]]
    table = export([["a", cell] for cell in CELLS], "When,Blob")
    assert [json.loads(piece.body) for some in pieces_of([table], own) for piece in some] == RECORDS


# --- exports that somebody saved again -------------------------------------------------------------------------------


def doubled(cell: str) -> str:
    return cell.replace('"', '""')


def in_column_a(content: bytes) -> bytes:
    return b"".join(b'"%s"\r\n' % line.replace(b'"', b'""') for line in content.splitlines())


SAVED_AGAIN = {
    "quoted_twice": portal([doubled(cell) for cell in CELLS]),
    "quoted_three_times": portal([doubled(doubled(cell)) for cell in CELLS]),
    "backslashes": portal([cell.replace('"', '\\"') for cell in CELLS]),
    "column_a": in_column_a(PORTAL),
    "column_a_with_other_cells": b"".join(line + b";;;;\r\n" for line in in_column_a(PORTAL).splitlines()),
    "rows_in_column_a": PORTAL.splitlines()[0] + b"\r\n" + in_column_a(PORTAL.split(b"\r\n", 1)[1]),
    "header_in_column_a": in_column_a(PORTAL.splitlines()[0]) + PORTAL.split(b"\r\n", 1)[1],
    "not_quoted": PORTAL_HEADER.encode() + b"\n" + b"".join(b"r,d,15,op,a@b,%s,,\n" % cell.encode() for cell in CELLS),
}


@pytest.mark.parametrize("content", SAVED_AGAIN.values(), ids=SAVED_AGAIN.keys())
def test_what_a_spreadsheet_did_is_undone(content: bytes) -> None:
    assert read(content) == RECORDS


def test_cut_cell_is_named_with_what_the_row_tells_of_it() -> None:
    long = json.dumps(fakes.record(1, ObjectId="x" * 40_000))
    bad = only_defect(portal([long[:32_767], *CELLS[1:]]))
    assert bad.reason.startswith("AuditData is cut after 32,767 characters, the most that a cell of a spreadsheet holds: ")
    assert bad.reason.endswith("in line 2")
    assert bad.facts == {"Id": RECORDS[0]["Id"], "CreationTime": "2026-11-20T08:00:00"}


def test_cell_cut_elsewhere_is_named_as_cut() -> None:
    assert only_defect(portal([CELLS[0][:200]])).reason.startswith("AuditData is cut after 200 characters: ")


@pytest.mark.parametrize(
    ("cell", "reason"), [("", "AuditData is empty"), ("text", "AuditData is not JSON"), ("[1]", "AuditData holds")]
)
def test_cell_without_a_record_is_named(cell: str, reason: str) -> None:
    assert only_defect(portal([CELLS[0], cell])).reason.startswith(reason)


@pytest.mark.parametrize("layout", [text, lambda value: lines([value]), lambda value: text([value], indent=2)])
def test_text_of_powershell_is_named_with_what_to_do(layout: Callable[[Any], bytes]) -> None:
    cut = search(RECORDS[0], "@{CreationTime=2026-11-20T08:02:04; Id=x; Operation=MailItemsAccessed; RecordType=50}")
    bad = only_defect(layout(cut))
    assert "export again with ConvertTo-Json -Depth 100" in bad.reason
    assert bad.facts == {"Id": RECORDS[0]["Id"], "CreationTime": "2026-11-20T08:06:41"}


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("11/20/2026 8:02:04 AM", "2026-11-20T08:02:04"),
        ("20/11/2026 8:02:04 PM", "2026-11-20T20:02:04"),
        ("2026-11-20T10:02:04+02:00", "2026-11-20T08:02:04"),
        ("02/03/2026 8:02:04 AM", None),
        ("/Date(99999999999999999)/", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("soon", None),
    ],
)
def test_time_of_a_cut_record_is_taken_where_it_can_mean_one_thing_only(written: str, time: str | None) -> None:
    found = only_defect(export([["r", written, '{"Id":"x'], ["s", "", CELLS[0]]], "RecordId,CreationDate,AuditData"))
    assert (found.facts["Id"], found.facts.get("CreationTime")) == ("r", time)


@pytest.mark.parametrize("row", ["a,,b", "a", "a,text,b", "a,[1],b", 'a,"{""Id"": ""1"", ""Operat",b'])
def test_row_without_a_record_stays_in_its_place_and_costs_no_other(row: str) -> None:
    good = export([["a", CELLS[0], "b"]], "UserIds,AuditData,Operations")
    content = good + row.encode() + b"\r\n" + good.splitlines()[1]
    assert [type(record) for record in read(content)] == [dict, BadRecord, dict]


def test_row_that_was_cut_does_not_swallow_those_that_follow() -> None:
    header, *rows = export([["a", cell] for cell in CELLS], "UserIds,AuditData").splitlines()
    cut = rows[0][: len(rows[0]) // 2]
    assert cut.count(b'"') % 2
    found = read(b"\r\n".join([header, rows[0], cut, *rows[1:3], cut, *rows[3:]]))
    assert [record for record in found if isinstance(record, dict)] == RECORDS
    assert len(found) == len(RECORDS) + 2


FIELD = st.text('a ,;"\n{}', max_size=8).map(lambda cell: cell.replace("\r", ""))


@settings(max_examples=60)
@given(st.lists(st.tuples(FIELD, FIELD, FIELD), min_size=1, max_size=5), st.sampled_from([",", ";", "\t"]))
def test_every_record_of_an_export_is_found(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    expected = [fakes.record(at, ObjectId=middle) for at, (_left, middle, _right) in enumerate(rows)]
    cells = [[left, json.dumps(one), right] for one, (left, _middle, right) in zip(expected, rows, strict=True)]
    assert read(export(cells, "Left,AuditData,Right", delimiter), 1000) == expected


# --- what is none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "Excel workbook or another Office file"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\0" + b"\0" * 99, "SQLite"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b'<?xml version="1.0"?><Objs/>', "XML"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 99, "7-Zip"),
        (b"2026-11-20 08:00:00 INFO started\n" * 20, "neither JSON nor an export"),
        (b"[section]\nkey = value\n", "neither JSON nor an export"),
        (b"name,place\na,b\n", "neither JSON nor an export"),
        (b"hello", "it begins with 'hello'"),
        (bytes(range(256)) * 9, "binary data"),
    ],
)
def test_other_content_is_refused_by_name(content: bytes, words: str) -> None:
    with pytest.raises(ContentRefused) as caught:
        pieces(content)
    assert words in str(caught.value)
    assert words in first_defect(blocks(content), KNOWN)
    assert content.startswith(caught.value.body[:50])


@pytest.mark.parametrize("content", [b"", b" \r\n", codecs.BOM_UTF8, b"[]", b"[ ]\n", b'{"value": []}', b'{"records":[]}\n'])
def test_nothing_is_no_record_and_no_defect(content: bytes) -> None:
    assert read(content) == []


@pytest.mark.parametrize("content", [b'{"hello": "world"}', b'[{"a": 1}]', b'{"event": {"action": "x"}, "message": "y"}\n'])
def test_objects_that_are_no_audit_records_are_named(content: bytes) -> None:
    assert "no audit record" in only_defect(content).reason


def test_bad_lines_stay_in_place_with_their_line() -> None:
    found = pieces(lines(RECORDS) + b'{"Id": "cut\n5\nnonsense\n' + lines(RECORDS))
    assert [json.loads(piece.body) for piece in found if not piece.defect] == RECORDS * 2
    bad = [piece for piece in found if piece.defect]
    assert bad[0].line == 6
    assert f"in line 6, at byte {len(lines(RECORDS)):,}" in bad[0].defect


@pytest.mark.parametrize("layout", ["lines", "array", "array_pretty", "glued", "pretty_objects", "arrays_a_line"])
@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["change", "remove", "add"]), st.sampled_from(list(b'"{}[],:\\x1\n')))
def test_one_byte_costs_at_most_the_records_it_touches(layout: str, place: int, how: str, byte: int) -> None:
    content = LAYOUTS[layout]
    at = place % len(content)
    new = {"change": [byte], "remove": [], "add": [byte, content[at]]}[how]
    found = [one for one in read(content[:at] + bytes(new) + content[at + 1 :], 300) if isinstance(one, dict)]
    lost = [number for number, one in enumerate(RECORDS) if one not in found]
    assert len(lost) <= 1 or (len(lost) == 2 and lost[1] == lost[0] + 1)


# The last is longer than the window in which the end of a value is looked for first; one such line takes a second.
@pytest.mark.parametrize(("depth", "times"), [(900, 2), (1100, 2), (2800, 1)])
def test_a_deep_broken_line_hides_no_record_behind_it(depth: int, times: int) -> None:
    deep = b'{"Id": "a", "b": ' + b'{"a":' * depth + b"1" + b"}" * depth + b' "c"}\n'
    found = read(lines(RECORDS[:2]) + deep * times + lines(RECORDS[2:]), 100_000)
    assert [one for one in found if isinstance(one, dict)] == RECORDS
