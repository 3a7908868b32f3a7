"""Bodies made to do harm: they end as dead letters with their reason, or marked, and cost neither memory nor the run."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes import NOW, MemorySink, MemorySource, Pipeline, dead_letters_in, env, hurry, record
from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.journal.types import DeadLetter
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.transforming import encode
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import chunks_of_array
from ualpipe.pipeline.stages import Batch
from ualpipe.pipeline.supervisor.exit_codes import EXIT_INCOMPLETE
from ualpipe.sinks.file.sink import FileSink
from ualpipe.sources.management_activity.body import Room, bounded, decoded
from ualpipe.transforms.ecs.transform import EcsTransform
from ualpipe.transforms.validate.transform import ValidateTransform

MIB = 1 << 20
DEEP = 100_000


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


def transform(cls: Any, **options: Any) -> Any:
    made = cls(build(cls.Config, options, Path()), env())
    made.open()
    return made


def run(tmp_path: Path, content: bytes) -> tuple[int, list[str], list[DeadLetter]]:
    """Runs a body through a pipeline; returns exit code, Ids delivered, and dead letters."""
    sink = MemorySink()
    transforms = [transform(ValidateTransform, on_invalid="dead_letter"), transform(EcsTransform)]
    pipeline = Pipeline(tmp_path / "state", MemorySource({"stream": {"blob": content}}), {"sink": sink}, transforms)
    code = pipeline.runner().run()
    return code, sink.delivered, [stored.dead_letter for stored in dead_letters_in(tmp_path / "state")]


def nested(depth: int, *, mark: str) -> bytes:
    """Returns an array or object in itself, over and over."""
    return b"[" * depth + b"]" * depth if mark == "[" else b'{"a":' * depth + b"1" + b"}" * depth


# --- depth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["[", "{"])
@pytest.mark.parametrize("depth", [1030, DEEP])
def test_a_record_nested_too_deep_is_a_dead_letter_and_its_neighbours_pass(tmp_path, depth, mark):
    bad = json.dumps(record(2))[:-1].encode() + b',"Deep":' + nested(depth, mark=mark) + b"}"
    code, delivered, letters = run(
        tmp_path, b"[%s,%s,%s]" % (json.dumps(record(1)).encode(), bad, json.dumps(record(3)).encode())
    )
    assert code == EXIT_INCOMPLETE
    assert delivered == [record(1)["Id"], record(3)["Id"]]
    (letter,) = letters
    assert letter.body == bad
    assert "depth" in letter.reason
    assert len(letter.reason) < 300


@pytest.mark.parametrize("name", ["Deep", "RecordType", "Operation", "CreationTime"])
@pytest.mark.parametrize("depth", [200, 500, 900, 1000])
def test_a_record_nested_less_deep_than_readers_refuse_passes_or_is_a_dead_letter(tmp_path, depth, name):
    """It is deeper than Python's own stack is meant for; nothing in the mapping may run out of it."""
    odd = json.dumps(record(2))[:-1].encode() + b',"%b":' % name.encode() + nested(depth, mark="{") + b"}"
    _code, delivered, letters = run(tmp_path, b"[%s,%s]" % (odd, json.dumps(record(1)).encode()))
    assert len(delivered) + len(letters) == 2
    assert record(1)["Id"] in delivered


@pytest.mark.parametrize("body", [nested(DEEP, mark="["), b"[" * DEEP, nested(DEEP, mark="{"), b'[{"a":' * DEEP], ids=len)
def test_a_body_that_is_nothing_but_depth_is_a_dead_letter(tmp_path, body):
    code, delivered, letters = run(tmp_path, body)
    assert (code, delivered) == (EXIT_INCOMPLETE, [])
    (letter,) = letters
    assert letter.code in ("ContentUndecodable", "NotJson", "SchemaMismatch")
    assert letter.reason


# --- size ------------------------------------------------------------------------------------------------------------


def bomb(size: int) -> Iterator[bytes]:
    """Yields gzip in small parts that hides an array of blanks of some size."""
    packed = gzip.compress(b"[" + b" " * size + b"]", compresslevel=9)
    return (packed[at : at + 4096] for at in range(0, len(packed), 4096))


def test_a_gzip_bomb_ends_at_the_limit_and_takes_no_memory():
    parts = list(bomb(256 * MIB))
    assert sum(map(len, parts)) < MIB
    tracemalloc.start()
    try:
        pieces = bounded(decoded(parts, "gzip", "fetching x"), Room(200 * MIB), "fetching x")
        with pytest.raises(ContentUndecodable, match="larger than"):
            for _piece in pieces:
                pass
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_a_body_without_any_record_is_given_up_long_before_it_fills_the_memory():
    endless = (b"[" + b" " * MIB if not at else b" " * MIB for at in range(10_000))
    with pytest.raises(ContentUndecodable, match="longer than 16 MiB"):
        list(chunks_of_array(endless))
    assert sum(1 for _part in endless) > 9_900, "most of it was never asked for"


@pytest.mark.parametrize("value", [b"0", b"{}", b'"x"', b"[]", b"null"])
def test_a_body_of_values_that_are_no_records_is_given_up_before_each_is_named(value):
    endless = (b"[" + value if not at else (b"," + value) * 10_000 for at in range(100_000))
    with pytest.raises(ContentUndecodable, match="no record"):
        list(chunks_of_array(endless))
    assert sum(1 for _part in endless) > 99_900, "most of it was never asked for"


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", ["../../../etc/cron.d/x", "2026-11-20/../../x", "/etc/passwd", "%Y", "\x00", 7, None, ["../x"]])
def test_no_value_of_a_record_builds_a_path(tmp_path, time):
    """Of a record only its time has a say in a file's name, and that only as a date."""
    sink = FileSink(build(FileSink.Config, {"path": "out/%Y/%m-%d.ndjson", "dated_by": "event"}, tmp_path), env())
    chunk = Chunk(json.dumps([record(1, CreationTime=time, Id="../../escaped", UserId="../x")]).encode(), "array")
    event = Event(dict(chunk.records[0]), 0, Origin("../s", "../t", "../stream", "../item", chunk, ""))
    event.document = {"@timestamp": time, "event": {"id": "../../escaped"}}
    sink.open()
    assert not sink.write(Batch([encode(event)]))
    sink.close()
    found = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [Path(f"out/{NOW:%Y/%m-%d}.ndjson")]


def test_a_time_of_a_record_names_a_file_of_that_date_and_no_other(tmp_path):
    sink = FileSink(build(FileSink.Config, {"path": "out/%Y-%m-%d", "dated_by": "event"}, tmp_path), env())
    event = Event(record(1), 0, Origin("s", "t", "stream", "item", Chunk(b"[]", "array"), ""))
    event.document = {"@timestamp": datetime(1999, 1, 2, tzinfo=UTC).isoformat()}
    sink.open()
    sink.write(Batch([encode(event)]))
    sink.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1999-01-02"]
