"""Content blobs and JSON of any kind: records, their defects, or one error with the bytes."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from fuzz.odd_bytes import anything, arrays, gzipped, objects, pieces, spoilt
from fuzz.targets import reads
from ualpipe.pipeline.errors import ContentUndecodable, SourceUnavailable
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import chunks_of_array, entries_of, mended
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json, read_strictly
from ualpipe.sources.management_activity.body import Room, whole_array
from ualpipe.transforms.ecs.conversions.directory import details_agent, json_value
from ualpipe.transforms.ecs.originals.shapes import parse_json

SIZES = st.sampled_from([1, 7, 64, 4096])


@reads("ualpipe.pipeline.records.cutting:chunks_of_array", "ualpipe.pipeline.records.cutting:mended")
@given(spoilt(arrays()) | anything(), SIZES, st.sampled_from([40, 400, 1 << 20]))
def test_a_blob_is_records_and_their_defects_or_one_error(body: bytes, size: int, max_bytes: int) -> None:
    chunks = chunks_of_array(pieces(body, size), max_bytes=max_bytes)
    with contextlib.suppress(ContentUndecodable):
        for chunk in chunks:
            try:
                records = chunk.records
            except ContentUndecodable:
                found, _error = mended(chunk)
                records = [record for one in found for record in one.records]
            assert all(record is not None for record in records)


@reads("ualpipe.pipeline.records.cutting:entries_of", "ualpipe.pipeline.records.cutting:mended")
@given(spoilt(arrays()) | anything())
def test_a_list_is_its_entries_or_one_error(body: bytes) -> None:
    with contextlib.suppress(ContentUndecodable):
        assert isinstance(entries_of(body), list)
    assert all(isinstance(chunk, Chunk) for chunk in mended(Chunk(body, "array"))[0])


@reads("ualpipe.sources.management_activity.body:whole_array")
@given(spoilt(spoilt(arrays()).map(gzipped)) | anything(), SIZES, st.sampled_from(["", "gzip", "identity", "br", "x" * 400]))
def test_a_body_is_pieces_within_its_room_or_one_error(body: bytes, size: int, encoding: str) -> None:
    got = 0
    with contextlib.suppress(SourceUnavailable, ContentUndecodable):
        for piece in whole_array(pieces(body, size), encoding, room=Room(500), what="fetching x"):
            got += len(piece)
    assert got <= 500


@reads("ualpipe.pipeline.records.json_reader:read_json", "ualpipe.pipeline.records.json_reader:read_strictly")
@given(spoilt(arrays() | objects("error", "a")) | anything())
def test_json_is_a_value_or_one_error(body: bytes) -> None:
    for read in (read_json, read_strictly):
        with contextlib.suppress(UnreadableJson):
            read(body)
    with contextlib.suppress(UnreadableJson):
        assert str(read_json(body)), "what is read can be written out at any place"


@reads("ualpipe.transforms.ecs.conversions.directory:json_value", "ualpipe.transforms.ecs.originals.shapes:parse_json")
@given(spoilt(arrays() | objects("User-Agent", "a")) | anything())
def test_json_within_a_record_is_read_or_left_as_text(body: bytes) -> None:
    text = body.decode("utf-8", "surrogateescape")
    assert isinstance(parse_json(text), dict | list | None)
    assert isinstance(json_value(text), str | None)
    assert isinstance(details_agent(text), str | None)
