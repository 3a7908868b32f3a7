"""Whatever comes in, ``ualpipe map`` answers with lines of JSON, and each record among it. ``make fuzz`` looks further."""

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
from ualpipe.pipeline.commands.map import map_records
from ualpipe.pipeline.reading import known_envelopes
from ualpipe.pipeline.records.splitting import COMMON_FIELDS
from ualpipe.pipeline.stages import Apply

pytestmark = pytest.mark.fuzz

DEPTHS = (*odd_records.DEPTHS, odd_records.FAR_TOO_DEEP)
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
    made = map_records(Trickle(body, sizes), out, transforms, known_envelopes(), io.StringIO())
    text = out.getvalue()
    assert text == b"" or text.endswith(b"\n")
    return made.failed, text.split(b"\n")[:-1]


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
    """Says whether a line is surely a record: what the strictest reader takes as an object with a field that records have."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and bool(value.keys() & COMMON_FIELDS)


def is_subsequence(wanted: Sequence[Any], found: Sequence[Any]) -> bool:
    rest = iter(found)
    return all(any(one == other for other in rest) for one in wanted)


def assert_documents(found: list[bytes]) -> None:
    for answer in found:
        document = decoded(answer)
        assert document["event"]["module"] == "o365"
        assert document["event"]["kind"] in ("event", "alert", "pipeline_error")
        assert document["event"]["kind"] != "pipeline_error" or document["error"]["message"]


LINES = st.lists(odd_records.lines(), max_size=4)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"])
SIZES = st.lists(st.sampled_from([1, 2, 3, 7, 100, 4096, 1 << 20]), min_size=1, max_size=5).map(lambda sizes: [*sizes, 4096])


@settings(deadline=None)
@given(lines=LINES, end=ENDS, has_last_end=st.booleans(), mark=st.sampled_from([b"", MARK]), sizes=SIZES)
@example([MARK + b"{}", MARK + b'{"Id": "a"}'], b"\n", True, b"", [1, 1, 4096])
@example([b'{"ObjectId": "%s"}' % (b"x" * 1_000_000)] * 2, b"\r\n", False, MARK, [65_536])
@example([b'{"Id": %s}' % (b"[" * 600_000)], b"\n", True, b"", [1 << 20])
@example([b"\0", b'\0{"Id": "a"}', b'{"Id": "b"}'], b"\n", False, b"", [1, 4096])
@example([b'{"ExtendedProperties": [%s]}' % b",".join([b'{"Name": "a", "Value": "b"}'] * 20_000)], b"\n", True, b"", [4096])
def test_every_record_among_whatever_lines_is_answered(
    lenient: list[Apply], lines: list[bytes], end: bytes, has_last_end: bool, mark: bytes, sizes: list[int]
) -> None:
    body = end.join(lines) + (end if has_last_end and lines else b"")
    failed, found = mapped(mark + body, lenient, sizes)
    assert failed == 0
    assert_documents(found)
    alone = [mapped(line, lenient)[1] for line in lines if is_record(line)]
    assert all(len(answers) == 1 for answers in alone)
    assert is_subsequence([answers[0] for answers in alone], found)


@settings(deadline=None)
@given(lines=LINES)
def test_where_asked_for_what_can_not_go_on_is_answered_by_an_error(strict: list[Apply], lines: list[bytes]) -> None:
    failed, found = mapped(b"\n".join([b"", *lines]), strict)
    answers = [decoded(line) for line in found]
    errors = [answer["error"] for answer in answers if list(answer) == ["error"]]
    assert len(errors) == failed
    assert all(error["code"] in ("NotJson", "SchemaMismatch") and error["message"] for error in errors)
    assert len(found) >= sum(map(is_record, lines))


@settings(deadline=None)
@given(lines=LINES, sizes=SIZES)
def test_the_same_text_is_answered_alike_in_whatever_pieces_it_comes(
    lenient: list[Apply], lines: list[bytes], sizes: list[int]
) -> None:
    good = [line for line in lines if is_record(line)]
    assert mapped(b"\n".join(good), lenient, sizes) == mapped(b"\n".join(good), lenient)


def test_good_records_are_never_errors(lenient: list[Apply]) -> None:
    good = [*odd_records.generated(500), *odd_records.of_each_kind()]
    _failed, found = mapped(b"\n".join(map(orjson.dumps, good)), lenient)
    documents = [decoded(line) for line in found]
    assert [document["event"]["id"] for document in documents] == [record["Id"] for record in good]
    assert {document["event"]["kind"] for document in documents} <= {"event", "alert"}


def awkward() -> list[bytes]:
    """Returns one record for each odd value, and everything that is no record."""
    values = [*odd_records.NUMBERS, *odd_records.TEXTS]
    values += [odd_records.deep(depth, "1", is_object=is_object) for depth in DEPTHS for is_object in (True, False)]
    found = [f'{{"Id": {value}, "Id": "twice", "UserId": {value}, "Actor": {value}}}'.encode() for value in values]
    return [*found, *odd_records.NOT_RECORDS, *(b'{"Id": "' + bad + b'"}' for bad in odd_records.NOT_UTF8)]


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("pipeline.yaml",), 1)])
def test_the_process_itself_answers_awkward_lines(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(STRICT, encoding="utf-8")
    lines = [*awkward(), b'{"ObjectId": "%s"}' % (b"x" * 1_000_000)]
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "map", *arguments]
    body = MARK + b"\r\n".join(lines)
    ended = subprocess.run(command, input=body, check=False, capture_output=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    found = ended.stdout.split(b"\n")[:-1]
    assert len(found) >= sum(map(is_record, lines))
    assert all(isinstance(decoded(line), dict) for line in found)
    assert b"Traceback" not in ended.stderr
