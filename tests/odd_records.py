"""Audit records as nobody should send them, for property tests: as text, since objects can't hold what JSON text can.

Odd are the types, numbers that no double holds, NaN, keys given twice, lone surrogates, control characters, broken UTF-8, depth,
and text that is no JSON at all. Most of it stands inside records that are otherwise plausible, so that it gets far.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import fakes
from ualpipe.pipeline.options import build
from ualpipe.schemas import read_csv
from ualpipe.simulator.records.generator import generate
from ualpipe.transforms.ecs.mapping.model import MappingRow
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.tables import load_mapping

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.in.json"))
DEPTHS = (5, 13, 20, 130, 500, 1023, 1025)
"""Around the limits of a search index, of our own cleaning and of both decoders; far above costs seconds where it is damaged."""

FAR_TOO_DEEP = 3000

NUMBERS = (
    *("0", "-0", "-0.0", "1.5E+3", "1e-999", "1e308", "1e999", "-1e999", "0.1", "1" * 25, "9" * 310, "9" * 5000),
    *(str(2**power + more) for power in (31, 32, 53, 63, 64, 127) for more in (-1, 0)),
    *("NaN", "Infinity", "-Infinity", "01", "1.", "+1"),
)
TEXTS = (
    r'"\ud800"',
    r'"\udc00\ud800 x"',
    r'"a\u0000b"',
    '"\x01\x1f\x7f"',
    '"\u2028\ufeff\U0001f600\u202e"',
    r'"\n\r\t\" \\ \/"',
    '"{\\"a\\": [1, {\\"a\\": null}]}"',
    '"[[[[[[1]]]]]]"',
    '"{"',
    '""',
    '" "',
    '"2026-02-30T25:61:00"',
    '"999999999999-01-01T00:00:00Z"',
    '"[::ffff:203.0.113.7]:99999999"',
    '"fe80::1%eth0"',
    '"https://[::1"',
    '"https://contoso.example:port/%zz?#"',
    '"i:0#.f|membership|sana@contoso.com"',
    '"@"',
    '"O=;;,CN="',
    '"a.docx (99999999999999999999b); (b"',
)
NOT_UTF8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80")
NOT_RECORDS = (
    b"[]",
    b"[{}]",
    b"1",
    b'"x"',
    b"null",
    b"{",
    b"}",
    b'{"Id":}',
    b'{"Id": "a"} {"Id": "b"}',
    b"{}",
    b"nonsense",
    b"\x00",
)


def golden() -> list[dict[str, Any]]:
    """Returns the golden records."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in GOLDEN]


def generated(count: int, seed: int = 365) -> list[dict[str, Any]]:
    """Returns records of the simulated tenant."""
    return list(generate(count, seed=seed, start=fakes.NOW))


def of_each_kind() -> list[dict[str, Any]]:
    """Returns a small record of each record type there is, and of one that nobody knows."""
    kinds = [(int(row["id"]), row["name"], row["workload"] or "Contoso") for row in read_csv("record_types.csv")]
    return [
        fakes.record(number, RecordType=kind, Operation=f"{name}Viewed", Workload=workload, ObjectId=f"object {number}")
        for number, (kind, name, workload) in enumerate([*kinds, (99_999, "Unknown", "Unknown")], 1)
    ]


@functools.cache
def field_names() -> tuple[list[str], list[str]]:
    """Returns the names that the mapping reads: of a record's own fields, and of fields inside these."""
    rows: list[MappingRow] = [row for family in load_mapping(build(EcsTransformConfig, {}, Path())) for row in family.rows]
    paths = [source.steps for row in rows for source in row.all_sources if source.of == "originals"]
    roots = {steps[0].name for steps in paths} | {row["field"] for row in read_csv("ecs/originals.csv")} | {"ResultStatus"}
    leaves = {step.name for steps in paths for step in steps[1:]} | {"Name", "Value", "Key", "Type", "ID", "OldValue", "NewValue"}
    return sorted(roots), sorted(leaves)


def _quoted(text: str, *, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)


def _object(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in members) + "}"


def deep(depth: int, inner: str, *, is_object: bool) -> str:
    """Returns JSON text with something below so many lists, or objects."""
    opening, closing = ('{"a":', "}") if is_object else ("[", "]")
    return opening * depth + inner + closing * depth


def keys(names: list[str]) -> st.SearchStrategy[str]:
    """Makes keys as JSON text: known names, one in four unusual."""
    known = st.sampled_from(names).map(lambda name: _quoted(name, ascii_only=True))
    unusual = st.text(max_size=8).map(lambda text: _quoted(text, ascii_only=True)) | st.sampled_from(TEXTS)
    return st.one_of(*[known] * 3, unusual)


@functools.cache
def values() -> st.SearchStrategy[str]:
    """Makes JSON values as text; not all of it is JSON by the book."""
    scalars = st.one_of(
        st.sampled_from(["null", "true", "false", "[]", "{}", *NUMBERS, *TEXTS]),
        st.integers().map(str),
        st.floats().map(json.dumps),
        st.builds(_quoted, st.text(max_size=40), ascii_only=st.booleans()),
    )
    inner_keys = keys(field_names()[1])
    nested = st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
            | st.lists(st.tuples(inner_keys, inner), max_size=5).map(_object)
        ),
        max_leaves=12,
    )
    buried = st.builds(deep, st.sampled_from(DEPTHS), scalars, is_object=st.booleans())
    return st.one_of(*[nested] * 6, buried)


@functools.cache
def plausible() -> list[list[tuple[str, str]]]:
    """Returns good records as lists of keys and values, both JSON text."""
    found = [*golden(), *generated(300), *of_each_kind()]
    return [[(json.dumps(key), json.dumps(value)) for key, value in record.items()] for record in found]


def _with_odd_members(record: list[tuple[str, str]], odd: list[tuple[int, str]], more: list[tuple[str, str]]) -> str:
    members = list(record)
    for at, value in odd:
        key, _value = members[at % len(members)]
        members[at % len(members)] = (key, value)
    return _object(members + more)


@functools.cache
def records() -> st.SearchStrategy[str]:
    """Makes records as text: good ones with odd values at some fields, further fields, and some fields twice."""
    odd = st.lists(st.tuples(st.integers(0, 40), values()), max_size=4)
    more = st.lists(st.tuples(keys(field_names()[0]), values()), max_size=4)
    return st.builds(_with_odd_members, st.sampled_from(plausible()), odd, more)


def encoded(text: str) -> bytes:
    """Returns text in one line of UTF-8; a lone surrogate, which UTF-8 has no bytes for, as bytes that are no UTF-8."""
    return text.replace("\n", " ").encode("utf-8", "surrogatepass")


@functools.cache
def lines() -> st.SearchStrategy[bytes]:
    """Makes lines without their end: mostly records, whole, cut off or damaged, and anything else."""
    whole = records().map(encoded)
    cut = st.builds(lambda line, share: line[: int(len(line) * share)], whole, st.floats(0, 1))
    damage = st.sampled_from(NOT_UTF8) | st.binary(min_size=1, max_size=3)
    damaged = st.builds(
        lambda line, at, bad: line[: at % len(line)] + bad + line[at % len(line) :], whole, st.integers(0), damage
    )
    bare = values().map(encoded) | st.sampled_from(NOT_RECORDS) | st.binary(max_size=40)
    blank = st.sampled_from([b"", b" ", b"\t", b" \t "])
    return st.one_of(*[whole] * 4, cut, damaged, bare, blank).map(lambda line: line.replace(b"\n", b" "))
