"""``ualpipe explain`` from end to end: which record, what is shown, what is said when there is none."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakes import record, records
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands._tables import MAX_SHOWN, Printer, shown

Run = Callable[..., tuple[int, str, str]]
CONFIG = """\
version: 1
pipeline: explained
state_dir: state
sources: {in: {type: files, paths: [in]}}
transforms:
  - {type: validate, on_invalid: dead_letter}
  - {type: ecs, mapping: [own.yaml], keep_original: true}
  - {type: filter, drop: {event.action: UserLoggedIn}}
sinks: {out: {type: file, path: out.ndjson}}
"""
OWN = "rows:\n  - {to: labels.department, from: Department, when: {Workload: [SharePoint]}, note: ours}\n"


pytestmark = pytest.mark.usefixtures("quiet_logs")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["explain", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "own.yaml").write_text(OWN, encoding="utf-8")
    path = tmp_path / "pipeline.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def written(folder: Path, content: Any) -> Path:
    path = folder / "record.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def told(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


def lines_with(out: str, word: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith(word)]


# Which record


SEVERAL = records(1, 3)
NDJSON = b"\n".join(json.dumps(one).encode() for one in SEVERAL)


@pytest.mark.parametrize(
    "body", [NDJSON, b"\xef\xbb\xbf" + NDJSON.replace(b"\n", b"\r\n") + b"\r\n", json.dumps(SEVERAL, indent=1).encode()]
)
def test_record_is_chosen_by_id_or_line_else_it_is_the_first(run: Run, tmp_path: Path, body: bytes) -> None:
    path = written(tmp_path, body)
    ids = [one["Id"] for one in SEVERAL]
    assert told(run(path, "--json")[1])["record"]["id"] == ids[0]
    assert told(run(path, "--json", "--line", 2)[1])["record"]["id"] == ids[1]
    assert told(run(path, "--json", "--id", ids[2])[1])["record"]["id"] == ids[2]


def test_note_says_that_there_are_more_records(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, NDJSON)
    assert run(path)[1].splitlines()[0] == f"note: {path} holds 3 records; this is the first (choose by --id or --line)"
    assert "note:" not in run(path, "--line", 1)[1]


def test_lines_are_counted_as_an_editor_does(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, b"\n\n" + NDJSON.replace(b"\n", b"\n\n"))
    assert told(run(path, "--json", "--line", 5)[1])["record"]["id"] == SEVERAL[1]["Id"]


def test_record_may_stand_on_several_lines_or_come_on_stdin(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(record(7), indent=2).encode()
    from_file = told(run(written(tmp_path, body), "--json")[1])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(body)))
    assert told(run("-", "--json")[1]) == from_file
    assert from_file["record"]["id"] == record(7)["Id"]


def test_bad_neighbours_do_not_matter(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, NDJSON + b'\n{"torn": \n[1]')
    assert run(path, "--line", 3)[0] == 0
    code, _out, said = run(path)
    assert code == 1, "nobody chose a record"
    assert said.count("not read: ") == 1


def test_a_record_that_can_not_be_mapped_is_told_on_stderr_with_exit_code_1(run: Run, tmp_path: Path) -> None:
    code, _out, said = run(written(tmp_path, record(1, CreationTime="2026-02-30T08:00:00")))
    assert (code, said) == (1, "not mapped: /CreationTime: is no time; @timestamp is when the record was received\n")
    assert run(written(tmp_path, record(1, UserId=5)))[::2] == (0, ""), "its document is good but for one field"


@pytest.mark.parametrize(
    ("body", "arguments", "complaint"),
    [
        (b"", [], "{path} is empty: it should hold a record, a JSON object"),
        (b" \n\xef\xbb\xbf"[2:], [], "{path} is empty: it should hold a record, a JSON object"),
        (b"[]", [], "{path} holds no record: it should hold a JSON object"),
        (b"<xml/>", [], "{path}: XML or HTML: "),
        (b'{"a": 1', [], "{path}: not JSON: "),
        (b'{\n"a": 1\n', [], "{path}"),
        (b"[1, {}]", [], "{path}: a JSON number, not an object, in line 1"),
        (b'[{"Id', [], "{path}: not JSON: "),
        (b'"text"', [], "{path}: neither JSON nor an export of an audit search"),
        (b'{"a": 1}', [], "{path}: a JSON object, but no audit record"),
        (NDJSON, ["--line", "4"], "{path} has no record at 4: the last is at 3"),
        (NDJSON, ["--line", "0"], "{path} has no record at 0: the last is at 3"),
        (NDJSON, ["--id", SEVERAL[0]["Id"][:-1] + "9"], "{path} has no record with the Id "),
        (NDJSON + b"\n{", ["--line", "4"], "{path}: not JSON: "),
        (b'{"Operation": "x"}', ["--field", "usr.name"], "no rule fills usr.name, and this record has no such field (did"),
    ],
)
def test_what_can_not_be_explained_is_exit_code_2_in_one_line(
    run: Run, tmp_path: Path, body: bytes, arguments: list[str], complaint: str
) -> None:
    path = written(tmp_path, body)
    code, out, err = run(path, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(complaint.format(path=path))
    assert len(err.splitlines()) == 1


def test_missing_file_and_folder_are_exit_code_2(run: Run, tmp_path: Path) -> None:
    assert run(tmp_path / "none") == (2, "", f"{tmp_path}/none: can't read it: No such file or directory\n")
    assert run(tmp_path) == (2, "", f"{tmp_path}: can't read it: Is a directory\n")


def test_unknown_id_has_a_suggestion(run: Run, tmp_path: Path) -> None:
    wanted = SEVERAL[1]["Id"]
    assert f"(did you mean {wanted}?)" in run(written(tmp_path, SEVERAL), "--id", wanted[:-2] + wanted[-1])[2]


# What is said


def test_every_field_is_shown_with_value_and_maker(run: Run, tmp_path: Path) -> None:
    code, out, err = run(written(tmp_path, record(1, ClientIP="203.0.113.7")))
    assert (code, err) == (0, "")
    (line,) = lines_with(out, "source.ip ")
    assert re.fullmatch(r"source\.ip +203\.0\.113\.7 +common\.yaml:\d+ address of ClientIP", line)
    assert "The record fits its schema, sharepoint.json." in out
    (line,) = lines_with(out, "RecordType ")
    assert line.split()[:3] == ["RecordType", "RecordType", "record_type"]


def test_empty_values_and_what_stands_as_delivered_are_named(run: Run, tmp_path: Path) -> None:
    out = run(written(tmp_path, record(1, Empty="", Kept="x")))[1]
    assert lines_with(out, "left out, as empty: ") == ["left out, as empty: /Empty"]
    assert "Kept" in lines_with(out, next(line for line in out.splitlines() if "as delivered:" in line).split(":")[0])[0]


def test_findings_have_pointer_and_schema(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, record(1, CreationTime="yesterday"))
    (finding,) = told(run(path, "--json")[1])["findings"]
    assert (finding["pointer"], finding["schema"]) == ("/CreationTime", "common.json#/properties/CreationTime")
    assert lines_with(run(path)[1], "/CreationTime ")


def test_config_brings_its_own_options_and_mapping(run: Run, tmp_path: Path, config: Path) -> None:
    path = written(tmp_path, record(1, Department="Sales", Workload="SharePoint"))
    found = told(run("--config", config, path, "--json")[1])
    fields = {one["field"]: one for one in found["fields"]}
    (made,) = fields["labels.department"]["makers"]
    assert (made["value"], made["sources"]) == ("Sales", ["Department"])
    rule = made["rule"]
    assert (rule["file"], rule["line"], rule["own"], rule["note"]) == (str(tmp_path / "own.yaml"), 2, True, "ours")
    assert rule["when"] == ["Workload: [SharePoint]"]
    assert fields["event.original"]["makers"][0]["rule"]["does"] == "keep_original"
    assert fields["event.original"]["value"] == path.read_text(encoding="utf-8")
    assert found["outcome"]["document"]["labels"] == {"department": "Sales"}


def test_filtered_and_refused_records_say_why_there_is_no_document(run: Run, tmp_path: Path, config: Path) -> None:
    code, out, _err = run("--config", config, written(tmp_path, record(1, Operation="UserLoggedIn")))
    assert code == 0
    assert "No document: transforms[2] filter leaves the event out" in out
    code, out, _err = run("--config", config, written(tmp_path, record(1, UserType="nonsense")))
    assert code == 1
    assert "No document: SchemaMismatch: /UserType" in out
    assert "ECS fields" not in out


def test_field_that_is_asked_for_shows_every_row_that_was_tried(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, record(1, UserId="sana@contoso.com", UserKey="key"))
    code, out, _err = run(path, "--field", "user.id", "--field", "user.target.name")
    assert code == 0
    assert "user.id: sana@contoso.com" in out
    assert re.search(r"common\.yaml:\d+ +identity of UserId +made sana@contoso\.com|made \"sana@contoso\.com\" of UserId", out)
    assert re.search(r"user_id of UserKey +common\.yaml:\d+ has filled it", out)
    assert "user.target.name: not in the document" in out
    assert re.search(r"^rows for other kinds of records: .*exchange_mailbox\.yaml", out, re.MULTILINE)
    found = told(run(path, "--field", "user.id", "--json")[1])
    assert {one["field"] for one in found["attempts"]} == {"user.id"}
    assert found["attempts"][0]["result"] == "made"
    assert [one["field"] for one in found["fields"]] == ["user.id"]
    assert found["originals"] == []


def test_original_may_be_asked_for_by_either_name(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, record(1))
    by_full, by_own = (run(path, "--field", name)[1] for name in ("o365.audit.RecordType", "RecordType"))
    assert by_full == by_own
    assert "the number became text" in by_full


def test_help_shows_how_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    assert "--field FIELD" in capsys.readouterr().out


# How it is shown


def test_terminal_gets_a_folded_table_no_wider_than_itself(tmp_path: Path) -> None:
    path = written(tmp_path, record(1, UserAgent="Mozilla/5.0 " * 20, UserId="sana@contoso.com"))
    ours, theirs = pty.openpty()
    code = [sys.executable, "-m", "ualpipe.pipeline.cli", "explain", str(path)]
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(code, stdout=theirs, env=env) as process:
        os.close(theirs)
        text = _read_all(ours)
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert "\x1b[1m" in text
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert any(line.startswith("user.id ") and "identity of UserId" in line for line in lines)


def _read_all(handle: int) -> str:
    parts = []
    with open(handle, "rb", buffering=0) as stream:
        try:
            while part := stream.read(65536):
                parts.append(part)
        except OSError:  # how Linux says that the other side of a terminal is closed
            pass
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain text", "plain text"),
        ("true", '"true"'),
        ("5", '"5"'),
        ("", '""'),
        (" a", '" a"'),
        ("a\nb", '"a\\nb"'),
        (5, "5"),
        (None, "null"),
        (["a", "é"], '["a", "é"]'),
    ],
)
def test_values_are_shown_so_that_text_and_other_values_differ(value: Any, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut_on_terminals_only() -> None:
    text = "x" * (MAX_SHOWN + 1)
    assert Printer(is_terminal=False).short(text) == text
    assert Printer(is_terminal=True).short(text) == "x" * MAX_SHOWN + f"… ({MAX_SHOWN + 1} characters)"
