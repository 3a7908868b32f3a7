"""Bytes as a hostile service, file or destination may send them, for fuzz targets."""

from __future__ import annotations

import functools
import json
import unicodedata
import zlib

from hypothesis import strategies as st

import odd_records

_ACTING = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

DEPTHS = (60, 70, 990, 1030, 3_000)


def _deep(depth: int, mark: str, *, is_closed: bool) -> bytes:
    opening, closing = ("[", "]") if mark == "[" else ('{"error":', "}")
    return (opening * depth + "1" + closing * depth * is_closed).encode()


def deep() -> st.SearchStrategy[bytes]:
    """Makes lists or objects within one another, closed or not."""
    return st.builds(_deep, st.sampled_from(DEPTHS), st.sampled_from("[{"), is_closed=st.booleans())


def _cut(body: bytes, share: float) -> bytes:
    return body[: int(len(body) * share)]


def spoilt(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Makes bodies: whole ones, with a byte order mark, cut off, with other bytes in the middle, twice."""

    def damaged(body: bytes, at: int, bad: bytes) -> bytes:
        return body[: at % (len(body) + 1)] + bad + body[at % (len(body) + 1) :]

    damage = st.sampled_from(odd_records.NOT_UTF8) | st.binary(min_size=1, max_size=3)
    return st.one_of(
        *[whole] * 3,
        whole.map(lambda body: b"\xef\xbb\xbf" + body),
        st.builds(_cut, whole, st.floats(0, 1)),
        st.builds(damaged, whole, st.integers(0), damage),
        st.builds(lambda one, other: one + other, whole, whole),
    )


def _object(members: list[tuple[str, str]]) -> bytes:
    return odd_records.encoded("{" + ",".join(f"{key}:{value}" for key, value in members) + "}")


def objects(*names: str) -> st.SearchStrategy[bytes]:
    """Makes objects with members of some names, whose values are what nobody expects."""
    keys = st.sampled_from([json.dumps(name) for name in names])
    return st.lists(st.tuples(keys, odd_records.values() | texts()), max_size=6).map(_object)


def texts() -> st.SearchStrategy[str]:
    """Makes JSON texts, also long and empty ones."""
    return (st.text(max_size=30) | st.sampled_from(["", " ", "x" * 500, "enabled", "Audit.Exchange"])).map(json.dumps)


@functools.cache
def anything() -> st.SearchStrategy[bytes]:
    """Makes bodies that are no answer at all, or hardly."""
    return st.one_of(
        st.binary(max_size=60),
        odd_records.values().map(odd_records.encoded),
        deep(),
        st.sampled_from([b"", b"<html>no</html>", b"\xff\xfe[\x00]\x00", b"null", b"[]", b"{}", b"\x1f\x8b", b'{"error":null}']),
    )


@functools.cache
def arrays() -> st.SearchStrategy[bytes]:
    """Makes arrays of records, some of them odd."""
    return st.lists(odd_records.lines(), max_size=6).map(lambda lines: b"[" + b",".join(lines) + b"]")


def acting(text: str) -> set[str]:
    """Returns the characters of a text that a terminal or a reader takes for something else than text."""
    return {sign for sign in text if unicodedata.category(sign) in _ACTING or unicodedata.bidirectional(sign) in _DIRECTING}


def gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]
