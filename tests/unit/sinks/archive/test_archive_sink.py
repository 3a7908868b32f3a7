"""The archive sink on real files: what stands there after repeats, crashes, damage, removals and full disks."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from archives.sinks import DAY, TENANT, counting_files, events, ids_in, sink, write
from chaos.small_disk import SmallDisk
from fakes import FakeClock
from ualpipe.pipeline.errors import SinkDenied, SinkUnavailable
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.archive import duck, layout
from ualpipe.sinks.archive.failures import as_sink_error, told_number
from ualpipe.sinks.archive.sink import ArchiveSink
from ualpipe.testing import SINK_CHECKS, SinkCase, check_options, make_events

DAY_S = 86_400.0

STRANGER = 65_534  # a user who is no other one of the machine


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_sink_keeps_the_contract(check, tmp_path):
    check(SinkCase(lambda: sink(tmp_path), lambda: ids_in(tmp_path / "archive").elements()))


def test_options_are_described():
    check_options(ArchiveSink)


# --- each event once -------------------------------------------------------------------------------------------------


def test_an_event_that_comes_again_in_any_batch_stands_there_once(tmp_path):
    first, both = events("a", "b"), events("b", "c", "c")
    write(tmp_path, first, both, first)
    write(tmp_path, both, events("d"))
    assert ids_in(tmp_path / "archive") == Counter("abcd")


def test_the_first_content_of_an_event_stays(tmp_path):
    write(tmp_path, events("a", Operation="Send"), events("a", Operation="Move"))
    (file,) = counting_files(tmp_path / "archive")
    assert duckdb.execute("SELECT operation FROM read_parquet(?)", [str(file)]).fetchall() == [("Send",)]


def test_an_event_is_known_after_its_files_were_merged(tmp_path):
    batches = [events(f"{at}") for at in range(9)]
    write(tmp_path, *batches, compact=4)
    assert len(counting_files(tmp_path / "archive")) < len(batches)
    write(tmp_path, *batches, compact=4)
    assert ids_in(tmp_path / "archive") == Counter("012345678")


def test_events_of_two_tenants_with_one_id_are_two(tmp_path):
    other = "33333333-3333-3333-3333-333333333333"
    write(tmp_path, [*events("a"), *events("a", tenant=other)])
    folders = sorted(file.parent.relative_to(tmp_path / "archive") for file in counting_files(tmp_path / "archive"))
    assert list(map(str, folders)) == [f"tenant={TENANT}/date={DAY}", f"tenant={other}/date={DAY}"]


def test_a_write_that_failed_in_the_middle_doubles_nothing_when_it_comes_again(tmp_path):
    batch = [*events("a"), *events("b", day="2026-11-21")]
    one = sink(tmp_path)
    one.open()
    blocked = tmp_path / "archive" / f"tenant={TENANT}" / "date=2026-11-21"
    blocked.parent.mkdir()
    blocked.write_text("in the way")
    with pytest.raises(SinkDenied, match="permissions"):
        one.write(Batch(batch))
    assert ids_in(tmp_path / "archive") == Counter("a")
    blocked.unlink()
    one.open()
    one.write(Batch(batch))
    one.close()
    assert ids_in(tmp_path / "archive") == Counter("ab")


def test_a_file_whose_folder_was_not_synced_counts_when_the_write_comes_again(tmp_path):
    one = sink(tmp_path)
    one.open()
    folder = layout.partition_of(TENANT, None).folder(tmp_path / "archive")
    one.write(Batch(events("a", day="no day")))
    one._known.forget(layout.partition_of(TENANT, None))  # as after an error behind the renaming
    one.write(Batch(events("a", "b", day="no day")))
    one.close()
    assert ids_in(tmp_path / "archive") == Counter("ab")
    assert len(list(folder.iterdir())) == 2


def test_events_in_a_damaged_file_are_written_again(tmp_path, caplog):
    write(tmp_path, events("a", "b"), events("c"))
    damaged, _other = counting_files(tmp_path / "archive")
    damaged.write_bytes(b"PAR1 no Parquet PAR1")
    one = sink(tmp_path)
    one.open()
    one.write(Batch(events("a", "c", "d")))
    one.close()
    damaged.unlink()
    assert ids_in(tmp_path / "archive") == Counter("acd")
    assert f"{damaged} can't be read" in caplog.text


def test_a_damaged_file_is_not_merged_and_holds_up_nothing(tmp_path, caplog):
    write(tmp_path, *(events(f"{at}") for at in range(4)), compact=8)
    damaged = counting_files(tmp_path / "archive")[1]
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    write(tmp_path, *(events(f"{at}") for at in range(4, 20)), compact=4)
    assert damaged.exists()
    assert str(damaged) in caplog.text
    damaged.unlink()
    assert ids_in(tmp_path / "archive") == Counter(f"{at}" for at in range(20) if at != 1)


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_and_folders_are_readable_by_the_owner_alone(tmp_path):
    write(tmp_path, events("a"))
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "archive").rglob("*")}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}


def test_what_a_killed_process_left_goes_when_the_archive_is_opened(tmp_path):
    write(tmp_path, events("a"), events("b"))
    first, _second = counting_files(tmp_path / "archive")
    (first.parent / ".part-0000000003-0000000003.parquet.new").write_bytes(b"half")
    (first.parent / "part-0000000001-0000000002.parquet").write_bytes(first.read_bytes())  # a merge that removed nothing yet
    (first.parent / "notes.txt").write_text("not ours")
    one = sink(tmp_path)
    one.open()
    one.close()
    assert sorted(path.name for path in first.parent.iterdir()) == ["notes.txt", "part-0000000001-0000000002.parquet"]


def test_rows_are_sorted_by_time(tmp_path):
    late, early = events("a", CreationTime=f"{DAY}T09:00:00"), events("b", CreationTime=f"{DAY}T07:00:00")
    write(tmp_path, [*late, *early])
    (file,) = counting_files(tmp_path / "archive")
    assert [one for (one,) in duckdb.execute("SELECT id FROM read_parquet(?)", [str(file)]).fetchall()] == ["b", "a"]


def test_a_folder_with_other_files_is_no_archive(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "thesis.txt").write_text("mine")
    one = sink(tmp_path)
    assert [finding.message for finding in one.check() if finding.level == "error"] == [
        "holds other files (thesis.txt), and is no archive"
    ]
    with pytest.raises(SinkDenied, match=r"thesis\.txt"):
        one.open()
    one.close()
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["thesis.txt"]


def test_one_pipeline_at_a_time_writes(tmp_path):
    one, other = sink(tmp_path), sink(tmp_path)
    one.open()
    with pytest.raises(SinkUnavailable, match=rf"another pipeline \(process {os.getpid()}\) writes to this archive"):
        other.open()
    assert [finding.message for finding in other.check() if finding.level == "warning"] == [
        f"another pipeline (process {os.getpid()}) writes to it"
    ]
    one.close()
    other.open()
    other.close()


def test_check_leaves_nothing_behind(tmp_path):
    assert [finding.level for finding in sink(tmp_path).check()] == ["ok"]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_rights(tmp_path):
    """A folder in which nothing may be made, also where root, who may write everywhere, runs the tests."""
    tmp_path.chmod(0o500)
    if is_root := os.geteuid() == 0:
        os.seteuid(STRANGER)
    yield tmp_path
    if is_root:
        os.seteuid(0)


def test_a_folder_without_rights_pauses_the_sink(without_rights):
    with pytest.raises(SinkDenied, match="permissions"):
        sink(without_rights).open()


def test_without_the_extra_it_is_said_what_to_install(tmp_path):
    code = """
import sys
sys.modules["duckdb"] = None
sys.path[:0] = ["tests"]
from pathlib import Path
from archives.scene import build, fakes
from ualpipe.sinks.archive import ArchiveSink
one = ArchiveSink(build(ArchiveSink.Config, {"path": "archive"}, Path(sys.argv[1])), fakes.env("kept"))
print([finding.action for finding in one.check() if finding.level == "error"])
try:
    one.open()
except Exception as exc:
    print(type(exc).__name__, exc)
"""
    code = code.replace("from archives.scene import build, fakes", "import fakes\nfrom ualpipe.pipeline.options import build")
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        """["pip install 'ualpipe[reports]'"]""",
        "ConfigError an archive needs the extra `reports`: pip install 'ualpipe[reports]'",
    ], done.stderr


# --- what goes after its time ----------------------------------------------------------------------------------------


def test_days_go_as_a_whole_when_their_last_event_is_too_old(tmp_path):
    clock = FakeClock()  # at noon of the day
    one = sink(tmp_path, clock, keep="2d")
    one.open()
    one.write(Batch([*events("a"), *events("b", day="2026-11-19"), *events("c", day="2026-11-18")]))
    assert ids_in(tmp_path / "archive") == Counter("abc")
    clock.advance(DAY_S / 2)  # the first instant at which all of the oldest day is too old
    one.write(Batch(events("d")))
    assert ids_in(tmp_path / "archive") == Counter("abd")
    assert not (tmp_path / "archive" / f"tenant={TENANT}" / "date=2026-11-18").exists()
    one.close()


def test_days_go_once_an_hour_also_where_no_event_comes(tmp_path):
    clock = FakeClock()
    one = sink(tmp_path, clock, keep="1d")
    one.open()
    one.write(Batch(events("a")))
    clock.advance(1.5 * DAY_S)
    one.note_coverage([])
    assert ids_in(tmp_path / "archive") == Counter()
    one.close()


def test_events_without_a_time_go_by_when_they_were_written_also_when_they_were_merged(tmp_path):
    now = FakeClock().now().timestamp()
    write(tmp_path, events("a", day="no day"), events("b", day="no day"), compact=9)
    for file in counting_files(tmp_path / "archive"):
        os.utime(file, (now, now - DAY_S - 1))
    write(tmp_path, events("c", day="no day"), compact=2)
    file, _last = counting_files(tmp_path / "archive")
    assert file.name == "part-0000000001-0000000002.parquet"
    one = sink(tmp_path, FakeClock(), keep="1d")
    one.open()
    one.close()
    assert ids_in(tmp_path / "archive") == Counter("c")


def test_events_that_are_too_old_are_passed_over_counted_and_said_once(tmp_path, caplog):
    caplog.set_level("INFO")
    one = sink(tmp_path, FakeClock(), keep="2d")
    one.open()
    for ids in (("a", "b"), ("c",)):
        assert not one.write(Batch(events(*ids, day="2026-11-01")))
    one.write(Batch(events("d")))
    one.close()
    assert ids_in(tmp_path / "archive") == Counter("d")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "events of 2026-11-01 are older than `keep`: they, and others as old, are not written"
    ]
    assert [record.older_than_keep for record in caplog.records if hasattr(record, "older_than_keep")] == [3]


# --- errors of the disk ----------------------------------------------------------------------------------------------


def test_a_full_disk_is_waited_for_and_nothing_of_the_write_stays(tmp_path):
    """In a process of its own on a disk of a megabyte: the sink says so, and goes on when there is room again."""
    disk = SmallDisk(tmp_path / "small", "1m")
    code = Path(__file__).with_name("full_disk_child.py")
    command = [*disk.before, sys.executable, str(code), str(disk.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "tests"})
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["error"].startswith("SinkUnavailable")
    assert "the disk is full; make room, what was not written comes again" in said["error"]
    assert said["left"] == ["part-0000000001-0000000001.parquet"]
    assert said["then"] == 301


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        (
            'IO Error: Async write failed: {"exception_message":"Could not write: …","errno":"28"}',
            SinkUnavailable,
            "disk is full",
        ),
        (f'IO Error: Could not write file "x": {os.strerror(errno.EDQUOT)}', SinkUnavailable, "disk is full"),
        (f'IO Error: Cannot open file "x": {os.strerror(errno.EACCES)}', SinkDenied, "permissions"),
        (f'IO Error: Cannot open file "x": {os.strerror(errno.EROFS)}', SinkDenied, "permissions"),
        ("Out of Memory Error: failed to allocate 16 MiB\n\nPossible solutions:", SinkUnavailable, "failed to allocate 16 MiB"),
        ("", SinkUnavailable, "Error"),
    ],
)
def test_errors_of_duckdb_are_told_apart(told, kind, words):
    error = as_sink_error(duck.error()(told), Path("archive"))
    assert type(error) is kind
    assert words in str(error)
    assert "Possible solutions" not in str(error)


def test_a_text_within_a_message_is_no_error_of_the_system():
    assert told_number(f'Binder Error: column "{os.strerror(errno.ENOSPC)}" not found') == 0


def test_whatever_comes_is_written(tmp_path):
    odd = make_events(3, UserId={"a": 1}, Operation=None, RecordType="x" * 300, OrganizationId="../../etc/\x00" + "y" * 400)
    write(tmp_path, odd)
    assert sum(ids_in(tmp_path / "archive").values()) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"archive"}
