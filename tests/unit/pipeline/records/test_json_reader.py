"""The reader of JSON from outside: a value within bounds, or its one error; and nobody decodes JSON beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ualpipe.pipeline.records.json_reader import MOST_DEPTH, UnreadableJson, read_json, read_object, read_strictly

ROOT = Path(__file__).parents[4]
SHIPPED = ("clients", "pipeline", "schemas", "simulator", "sinks", "sources", "testing", "transforms")
DECODERS = {"loads", "raw_decode", "JSONDecoder"}
READERS = {
    "pipeline/records/json_reader.py": "the reader itself",
    "pipeline/records/decoding.py": "reads records, whose defects become dead letters, and listings",
    "pipeline/records/scanning.py": "finds where a record ends, and keeps nothing of it",
    "pipeline/records/splitting.py": "reads records where an array is broken, within the same bounds",
}
OWN = {
    "pipeline/records/chunk.py": "the line that ualpipe wrote before a piece of a record",
    "pipeline/events.py": "a document that ualpipe encoded",
    "pipeline/journal/sqlite/ledger.py": "what ualpipe wrote into its journal",
    "pipeline/journal/sqlite/notes.py": "what ualpipe wrote into its journal",
    "pipeline/process/worker_protocol.py": "pickles of ualpipe's own processes",
    "pipeline/buffer/prepare.py": "pickles in a file without a name that ualpipe wrote",
    "schemas/__init__.py": "files of the package",
    "simulator/demo.py": "messages that the demo's own pipeline sent",
    "simulator/service/login/assertions.py": "claims behind a signature that holds; the simulator is for tests",
    "simulator/service/login/tokens.py": "claims behind a signature that holds; the simulator is for tests",
}


def decoders() -> Iterator[tuple[str, int]]:
    """Yields where JSON, or a pickle, is decoded: file and line."""
    for folder in SHIPPED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
                is_answer = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "json"
                if name in DECODERS or is_answer:
                    yield path.relative_to(ROOT).as_posix(), node.lineno


def test_json_from_outside_is_decoded_by_its_readers_alone() -> None:
    found = list(decoders())
    known = {**READERS, **OWN}
    strange = [f"{name}:{line}" for name, line in found if name not in known]
    assert not strange, "use ualpipe.pipeline.records.json_reader, or say here why these bytes are our own"
    assert known.keys() == {name for name, _line in found}, "what decodes nothing any more needs no reason"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1),
        b"[" + b"0," * 1_100_000 + b"0]",
        b'{"a":1}{',
        b'{"a":"' + b"x" * 100,
        b"\x00",
    ],
    ids=lambda text: f"{text[:6]!r} of {len(text)} bytes",
)
def test_what_is_no_json_or_too_much_of_it_is_one_error(text: bytes) -> None:
    with pytest.raises(UnreadableJson) as caught:
        read_json(text)
    assert len(str(caught.value)) < 300
    assert caught.value.__cause__ is None, "and nothing of the text goes with it"


def test_a_text_longer_than_its_reader_wants_is_not_looked_at() -> None:
    with pytest.raises(UnreadableJson, match="6 bytes of JSON, more than 5"):
        read_json(b"[1, 2]", most_bytes=5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[NaN, Infinity, 1e999]", [None, None, None]),
        (b'["\\ud800"]', ["?"]),
        (b'["a\xffb"]', ["a\ufffdb"]),
        (b'["\x01"]', ["\x01"]),
        (b"[%b]" % (b"9" * 5000), [None]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[" * MOST_DEPTH + b"]" * MOST_DEPTH, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_odd_answers_are_read_as_far_as_they_can_be(text: bytes, value: object) -> None:
    assert value is None or read_json(text) == value
    assert str(read_json(text))


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"x"'])
def test_an_answer_of_another_kind_says_which(text: bytes) -> None:
    with pytest.raises(UnreadableJson, match=r"a JSON (array|number|null|string), not an object"):
        read_object(text)


@pytest.mark.parametrize("text", ["[NaN]", '"\ud800"', "[" * 5000, b"\xff"])
def test_json_by_the_book_is_all_that_is_read_strictly(text: bytes | str) -> None:
    with pytest.raises(UnreadableJson):
        read_strictly(text)
