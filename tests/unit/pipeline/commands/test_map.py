"""``ualpipe map``: a line in, a line out, in the same order, at once."""

import io
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from fakes import record, records
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands._said import MOST_SAID

CONFIG = """\
version: 1
pipeline: map
state_dir: state
sources: {in: {type: files, paths: [in]}}
transforms:
  - {type: validate, on_invalid: dead_letter}
  - {type: ecs}
  - {type: filter, drop: {event.action: UserLoggedIn}}
sinks: {out: {type: file, path: out.ndjson}}
"""
WAIT_S = 20


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def run_map(monkeypatch, capsysbinary, quiet_logs):
    """Maps lines in this process; gives exit code, lines and what was said."""

    def mapped(data: bytes, *arguments: object) -> tuple[int, list, str]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))
        code = main(["map", *map(str, arguments)])
        captured = capsysbinary.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err.decode()

    return mapped


def lines(found: list) -> bytes:
    return b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in found)


def test_each_record_gives_its_document_in_the_same_order(run_map):
    code, found, said = run_map(lines(records(1, 300)))
    assert code == 0
    assert [document["event"]["id"] for document in found] == [one["Id"] for one in records(1, 300)]
    assert said == ""


def test_a_filtered_record_is_null_and_fine(run_map, config):
    data = lines([record(1), record(2, Operation="UserLoggedIn"), record(3)])
    code, found, _said = run_map(data, config)
    assert code == 0
    assert [document and document["event"]["id"][-1] for document in found] == ["1", None, "3"]


def test_a_record_that_cannot_go_on_is_an_error_line_in_its_place(run_map, config):
    code, found, said = run_map(lines([record(1), record(2, UserType="nonsense"), record(3)]), config)
    assert code == 1
    assert list(found[1]) == ["error"]
    assert found[1]["error"]["code"] == "SchemaMismatch"
    assert found[1]["error"]["pointer"] == "/UserType"
    assert found[1]["error"]["message"].startswith("/UserType: ")
    assert "error" not in found[0] | found[2]
    assert "1 record" in said
    assert "could not go on" in said


@pytest.mark.parametrize("bad", [b"{\n", b"nonsense\n", b"[1]\n", b'"\xff"\n', b'{"Id": "a" x}\n', b"{'Id': 1}\n"])
def test_a_line_that_is_no_record_is_an_error_line_where_that_is_asked_for(run_map, config, bad):
    code, found, _said = run_map(lines([record(1), bad, record(3)]), config)
    assert code == 1
    assert len(found) == 3
    assert found[1]["error"]["code"] == "NotJson"


def test_a_line_that_is_no_record_is_a_document_that_says_so_by_default(run_map):
    code, found, said = run_map(lines([record(1), b"nonsense\n", record(3)]))
    assert code == 1
    assert said.endswith("2 records, 2 documents, 1 piece of the input that is no record\n")
    assert said.startswith("not read: not JSON: ")
    assert "in line 2" in said
    assert found[1]["event"]["kind"] == "pipeline_error"
    assert found[1]["event"]["original"] == "nonsense"


def test_blank_lines_and_windows_line_ends_give_nothing(run_map):
    code, found, _said = run_map(b"\n \r\n" + lines([record(1)]).replace(b"\n", b"\r\n") + b"\n")
    assert (code, len(found)) == (0, 1)


def test_a_byte_order_mark_is_no_part_of_the_first_record(run_map):
    code, found, _said = run_map(b"\xef\xbb\xbf" + lines(records(1, 2)))
    assert code == 0
    assert [document["event"]["kind"] for document in found] == ["event", "event"]


def test_a_last_line_without_a_line_break_counts(run_map):
    assert len(run_map(lines(records(1, 2)).rstrip(b"\n"))[1]) == 2


def test_no_input_is_no_output(run_map):
    assert run_map(b"") == (0, [], "")


def test_a_record_larger_than_a_read_is_one_record(run_map):
    _code, found, _said = run_map(lines([record(1, ObjectId="x" * 600_000), record(2)]))
    assert [document["event"]["id"][-1] for document in found] == ["1", "2"]


def test_without_transforms_records_pass_as_they_are(run_map, config):
    config.write_text("".join(line for line in CONFIG.splitlines(keepends=True) if not line.startswith(("transforms", "  -"))))
    assert run_map(lines(records(1, 2)), config)[1] == records(1, 2)


def test_a_wrong_config_is_exit_code_2(config, capsys):
    config.write_text(CONFIG.replace("ecs", "esc"))
    assert main(["map", str(config)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean ecs?" in captured.err


def process() -> subprocess.Popen:
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "map"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_slow_writer_gets_each_answer_before_the_next_line():
    with process() as mapping:
        watchdog = threading.Timer(WAIT_S, mapping.kill)
        watchdog.start()
        for one in records(1, 3):
            text = lines([one])
            os.write(mapping.stdin.fileno(), text[:50])
            os.write(mapping.stdin.fileno(), text[50:])
            assert json.loads(mapping.stdout.readline())["event"]["id"] == one["Id"]
        mapping.stdin.close()
        assert mapping.stdout.read() == b""
        assert mapping.wait() == 0
        assert mapping.stderr.read() == b""
        watchdog.cancel()


def test_a_reader_that_goes_away_ends_it_without_a_word():
    with process() as mapping:
        watchdog = threading.Timer(WAIT_S, mapping.kill)
        watchdog.start()
        mapping.stdout.close()
        try:
            mapping.stdin.write(lines(records(1, 2000)))
            mapping.stdin.close()
        except BrokenPipeError:
            pass
        assert mapping.wait() == 0
        assert mapping.stderr.read() == b""
        watchdog.cancel()


def test_records_that_can_not_be_mapped_are_told_with_place_and_reason_and_exit_code_1(run_map):
    bad = [record(2, CreationTime="never"), {"RecordType": 6, "Operation": "FileAccessed", "Workload": "SharePoint"}]
    code, found, said = run_map(lines([record(1), *bad, record(4, UserId=5)]))
    assert code == 1
    assert len(found) == 4, "each has its document all the same"
    assert said.splitlines() == [
        f"not mapped: line 2, Id {record(2)['Id']}: /CreationTime: must be a UTC time such as 2026-11-20T08:15:00; "
        "is text of length 5",
        "not mapped: line 3: Id is missing; CreationTime is missing; OrganizationId is missing",
        "4 records, 4 documents, no pieces of the input that are no record",
    ]


def test_garbage_ends_with_a_count(run_map):
    code, _found, said = run_map(lines([record(1)]) + b'{"a": 1}\nxx\n')
    assert code == 1
    assert said.splitlines()[-1] == "1 record, 1 document, 2 pieces of the input that are no record"


def test_of_very_many_that_can_not_be_mapped_only_some_are_told(run_map):
    code, _found, said = run_map(lines([record(number, CreationTime="never") for number in range(MOST_SAID + 7)]))
    assert code == 1
    assert len(said.splitlines()) == MOST_SAID + 2
    assert said.splitlines()[-2] == "not mapped: 7 more"


def test_a_record_that_is_refused_or_filtered_is_not_told_twice(run_map, config):
    code, _found, said = run_map(lines([record(2, CreationTime="never")]), config)
    assert (code, "not mapped" in said, "could not go on" in said) == (1, False, True)
