"""Whatever comes in, ``ualpipe map`` answers each line with one line of JSON. ``make fuzz`` looks further."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import odd_records
from ualpipe.pipeline.commands._open_transforms import open_stages
from ualpipe.pipeline.commands.map import map_lines
from ualpipe.pipeline.stages import Apply

pytestmark = pytest.mark.fuzz

BLANK = b" \t\r\n"
MARK = b"\xef\xbb\xbf"
STRICT = """\
version: 1
pipeline: map
state_dir: state
sources: {in: {type: files, paths: [in]}}
transforms: [{type: validate, on_invalid: dead_letter}, {type: ecs, keep_original: true}]
sinks: {out: {type: file, path: out.ndjson}}
"""


class Trickle(io.BytesIO):
    """A stream that gives what it has in pieces of these sizes, the last for ever, as a pipe may."""

    def __init__(self, body: bytes, sizes: Sequence[int]) -> None:
        super().__init__(body)
        self._sizes = list(sizes)

    def read1(self, size: int | None = -1, /) -> bytes:
        wanted = self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]
        return self.read(min(wanted, size) if size and size > 0 else wanted)


@pytest.fixture(scope="module")
def lenient() -> list[Apply]:
    return [stage.apply for stage in open_stages(None)]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> list[Apply]:
    path = tmp_path_factory.mktemp("strict") / "pipeline.yaml"
    path.write_text(STRICT, encoding="utf-8")
    return [stage.apply for stage in open_stages(path)]


def mapped(body: bytes, transforms: list[Apply], sizes: Sequence[int] = (1 << 20,)) -> tuple[int, list[bytes]]:
    """Returns how many could not go on, and the lines that came out."""
    out = io.BytesIO()
    failed = map_lines(Trickle(body, sizes), out, transforms)
    text = out.getvalue()
    assert text == b"" or text.endswith(b"\n")
    return failed, text.split(b"\n")[:-1]


def decoded(line: bytes) -> Any:
    """Decodes what any reader of JSON must take: UTF-8, no NaN, no key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        assert len(made) == len(pairs), "a key stands twice"
        return made

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    orjson.loads(line)
    return json.loads(line.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


def is_record(line: bytes) -> bool:
    """Says whether a line is surely a record: what the strictest reader takes as an object."""
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def is_no_record(line: bytes) -> bool:
    """Says whether a line is surely none: what the most lenient reader does not take as an object."""
    try:
        return not isinstance(json.loads(line.decode("utf-8"), strict=False, parse_int=float), dict)
    except RecursionError:
        return False
    except ValueError:
        return not is_record(line)


def assert_answers(lines: list[bytes], found: list[bytes]) -> None:
    given_ = [line.strip(BLANK) for line in lines if line.strip(BLANK)]
    assert len(found) == len(given_)
    for line, answer in zip(given_, found, strict=True):
        document = decoded(answer)
        assert document["event"]["module"] == "o365"
        assert document["event"]["kind"] in ("event", "alert", "pipeline_error")
        if is_no_record(line):
            assert document["event"]["kind"] == "pipeline_error"
            assert document["event"]["original"] == line.decode("utf-8", "replace")
            assert document["error"]["message"]
        elif is_record(line):
            assert "original" not in document["event"]


LINES = st.lists(odd_records.lines(), max_size=4)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"])
SIZES = st.lists(st.sampled_from([1, 2, 3, 7, 100, 4096, 1 << 20]), min_size=1, max_size=5).map(lambda sizes: [*sizes, 4096])


@settings(deadline=None)
@given(lines=LINES, end=ENDS, has_last_end=st.booleans(), mark=st.sampled_from([b"", MARK]), sizes=SIZES)
@example([MARK + b"{}", MARK + b'{"Id": "a"}'], b"\n", True, b"", [1, 1, 4096])
@example([b'{"ObjectId": "%s"}' % (b"x" * 1_000_000)] * 2, b"\r\n", False, MARK, [65_536])
@example([b'{"Id": %s}' % (b"[" * 600_000)], b"\n", True, b"", [1 << 20])
@example([b'{"ExtendedProperties": [%s]}' % b",".join([b'{"Name": "a", "Value": "b"}'] * 20_000)], b"\n", True, b"", [4096])
def test_every_line_is_answered_by_one_line_of_json(
    lenient: list[Apply], lines: list[bytes], end: bytes, has_last_end: bool, mark: bytes, sizes: list[int]
) -> None:
    body = end.join(lines) + (end if has_last_end and lines else b"")
    failed, found = mapped(mark + body, lenient, sizes)
    assert failed == 0
    first_without_mark = [line.removeprefix(MARK) if not at else line for at, line in enumerate(lines)]
    assert_answers(lines if mark else first_without_mark, found)


@settings(deadline=None)
@given(lines=LINES)
def test_where_asked_for_a_line_that_can_not_go_on_is_answered_by_an_error(strict: list[Apply], lines: list[bytes]) -> None:
    failed, found = mapped(b"\n".join([b"", *lines]), strict)
    given_ = [line.strip(BLANK) for line in lines if line.strip(BLANK)]
    assert len(found) == len(given_)
    answers = [decoded(line) for line in found]
    errors = [answer["error"] for answer in answers if list(answer) == ["error"]]
    assert len(errors) == failed
    assert all(error["code"] in ("NotJson", "SchemaMismatch") and error["message"] for error in errors)
    for line, answer in zip(given_, answers, strict=True):
        if is_no_record(line):
            assert answer["error"]["code"] == "NotJson"
        elif "event" in answer:
            assert answer["event"]["original"] == line.decode("utf-8", "replace")


@settings(deadline=None)
@given(lines=LINES)
def test_a_line_is_answered_alike_whatever_stands_around_it(lenient: list[Apply], lines: list[bytes]) -> None:
    _failed, together = mapped(b"\n".join([b"", *lines]), lenient)
    alone = [answer for line in lines for answer in mapped(b"\n" + line, lenient)[1]]
    assert [decoded(answer) for answer in together] == [decoded(answer) for answer in alone]


def test_good_records_are_never_errors(lenient: list[Apply]) -> None:
    good = [*odd_records.generated(500), *odd_records.of_each_kind()]
    _failed, found = mapped(b"\n".join(map(orjson.dumps, good)), lenient)
    documents = [decoded(line) for line in found]
    assert [document["event"]["id"] for document in documents] == [record["Id"] for record in good]
    assert {document["event"]["kind"] for document in documents} <= {"event", "alert"}


def awkward() -> list[bytes]:
    """Returns one record for each odd value, and everything that is no record."""
    values = [*odd_records.NUMBERS, *odd_records.TEXTS]
    values += [odd_records.deep(depth, "1", is_object=is_object) for depth in odd_records.DEPTHS for is_object in (True, False)]
    found = [f'{{"Id": {value}, "Id": "twice", "UserId": {value}, "Actor": {value}}}'.encode() for value in values]
    return [*found, *odd_records.NOT_RECORDS, *(b'{"Id": "' + bad + b'"}' for bad in odd_records.NOT_UTF8)]


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("pipeline.yaml",), 1)])
def test_the_process_itself_answers_awkward_lines(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(STRICT, encoding="utf-8")
    lines = [*awkward(), b'{"ObjectId": "%s"}' % (b"x" * 1_000_000)]
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "map", *arguments]
    body = MARK + b"\r\n".join(lines)
    ended = subprocess.run(command, input=body, check=False, capture_output=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    found = ended.stdout.split(b"\n")[:-1]
    assert len(found) == len(lines)
    assert all(isinstance(decoded(line), dict) for line in found)
    assert b"Traceback" not in ended.stderr
