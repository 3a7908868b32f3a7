"""Files of any kind: records and what stands in the place of those that can't be read, or a refusal that says what it is."""

from __future__ import annotations

import bz2
import contextlib
import io
import json
import lzma
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import odd_records
from fuzz.odd_bytes import acting, anything, arrays, gzipped, objects, pieces, spoilt
from fuzz.targets import reads
from ualpipe.pipeline.commands._cases import read_cases
from ualpipe.pipeline.commands._tables import shown
from ualpipe.pipeline.errors import ConfigError, ContentRefused
from ualpipe.pipeline.reading.csv_export import layout_of, pieces_of_export
from ualpipe.pipeline.reading.envelopes import known_envelopes
from ualpipe.pipeline.reading.reader import chunks_of, first_defect
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.sources.files.walk import files_at, told

MARKS = st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"])
DELIMITERS = st.sampled_from([b",", b";", b"\t", b"|"])


def _pretty(line: bytes) -> bytes:
    with contextlib.suppress(ValueError, RecursionError):
        return json.dumps(json.loads(line), indent=2).encode()
    return line


def lines() -> st.SearchStrategy[bytes]:
    return st.lists(odd_records.lines(), max_size=6).map(b"\n".join)


def joined() -> st.SearchStrategy[bytes]:
    """Makes exports that were joined: each may begin with a byte order mark, and be laid out in its own way."""
    one = st.builds(lambda mark, body: mark + body, MARKS, lines() | arrays() | odd_records.lines().map(_pretty))
    return st.lists(one, min_size=1, max_size=3).map(b"\n".join)


def _row(cells: list[bytes], delimiter: bytes) -> bytes:
    return delimiter.join(b'"' + cell.replace(b'"', b'""') + b'"' for cell in cells)


def exports() -> st.SearchStrategy[bytes]:
    """Makes CSV exports with a column of records."""
    header = st.sampled_from([[b"CreationDate", b"UserIds", b"AuditData"], [b"AuditData"], [b"RecordId", b"RawEventData", b"x"]])
    rows = st.lists(st.lists(odd_records.lines() | st.binary(max_size=10), min_size=1, max_size=4), max_size=4)

    def export(names: list[bytes], found: list[list[bytes]], delimiter: bytes, end: bytes) -> bytes:
        return end.join(_row(cells, delimiter) for cells in [names, *found])

    return st.builds(export, header, rows, DELIMITERS, st.sampled_from([b"\n", b"\r\n", b"\r"]))


def _zipped(body: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", body)
    return file.getvalue()


def in_utf16(body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode("utf-16")


def files() -> st.SearchStrategy[bytes]:
    plain = spoilt(joined() | exports() | arrays() | objects("value", "records", "AuditData", "Id")) | anything()
    ways = st.sampled_from([bytes, bytes, bytes, gzipped, bz2.compress, lzma.compress, _zipped, in_utf16])
    return spoilt(st.builds(lambda body, pack: pack(body), plain, ways))


@reads("ualpipe.pipeline.reading.reader:chunks_of", "ualpipe.pipeline.reading.envelopes:Envelopes.pieces")
@given(files(), st.sampled_from([1, 50, 4096]))
def test_a_file_is_records_and_defects_or_says_what_it_is(body: bytes, size: int) -> None:
    with contextlib.suppress(ContentRefused):
        for chunk in chunks_of(pieces(body, size), known_envelopes()):
            assert all(record is not None for record in chunk.records)
    assert len(first_defect(pieces(body, size), known_envelopes())) < 3000


@reads("ualpipe.pipeline.reading.csv_export:pieces_of_export", "ualpipe.pipeline.reading.envelopes:Envelopes.pieces")
@given(spoilt(exports()))
def test_each_row_of_an_export_is_a_record_or_has_its_defect(body: bytes) -> None:
    rows = body.split(b"\n")
    if layout_of(iter(rows), known_envelopes()) is None:
        return
    for piece in pieces_of_export(iter(rows), known_envelopes(), max_row_bytes=500):
        assert piece.defect or isinstance(read_strictly(piece.body) if _is_strict(piece.body) else {}, dict)


def _is_strict(body: bytes) -> bool:
    try:
        read_strictly(body)
    except UnreadableJson:
        return False
    return True


@reads("ualpipe.pipeline.commands._cases:read_cases")
@given(body=spoilt(objects("record", "document", "fields", "name", "x") | arrays()) | anything())
def test_a_file_of_cases_is_cases_or_an_error_of_the_config(tmp_path_factory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "cases.json"
    path.write_bytes(body)
    with contextlib.suppress(ConfigError):
        assert read_cases(path).cases


@reads("ualpipe.pipeline.commands._tables:shown")
@given(spoilt(arrays()) | anything())
def test_a_value_is_shown_without_what_a_terminal_acts_on(body: bytes) -> None:
    assert not acting(shown(body.decode("utf-8", "replace")))


@reads("ualpipe.sources.files.walk:files_at")
@given(st.text(max_size=20) | st.sampled_from(["**", "[", "[!", "***/x", "a\x00b", "\udcff", "x" * 5000, "../*", "~", "?" * 50]))
def test_any_name_leads_to_files_or_an_error_of_the_system(name: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        found = files_at(Path("/nonexistent") / name.lstrip("/"))
        assert isinstance(told(found.left_out.items(), found.uncounted), str)
