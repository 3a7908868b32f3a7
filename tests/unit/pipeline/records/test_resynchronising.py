"""Behind a broken record the next one is found: one byte costs at most the records that it touches, in blobs too."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import record
from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces, unpacked_pieces
from ualpipe.pipeline.records.cutting import chunks_of_array, entries_of, mended
from ualpipe.pipeline.records.decoding import BadRecord

MIB = 1 << 20
RECORDS = [
    record(
        number,
        ExtendedProperties=[{"Name": "a", "Value": '{"x": [1]}'}, {"Name": "b", "Value": "}, {"}],
        Actor=[{"ID": "x", "Type": 1}, {"ID": "y", "Type": 2}],
    )
    for number in range(50)
]
LAYOUTS: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 1}]


def settled(data: bytes, chunk: int) -> tuple[list[Any], list[ContentUndecodable]]:
    """Returns what stands in a body, and what is left of it, as the engine stores it."""
    found: list[Any] = []
    left: list[ContentUndecodable] = []
    try:
        for one in chunks_of_array((data[at : at + 700] for at in range(0, len(data), 700)), max_bytes=chunk):
            for part in whole(one, left):
                found += part.records
    except ContentUndecodable as exc:
        left.append(exc)
    return found, left


def whole(chunk: Chunk, left: list[ContentUndecodable]) -> list[Chunk]:
    try:
        if chunk.framing == "pieces" or not any(isinstance(one, BadRecord) for one in chunk.records):
            return [chunk]
    except ContentUndecodable:
        pass
    chunks, error = mended(chunk)
    left += [error] if error else []
    return chunks


@settings(max_examples=300, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    place=st.integers(0, 100_000),
    how=st.sampled_from(["change", "remove", "add"]),
    byte=st.sampled_from(list(b'"{}[],:\\x1 \n\xff\x00')),
    chunk=st.sampled_from([3000, MIB]),
)
def test_one_byte_of_fifty_records_costs_at_most_those_it_touches(
    layout: dict[str, Any], place: int, how: str, byte: int, chunk: int
) -> None:
    data = json.dumps(RECORDS, **layout).encode()
    at = place % len(data)
    new = {"change": [byte], "remove": [], "add": [byte, data[at]]}[how]
    found, left = settled(data[:at] + bytes(new) + data[at + 1 :], chunk)
    lost = [number for number, one in enumerate(RECORDS) if one not in found]
    assert len(lost) <= 1 or (len(lost) == 2 and lost[1] == lost[0] + 1)
    assert len(left) <= 1


@pytest.mark.parametrize("chunk", [3000, MIB])
@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("bad", [20, 0, 49])
def test_a_record_cut_in_half_is_one_piece_with_its_bytes_and_its_position(bad: int, cut: float, chunk: int) -> None:
    texts = [json.dumps(one).encode() for one in RECORDS]
    texts[bad] = texts[bad][: int(len(texts[bad]) * cut)]
    data = b"[" + b", ".join(texts) + b"]"
    found, left = settled(data, chunk)
    assert [one for one in found if isinstance(one, dict)] == [*RECORDS[:bad], *RECORDS[bad + 1 :]]
    reasons = [one.reason for one in found if isinstance(one, BadRecord)] + [str(one) for one in left]
    assert len(reasons) == 1
    assert f"at byte {data.index(texts[bad]):,}" in reasons[0]
    assert not left or left[0].body.startswith(texts[bad])


def test_the_bytes_of_a_broken_piece_are_kept_as_received() -> None:
    (chunk,), error = mended(Chunk(b'[{"Id": "a"},\n {"Id": "b" oops} , {"Id": "c"}]', "array", 100))
    assert error is None
    assert [chunk.raw(at) for at in range(3)] == [b'{"Id": "a"}', b'{"Id": "b" oops}', b'{"Id": "c"}']
    assert chunk.records[1].reason.endswith("at byte 115")  # type: ignore[union-attr]


@given(
    st.lists(
        st.builds(Piece, st.binary(max_size=30), st.text(max_size=5), st.dictionaries(st.text(max_size=3), st.text(max_size=3)))
    )
)
def test_pieces_come_out_as_they_were_put_in(pieces: list[Piece]) -> None:
    assert list(unpacked_pieces(packed_pieces(pieces))) == pieces


HOSTILE = {
    "string_without_an_end": (b'[{"Id":"', b"x"),
    "key_without_an_end": (b'[{"', b"x"),
    "escapes": (b'[{"Id":"', b"\\n"),
    "lists": (b'[{"a":[', b"[],"),
    "numbers": (b'[{"a":[', b"1,"),
    "elements": (b"[", b"1,"),
    "quotes": (b"[", b'"'),
    "brackets": (b"", b"["),
    "commas": (b"[", b","),
    "blanks": (b"[", b" "),
}


@pytest.mark.parametrize(("begin", "again"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_unpacks_to_33_mib_takes_a_small_multiple_of_a_record(begin: bytes, again: bytes) -> None:
    block = again * (64 * 1024)

    def body() -> Iterator[bytes]:
        yield begin
        for _block in range(33 * MIB // len(block)):
            yield block

    tracemalloc.start()
    try:
        for chunk in chunks_of_array(body()):
            for part in whole(chunk, []):
                for _record in part.stream():
                    pass
    except ContentUndecodable:
        pass
    finally:
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100 * MIB


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbf[{"a": 1}]', [{"a": 1}]),
        (rb'[{"a": "\ud800"}, {"a": NaN}]', [{"a": "?"}, {"a": None}]),
        (b'[{"a": %s}]' % (b"9" * 5000), [{"a": None}]),
        (b"[]", []),
    ],
)
def test_listings_are_read_as_leniently_as_records(body: bytes, expected: list[Any]) -> None:
    assert entries_of(body) == expected


@pytest.mark.parametrize(
    "bad", [b'{"contentId": "\xff"}', b'{"contentId" "x"}', b'{"contentId": %s1%s}' % (b"[" * 5000, b"]" * 5000)]
)
def test_a_bad_entry_of_a_listing_costs_itself(bad: bytes) -> None:
    found = entries_of(b'[{"contentId": "a"}, %s, {"contentId": "c"}]' % bad)
    assert [one for one in found if isinstance(one, dict)] == [{"contentId": "a"}, {"contentId": "c"}]
    assert len(found) == 3


def test_a_listing_that_ends_early_is_no_listing() -> None:
    with pytest.raises(ContentUndecodable):
        entries_of(b'[{"contentId": "a"}, {"cont')


@pytest.mark.parametrize("bad", [b"42", b'{"Id": 2, "UserId": "caf\xe9"}', b'{"Id": 2, "x: 1}'])
@pytest.mark.parametrize("blanks", [b"", b" \n\t"])
def test_a_mended_array_counts_as_many_bytes_as_were_received(bad: bytes, blanks: bytes) -> None:
    first, last = (json.dumps(one).encode() for one in RECORDS[:2])
    body = b"[%s" % blanks + b", ".join([first, bad, last]) + b"]" + blanks
    chunks, error = mended(Chunk(body, "array"))
    assert error is None
    assert sum(chunk.received for chunk in chunks) == len(body)
