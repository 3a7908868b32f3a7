"""What pipelines say of their streams beside the events, and what a reader makes of files that hold something else."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime

import pytest

from archives.sinks import sink
from ualpipe.pipeline.errors import SinkDenied
from ualpipe.pipeline.stages import Gap, StreamCoverage
from ualpipe.sinks.archive.coverage import read_coverage, write_coverage

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GAP = Gap(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC), "the service was asked too late")
WHOLE = StreamCoverage("contoso", "t", "Audit.General", NOW, NOW, 1, 2, 3, NOW, (GAP,))
NEVER = StreamCoverage("contoso", "", "Audit.Exchange", None, None)


def test_what_was_written_is_read(tmp_path):
    write_coverage(tmp_path, "one", [WHOLE, NEVER], NOW)
    write_coverage(tmp_path, "b/../two", [NEVER], NOW)
    streams, said_at = read_coverage(tmp_path)
    assert list(streams) == [NEVER, WHOLE, NEVER]
    assert said_at == {"one": NOW, "b/../two": NOW}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "_coverage").iterdir()} == {0o600}


def test_the_last_word_of_a_pipeline_counts(tmp_path):
    write_coverage(tmp_path, "one", [WHOLE, NEVER], NOW)
    write_coverage(tmp_path, "one", [NEVER], NOW)
    assert list(read_coverage(tmp_path)[0]) == [NEVER]


def test_where_nobody_said_anything_nothing_is_known(tmp_path):
    assert read_coverage(tmp_path) == ([], {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format":2,"streams":[]}',
        b'{"format":1,"pipeline":"a","said_at":"never","streams":[]}',
        b'{"format":1,"pipeline":"a","said_at":"2026-11-20T12:00:00Z","streams":[5]}',
        b'{"format":1,"pipeline":"a","said_at":"2026-11-20T12:00:00Z","streams":[{"source":5}]}',
        b"[" * 100_000,
        b" " * 5_000_000,
    ],
)
def test_a_broken_file_is_named_and_the_others_count(tmp_path, content):
    write_coverage(tmp_path, "one", [WHOLE], NOW)
    broken = tmp_path / "_coverage" / "broken.json"
    broken.write_bytes(content)
    (tmp_path / "_coverage" / ".one.json.77.new").write_bytes(b"half")
    damaged = {}
    streams, _said_at = read_coverage(tmp_path, damaged.__setitem__)
    assert list(streams) == [WHOLE]
    assert list(damaged) == [broken]


def test_the_sink_notes_coverage_before_open_beside_a_write_and_after_close(tmp_path):
    one = sink(tmp_path)
    one.note_coverage([NEVER])
    one.open()
    with one._mutex:
        teller = threading.Thread(target=one.note_coverage, args=[[WHOLE]])
        teller.start()
        teller.join(10)
        assert not teller.is_alive()
    assert list(read_coverage(tmp_path / "archive")[0]) == [WHOLE]
    one.close()
    one.note_coverage([WHOLE, NEVER])
    assert len(read_coverage(tmp_path / "archive")[0]) == 2


def test_coverage_that_can_not_be_written_is_an_error_of_the_sink(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "_coverage").mkdir()
    (tmp_path / "archive" / "_coverage" / "pipeline.json").mkdir()
    with pytest.raises(SinkDenied, match="directory"):
        sink(tmp_path).note_coverage([NEVER])
