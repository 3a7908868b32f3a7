from __future__ import annotations

import gzip
import random
import types
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from ualpipe.pipeline.errors import ContentUndecodable, SourceUnavailable
from ualpipe.sources.management_activity.body import PIECE_BYTES, Room, bounded, decoded, whole_array

MIB = 1024 * 1024


def read(parts: list[bytes], encoding: str = "", max_bytes: int = MIB) -> bytes:
    return b"".join(whole_array(parts, encoding, room=Room(max_bytes, "max_blob_size"), what="fetching x"))


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.fixture(params=[zlib, isal_zlib], ids=["zlib", "isal"])
def inflater(request: pytest.FixtureRequest) -> types.ModuleType:
    """Both libraries that may be at work."""
    chosen: types.ModuleType = request.param
    return chosen


def unzip(inflater: types.ModuleType, parts: list[bytes]) -> bytes:
    return b"".join(decoded(parts, "gzip", "fetching x", inflater))


def test_a_plain_body_passes_as_it_is() -> None:
    parts = [b" [{", b'"Id":1', b"}]\r\n"]
    assert read(parts) == b"".join(parts)


@given(records=st.lists(st.integers()), size=st.integers(1, 50), members=st.integers(1, 3))
def test_gzip_comes_out_as_it_went_in_however_it_is_cut(records: list[int], size: int, members: int) -> None:
    body = str(records).encode()
    zipped = b"".join(gzip.compress(part) for part in cut(body, -(-len(body) // members)))
    assert read(cut(zipped, size), "gzip") == body


@pytest.mark.parametrize("beyond", [-9, -8, -1, 0, 1, 2, 7, 8, 257, 258, 259])
def test_gzip_that_ends_near_the_edge_of_a_piece_comes_out_whole(inflater: types.ModuleType, beyond: int) -> None:
    for body in (bytes(2 * PIECE_BYTES + beyond), random.Random(beyond).randbytes(PIECE_BYTES + beyond)):
        for level in (1, 9):
            zipped = gzip.compress(body, level)
            assert unzip(inflater, [zipped]) == body
            assert unzip(inflater, cut(zipped, len(zipped) - 8)) == body


def test_a_small_body_that_unpacks_to_a_huge_one_stays_in_small_pieces_and_is_refused(inflater: types.ModuleType) -> None:
    bomb = gzip.compress(b"[" + bytes(64 * MIB))
    assert len(bomb) < 100_000
    pieces: list[bytes] = []
    with pytest.raises(ContentUndecodable, match=r"larger than 1048576 bytes \(`max_blob_size`\)") as caught:
        pieces.extend(bounded(decoded([bomb], "gzip", "fetching x", inflater), Room(MIB, "max_blob_size"), "fetching x"))
    assert len(pieces) == MIB // PIECE_BYTES
    assert max(map(len, pieces)) == PIECE_BYTES
    assert caught.value.body == b""


@pytest.mark.parametrize("missing", [1, 8, 12])
def test_gzip_that_was_cut_off_is_fetched_again(inflater: types.ModuleType, missing: int) -> None:
    with pytest.raises(SourceUnavailable, match="cut off"):
        unzip(inflater, [gzip.compress(b"[1]")[:-missing]])


def test_damaged_gzip_is_fetched_again(inflater: types.ModuleType) -> None:
    with pytest.raises(SourceUnavailable, match="damaged"):
        unzip(inflater, [b"not gzip at all"])


def test_gzip_with_a_wrong_checksum_is_fetched_again(inflater: types.ModuleType) -> None:
    zipped = bytearray(gzip.compress(b"[1,2,3]"))
    zipped[-8] ^= 1
    with pytest.raises(SourceUnavailable, match="damaged"):
        unzip(inflater, [bytes(zipped)])


@pytest.mark.parametrize("body", [b"", b"  \r\n"])
def test_a_body_with_nothing_in_it_is_fetched_again(body: bytes) -> None:
    with pytest.raises(SourceUnavailable, match="cut off"):
        read([body])


@pytest.mark.parametrize("split", [1, 2, 7, 1000])
def test_gzip_is_unpacked_also_where_the_answer_does_not_say_so(split: int) -> None:
    zipped = gzip.compress(b'[{"Id":"1"}]') + gzip.compress(b" ")
    assert read([zipped[at : at + split] for at in range(0, len(zipped), split)]) == b'[{"Id":"1"}] '


def test_an_empty_gzip_body_is_fetched_again() -> None:
    with pytest.raises(SourceUnavailable, match="cut off"):
        read([], "gzip")


def test_a_page_of_a_proxy_is_not_taken_for_records() -> None:
    with pytest.raises(SourceUnavailable, match="HTML page"):
        read([b"\r\n<html>Please log in</html>"])


def test_other_json_is_left_to_the_reader_of_records() -> None:
    assert read([b'{"a":', b"1}"]) == b'{"a":1}'


def test_an_encoding_that_nobody_asked_for_is_named() -> None:
    with pytest.raises(SourceUnavailable, match="'br', which was not asked for"):
        read([b"[]"], "br")


def test_the_limit_counts_what_comes_out_and_is_inclusive() -> None:
    assert read([b"[", b"1]"], max_bytes=3) == b"[1]"
    with pytest.raises(ContentUndecodable):
        read([b"[", b"1]"], max_bytes=2)
