"""The file sink on real files: what is on the disk after writes, crashes, full disks and moved files."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import resource
import runpy
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeClock, env
from ualpipe.pipeline.errors import SinkDenied, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build, schema_of
from ualpipe.pipeline.process.transforming import events_of
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.disk import as_sink_error
from ualpipe.sinks.file import gzip_members as _gzip_members
from ualpipe.sinks.file import names as _file_names
from ualpipe.sinks.file.sink import MAX_OPEN_FILES, FileSink
from ualpipe.testing import SINK_CHECKS, SinkCase, check_options, encode, make_events, make_unencoded_events

DAY = "audit-2026-11-20.ndjson"


def sink(folder: Path, clock: FakeClock | None = None, **options: Any) -> FileSink:
    values = {"path": "audit-%Y-%m-%d.ndjson", **options}
    return FileSink(build(FileSink.Config, values, folder), env("local", clock=clock or FakeClock()))


def ids(path: Path) -> list[str]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["event"]["id"] for line in content.splitlines()]


def dated_events(*instants: str) -> list[EncodedEvent]:
    events = make_unencoded_events(len(instants))
    for event, instant in zip(events, instants, strict=True):
        assert event.document
        event.document["@timestamp"] = instant
    return [encode(event) for event in events]


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("is_gzip", [False, True])
def test_file_sink_keeps_the_contract(check: Any, tmp_path: Path, is_gzip: bool) -> None:
    name = DAY + ".gz" * is_gzip
    check(SinkCase(make=lambda: sink(tmp_path, gzip=is_gzip), received_ids=lambda: ids(tmp_path / name)))


def test_options_are_described() -> None:
    check_options(FileSink)


def test_one_line_an_event_ends_with_a_newline(tmp_path: Path) -> None:
    events = make_events(3)
    assert not sink(tmp_path).write(Batch(events))
    assert (tmp_path / DAY).read_bytes() == b"".join(event.encoded + b"\n" for event in events)


def test_originals_are_written_as_received_on_one_line(tmp_path: Path) -> None:
    body = b'[{"Id": "a" ,"n":1.50},{"Id":\n "b",\r\n"x":[1]}]'
    chunk = Chunk(body, "array")
    events = [encode(event) for event in events_of(Origin("s", "", "", "", chunk))]
    sink(tmp_path, payload="original").write(Batch(events))
    assert (tmp_path / DAY).read_bytes() == b'{"Id": "a" ,"n":1.50}\n{"Id":"b","x":[1]}\n'


def test_an_original_is_one_bare_object_with_keys_and_lists_as_received(tmp_path: Path) -> None:
    records = [
        b'{"Operation":"Add member to role.","ModifiedProperties":[{"Name":"Role.DisplayName","NewValue":"x","OldValue":""}]}',
        b'{"Parameters":[{"Name":"A b","Value":"1"},{"Name":"A b"}],"Actor":[{"ID":"a","Type":0}],"Empty":[],"Null":null}',
    ]
    events = [encode(event) for event in events_of(Origin("s", "", "", "", Chunk(b"\n".join(records), "lines")))]
    sink(tmp_path, payload="original").write(Batch(events))
    assert (tmp_path / DAY).read_bytes().splitlines() == records


def test_the_date_is_that_of_delivery_and_changes_at_midnight_utc(tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 11, 20, 23, 59, tzinfo=UTC))
    target = sink(tmp_path, clock)
    target.write(Batch(make_events(1)))
    clock.advance(120)
    target.write(Batch(make_events(1)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [DAY, "audit-2026-11-21.ndjson"]


def test_the_date_may_be_that_of_the_event(tmp_path: Path) -> None:
    events = dated_events("2026-11-18T23:59:59.999Z", "2026-11-20T00:00:00Z", "2026-11-18T00:00:00Z", "no time")
    sink(tmp_path, dated_by="event").write(Batch(events))
    assert ids(tmp_path / "audit-2026-11-18.ndjson") == [events[0].id, events[2].id]
    assert ids(tmp_path / DAY) == [events[1].id, events[3].id], "without a time of its own, that of delivery counts"


def test_open_files_are_bounded(tmp_path: Path) -> None:
    target = sink(tmp_path, path="%Y-%m-%d/%H.ndjson", dated_by="event")
    before = open_descriptors()
    hours = [f"2026-11-{day:02}T{hour:02}:00:00Z" for day in (1, 2) for hour in range(24)]
    target.write(Batch(dated_events(*hours)))
    target.write(Batch(dated_events(*hours)))
    assert open_descriptors() - before == MAX_OPEN_FILES
    target.close()
    assert all(len(ids(path)) == 2 for path in tmp_path.rglob("*.ndjson"))
    assert len(list(tmp_path.rglob("*.ndjson"))) == 48


def test_files_and_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    sink(tmp_path, path="a/b/audit.ndjson").write(Batch(make_events(1)))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/audit.ndjson")]
    assert modes == [0o700, 0o700, 0o600]


def test_mode_may_let_a_group_read(tmp_path: Path) -> None:
    sink(tmp_path, mode="0640").write(Batch(make_events(1)))
    assert stat.S_IMODE((tmp_path / DAY).stat().st_mode) == 0o640


# --- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b'{"event":{"id":"half', b"{", b'{"x":"' + b"x" * 200_000, b"\0" * 9000, b'\0\0{"x'])
def test_a_torn_last_line_is_cut_when_the_file_is_opened_again(tmp_path: Path, torn: bytes) -> None:
    events = make_events(2)
    (tmp_path / DAY).write_bytes(events[0].encoded + b"\n" + torn)
    sink(tmp_path).write(Batch(events[1:]))
    assert ids(tmp_path / DAY) == [event.id for event in events]


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / DAY).write_bytes(b'{"x":"' + b"x" * 100_000)
    events = make_events(1)
    sink(tmp_path).write(Batch(events))
    assert ids(tmp_path / DAY) == [events[0].id]


@given(st.floats(0, 1))
def test_a_gzip_file_cut_anywhere_keeps_its_whole_members(tmp_path_factory: pytest.TempPathFactory, part: float) -> None:
    folder = tmp_path_factory.mktemp("torn")
    first, second, third = make_events(3), make_events(2), make_events(1)
    target = sink(folder, gzip=True)
    target.write(Batch(first))
    path = folder / (DAY + ".gz")
    border = path.stat().st_size
    target.write(Batch(second))
    target.close()
    size = path.stat().st_size
    cut_at = round(part * size)
    os.truncate(path, cut_at)
    sink(folder, gzip=True).write(Batch(third))
    kept = (first if cut_at >= border else []) + (second if cut_at == size else [])
    assert ids(path) == [event.id for event in [*kept, *third]]


@pytest.mark.parametrize("damage", [b"\0" * 4, b"\0" * 40, b"\x1f", b"\x1f\x8b\x08\x04", b"\x1f\x8b\x08" + b"\0" * 99])
def test_a_gzip_file_with_a_torn_tail_is_cut(tmp_path: Path, damage: bytes) -> None:
    events = make_events(2)
    sink(tmp_path, gzip=True).write(Batch(events[:1]))
    path = tmp_path / (DAY + ".gz")
    with path.open("ab") as file:
        file.write(damage)
    sink(tmp_path, gzip=True).write(Batch(events[1:]))
    assert ids(path) == [event.id for event in events]


def test_a_last_member_whose_bytes_never_reached_the_disk_is_cut(tmp_path: Path) -> None:
    events = make_events(3)
    target = sink(tmp_path, gzip=True)
    target.write(Batch(events[:1]))
    path = tmp_path / (DAY + ".gz")
    border = path.stat().st_size
    target.write(Batch(events[1:2]))
    content = path.read_bytes()
    path.write_bytes(content[: border + 40] + b"\0" * (len(content) - border - 40))
    sink(tmp_path, gzip=True).write(Batch(events[2:]))
    assert ids(path) == [events[0].id, events[2].id]


def test_somebody_elses_gzip_file_is_never_cut(tmp_path: Path) -> None:
    path = tmp_path / (DAY + ".gz")
    path.write_bytes(gzip.compress(b"precious"))
    with pytest.raises(SinkDenied, match=f"{path}: at byte 0 begins something else"):
        sink(tmp_path, gzip=True).write(Batch(make_events(1)))
    assert gzip.decompress(path.read_bytes()) == b"precious"


def test_a_line_torn_by_another_process_is_cut_before_the_next_write(tmp_path: Path) -> None:
    events = make_events(3)
    target = sink(tmp_path)
    target.write(Batch(events[:1]))
    with (tmp_path / DAY).open("ab") as other:
        other.write(events[1].encoded + b'\n{"event":{"id":"torn')
    target.write(Batch(events[2:]))
    assert ids(tmp_path / DAY) == [event.id for event in events]


# --- full disks and missing rights -----------------------------------------------------------------------------------


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Makes the system refuse to let a file grow further, in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("is_gzip", [False, True])
def test_what_was_written_in_part_is_taken_back(tmp_path: Path, is_gzip: bool) -> None:
    events = make_events(200)
    target = sink(tmp_path, gzip=is_gzip)
    target.write(Batch(events[:1]))
    path = tmp_path / (DAY + ".gz" * is_gzip)
    size = path.stat().st_size
    with files_limited_to(size + 100), pytest.raises(SinkUnavailable):
        target.write(Batch(events[1:]))
    assert path.stat().st_size == size
    target.write(Batch(events[1:]))
    assert ids(path) == [event.id for event in events]


def test_a_full_disk_is_waited_for_and_named() -> None:
    error = as_sink_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Path("out/audit.ndjson"))
    assert isinstance(error, SinkUnavailable)
    assert str(error).startswith("out/audit.ndjson: no space left on device: the disk is full")


def test_a_path_that_leads_through_a_file_is_denied(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    target = sink(tmp_path, path="taken/audit.ndjson")
    with pytest.raises(SinkDenied, match="file exists: check `path`"):
        target.open()
    with pytest.raises(SinkDenied, match="check `path`"):
        target.write(Batch(make_events(1)))
    assert [finding.level for finding in target.check()] == ["error"]


def test_one_unusable_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-11-19.ndjson").mkdir()
    events = dated_events("2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z")
    errors = sink(tmp_path, dated_by="event").write(Batch(events))
    assert {at: type(error) for at, error in errors.items()} == {1: SinkDenied}
    assert ids(tmp_path / "audit-2026-11-18.ndjson") == [events[0].id]
    assert ids(tmp_path / DAY) == [events[2].id]


# --- rotation --------------------------------------------------------------------------------------------------------


def test_a_file_that_is_full_is_followed_by_the_next_number(tmp_path: Path) -> None:
    events = make_events(6)
    size = len(events[0].encoded) + 1
    target = sink(tmp_path, rotate_size=f"{2 * size}B")
    for event in events:
        target.write(Batch([event]))
    names = [DAY, "audit-2026-11-20.1.ndjson", "audit-2026-11-20.2.ndjson"]
    assert [ids(tmp_path / name) for name in names] == [[e.id for e in events[at : at + 2]] for at in (0, 2, 4)]
    assert len(list(tmp_path.iterdir())) == 3


def test_rotation_goes_on_after_a_restart_and_overwrites_nothing(tmp_path: Path) -> None:
    events = make_events(3)
    (tmp_path / "audit-2026-11-20.9.ndjson").write_bytes(events[0].encoded + b"\n")
    (tmp_path / "audit-2026-11-20.10.ndjson").write_bytes(events[1].encoded + b"\n")
    sink(tmp_path, rotate_size="1B").write(Batch(events[2:]))
    found = {path.name: ids(path) for path in tmp_path.iterdir()}
    assert found == {
        "audit-2026-11-20.9.ndjson": [events[0].id],
        "audit-2026-11-20.10.ndjson": [events[1].id],
        "audit-2026-11-20.11.ndjson": [events[2].id],
    }


def test_processes_that_fill_a_file_together_go_on_in_the_same_next_one(tmp_path: Path) -> None:
    events = make_events(5)
    size = len(events[0].encoded) + 1
    first, second = (sink(tmp_path, rotate_size=f"{2 * size}B") for _process in range(2))
    for target, event in zip([first, second, first, second, first], events, strict=True):
        target.write(Batch([event]))
    assert sorted(len(ids(path)) for path in tmp_path.iterdir()) == [1, 2, 2]


def test_numbers_that_log_rotation_gave_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "audit.1").write_bytes(b"rotated by somebody else")
    events = make_events(1)
    sink(tmp_path, path="audit").write(Batch(events))
    assert ids(tmp_path / "audit") == [events[0].id]
    assert (tmp_path / "audit.1").read_bytes() == b"rotated by somebody else"


def test_a_write_larger_than_the_limit_stays_in_one_file(tmp_path: Path) -> None:
    events = make_events(5)
    sink(tmp_path, rotate_size="1B").write(Batch(events))
    assert ids(tmp_path / DAY) == [event.id for event in events]


@pytest.mark.parametrize(
    ("name", "second"),
    [("audit.ndjson", "audit.2.ndjson"), ("audit.ndjson.gz", "audit.2.ndjson.gz"), ("audit", "audit.2"), ("a.b.c", "a.b.2.c")],
)
def test_numbers_stand_before_the_ending(tmp_path: Path, name: str, second: str) -> None:
    path = tmp_path / name
    assert _file_names.numbered(path, 2).name == second
    (tmp_path / second).touch()
    assert _file_names.newest(path) == 2


def test_a_percent_sign_and_all_date_pieces_are_filled_in() -> None:
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert str(_file_names.dated("%Y/%m/%d/%H-%j-%G-W%V-100%%", at)) == "2026/01/02/03-002-2026-W01-100%"


@pytest.mark.parametrize("path", ["audit-%M.ndjson", "audit-%", "audit-%s"])
def test_pieces_that_would_make_a_file_a_minute_do_not_fit_the_schema(path: str) -> None:
    assert not re.search(schema_of(FileSink.Config)["properties"]["path"]["pattern"], path)


# --- moved and deleted files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["move", "delete"])
def test_a_file_taken_away_is_made_anew(tmp_path: Path, act: str) -> None:
    events = make_events(2)
    target = sink(tmp_path)
    target.write(Batch(events[:1]))
    path = tmp_path / DAY
    path.rename(tmp_path / "old") if act == "move" else path.unlink()
    target.write(Batch(events[1:]))
    assert ids(path) == [events[1].id]


def test_a_folder_taken_away_is_made_anew(tmp_path: Path) -> None:
    target = sink(tmp_path, path="day/audit.ndjson")
    target.write(Batch(make_events(1)))
    (tmp_path / "day").rename(tmp_path / "yesterday")
    events = make_events(1)
    target.write(Batch(events))
    assert ids(tmp_path / "day/audit.ndjson") == [events[0].id]


# --- the rest --------------------------------------------------------------------------------------------------------


def test_check_says_what_it_found_and_writes_nothing(tmp_path: Path) -> None:
    assert [(f.level, f.message) for f in sink(tmp_path).check()] == [("ok", "can be written to")]
    assert [f.message for f in sink(tmp_path, path="new/audit.ndjson").check()] == [f"will be made in {tmp_path}"]
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=5000))
def test_members_unpack_with_and_without_isal(data: bytes) -> None:
    assert gzip.decompress(_gzip_members.member(data)) == data
    assert gzip.decompress(PLAIN_MEMBER(data)) == data


def _without_isal() -> Any:
    saved = {name: sys.modules.get(name) for name in ("isal", "isal.igzip_lib", "isal.isal_zlib")}
    sys.modules.update(dict.fromkeys(saved))  # type: ignore[arg-type]  # None makes the import fail
    try:
        return runpy.run_path(_gzip_members.__file__)["member"]
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


PLAIN_MEMBER = _without_isal()
