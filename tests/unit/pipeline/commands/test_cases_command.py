"""``ualpipe test`` from end to end: cases that pass and fail, what differs, rows that no case reaches, ``--update``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes import record
from ualpipe.pipeline.cli import main

Run = Callable[..., tuple[int, str, str]]
OWN = """\
rows:
  - {to: labels.department, from: Department}
  - {to: labels.guest, value: "yes", when: {UserId|contains: "#ext#"}}
  - {to: related.user, from: UserId}
operations:
  - {category: web, type: info, names: [Own*]}
"""
CONFIG = """\
version: 1
pipeline: tested
state_dir: state
sources: {in: {type: files, paths: [in]}}
transforms:
  - {type: validate, on_invalid: dead_letter}
  - {type: ecs, mapping: [own.yaml]}
  - {type: filter, drop: {event.action: UserLoggedIn}}
sinks: {out: {type: file, path: out.ndjson}}
"""
SALES = record(1, Department="Sales")


pytestmark = pytest.mark.usefixtures("quiet_logs")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["test", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.yaml"
    path.write_text(OWN, encoding="utf-8")
    return path


def cases(folder: Path, *entries: Any) -> Path:
    path = folder / "cases.ndjson"
    path.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in entries))
    return path


def told(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


def passing(run: Run, path: Path, *arguments: object) -> Path:
    """Brings cases up to date, so that they pass."""
    assert run(path, "--update", *arguments)[0] == 0
    return path


# Pass and fail


def test_cases_that_are_as_expected_pass(run: Run, own: Path, tmp_path: Path) -> None:
    path = passing(run, cases(tmp_path, {"record": SALES}, {"record": record(2)}), "--mapping", own)
    code, out, err = run(path, "--mapping", own)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "2 cases, none failed; 2 of 4 rows reached"


def test_each_field_that_differs_is_shown(run: Run, own: Path, tmp_path: Path) -> None:
    path = passing(run, cases(tmp_path, {"name": "sales", "record": SALES}), "--mapping", own)
    entry = told(path.read_text(encoding="utf-8"))
    document = entry["document"]
    document["labels"]["department"] = "Marketing"
    del document["event"]["kind"]
    document["user"]["nickname"] = "s"
    cases(tmp_path, entry)
    code, out, _err = run(path, "--mapping", own)
    assert code == 1
    assert [line.split() for line in out.splitlines()[:5]] == [
        ["FAILED", "sales"],
        ["field", "expected", "got"],
        ["event.kind", "(not", "there)", "event"],
        ["labels.department", "Marketing", "Sales"],
        ["user.nickname", "s", "(missing)"],
    ]
    found = told(run(path, "--mapping", own, "--json")[1])
    assert (found["passed"], found["failed"]) == (0, 1)
    assert found["cases"][0]["differences"] == [
        {"field": "event.kind", "kind": "unexpected", "got": "event"},
        {"field": "labels.department", "kind": "different", "expected": "Marketing", "got": "Sales"},
        {"field": "user.nickname", "kind": "missing", "expected": "s"},
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"labels.department": "Sales"}, 0),
        ({"labels": {"department": "Sales"}, "event.action": "FileAccessed"}, 0),
        ({"labels.guest": None, "user.target": None}, 0),
        ({"labels.department": "sales"}, 1),
        ({"labels.department": None}, 1),
        ({"labels.floor": "3"}, 1),
    ],
)
def test_some_fields_are_enough(run: Run, own: Path, tmp_path: Path, fields: dict[str, Any], code: int) -> None:
    assert run(cases(tmp_path, {"record": SALES, "fields": fields}), "--mapping", own)[0] == code


def test_case_without_an_expectation_fails_and_says_what_to_do(run: Run, tmp_path: Path) -> None:
    path = cases(tmp_path, {"record": SALES})
    code, out, _err = run(path)
    assert code == 1
    assert out.splitlines()[:2] == [f"FAILED  {path}:1", "nothing is expected of it yet; --update takes what comes out"]


def test_config_brings_all_its_transforms(run: Run, own: Path, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    error = {
        "error": {
            "code": "SchemaMismatch",
            "message": "/UserType: must be a number; is text of length 8",
            "pointer": "/UserType",
        }
    }
    path = cases(
        tmp_path,
        {"name": "filtered", "record": record(1, Operation="UserLoggedIn"), "document": None},
        {"name": "refused", "record": record(2, UserType="nonsense"), "document": error},
        {"name": "sales", "record": SALES, "fields": {"labels.department": "Sales"}},
    )
    found = told(run(path, "--config", config, "--json")[1])
    assert {case["name"]: case["passed"] for case in found["cases"]} == {"filtered": True, "refused": True, "sales": True}, found


def test_document_where_none_is_expected_fails(run: Run, tmp_path: Path) -> None:
    code, out, _err = run(cases(tmp_path, {"record": SALES, "document": None}))
    assert code == 1
    assert "(document)" in out


# Rows that no case reaches


def unreached(out: str) -> dict[int, str]:
    return {one["line"]: one["why"] for one in told(out)["unreached"]}


def test_own_rows_that_no_case_reaches_are_named_with_the_reason(run: Run, own: Path, tmp_path: Path) -> None:
    path = cases(tmp_path, {"record": record(1), "fields": {}})
    assert unreached(run(path, "--mapping", own, "--json")[1]) == {
        2: "what it reads stood in no case",
        3: "its conditions held in no case",
        6: "no case has a record of its kind",
    }
    out = run(path, "--mapping", own)[1]
    assert "Rows that no case reaches" in out
    assert "own.yaml:3  labels.guest" in out


def test_row_that_one_case_reaches_is_reached(run: Run, own: Path, tmp_path: Path) -> None:
    guest = record(2, UserId="kofi#ext#@contoso.com", Operation="OwnThing")
    path = cases(tmp_path, {"record": SALES, "fields": {}}, {"record": guest, "fields": {}})
    found = told(run(path, "--mapping", own, "--json")[1])
    assert (found["rows"], found["unreached"]) == (4, [])


def test_row_that_never_comes_to_its_turn_is_named(run: Run, tmp_path: Path, own: Path) -> None:
    own.write_text(
        "record_types: [6]\nrows:\n  - {to: event.reason, value: a}\n  - {to: event.reason, value: b}\n"
        "  - {to: file.hash.sha256, from: UserId, as: sha256}\n",
        encoding="utf-8",
    )
    path = cases(tmp_path, {"record": record(1, RecordType=6), "fields": {}})
    assert unreached(run(path, "--mapping", own, "--json")[1]) == {
        4: "another row has always filled the field first",
        5: "nothing could be made of what stood there",
    }
    path = cases(tmp_path, {"record": record(1, RecordType=50), "fields": {}})
    assert set(unreached(run(path, "--mapping", own, "--json")[1]).values()) == {"no case has a record of its kind"}


def test_rows_of_ours_are_looked_at_when_asked_for(run: Run, tmp_path: Path) -> None:
    path = cases(tmp_path, {"record": SALES, "fields": {}})
    assert told(run(path, "--json")[1])["rows"] == 0
    found = told(run(path, "--json", "--all-rows")[1])
    files = {one["file"] for one in found["unreached"]}
    assert {"azure_ad.yaml", "dlp.yaml"} <= files
    assert 0 < len(found["unreached"]) < found["rows"]
    assert run(path)[1] == "1 case, none failed\n"


# --update


def test_update_changes_only_cases_that_fail_and_keeps_the_rest_as_written(run: Run, own: Path, tmp_path: Path) -> None:
    kept = b'{"fields":   {"labels.department": "Sales"}, "record": ' + json.dumps(SALES).encode() + b"}\n"
    path = cases(
        tmp_path, kept, b"\n", {"name": "é", "record": SALES, "fields": {"labels.department": "x", "user": {"nick": None}}}
    )
    code, out, _err = run(path, "--mapping", own, "--update")
    assert code == 0
    assert out.splitlines()[0] == "updated  é"
    first, blank, second, _end = path.read_bytes().split(b"\n")
    assert (first + b"\n", blank) == (kept, b"")
    assert json.loads(second)["fields"] == {"labels.department": "Sales", "user.nick": None}
    assert "é" in second.decode()
    assert run(path, "--mapping", own)[0] == 0


def test_update_of_passing_cases_writes_nothing(run: Run, tmp_path: Path) -> None:
    path = cases(tmp_path, {"record": SALES, "fields": {}})
    path.chmod(0o400)
    before = path.stat().st_mtime_ns
    assert run(path, "--update")[0] == 0
    assert path.stat().st_mtime_ns == before


def test_update_does_not_follow_a_link_and_keeps_the_permissions_of_the_file(run: Run, tmp_path: Path) -> None:
    path = cases(tmp_path, {"record": SALES, "fields": {"event.kind": "wrong"}})
    path.chmod(0o640)
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    code, _out, err = run(tmp_path / "link", "--update")
    assert code == 2
    assert "link: can't write it: it is a symbolic link" in err
    assert path.read_bytes() == before
    (tmp_path / f".{path.name}.new").symlink_to(tmp_path / "elsewhere")
    assert run(path, "--update")[0] == 0
    assert path.read_bytes() != before
    assert path.stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("form", [[{"record": SALES}, {"record": record(2)}], {"record": SALES}])
def test_cases_may_be_an_array_or_one_object(run: Run, tmp_path: Path, form: Any) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(form, indent=1), encoding="utf-8")
    assert run(path)[0] == 1
    assert run(passing(run, path))[0] == 0
    assert type(json.loads(path.read_bytes())) is type(form)


def test_folder_of_pairs(run: Run, own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    folder.mkdir()
    for name, one in (("sales", SALES), ("other", record(2))):
        (folder / f"{name}.record.json").write_text(json.dumps(one, indent=2), encoding="utf-8")
    (folder / "README.md").write_text("not a case", encoding="utf-8")
    assert run(folder, "--mapping", own)[0] == 1
    passing(run, folder, "--mapping", own)
    assert sorted(path.name for path in folder.glob("*.json")) == [
        "other.document.json", "other.record.json", "sales.document.json", "sales.record.json",
    ]  # fmt: skip
    code, out, _err = run(folder, "--mapping", own, "--json")
    assert (code, [case["name"] for case in told(out)["cases"]]) == (0, ["other", "sales"])
    (folder / "sales.document.json").write_text("null", encoding="utf-8")
    assert run(folder, "--mapping", own)[0] == 1


# What is no case


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "{path} has no cases: a case is a line such as "),
        (b"[]", "{path} has no cases: "),
        (b"{", "{path}:1: not JSON: "),
        (b"[1, 2", "{path}: not JSON: "),
        (b'"text"', "{path}:1: not a JSON object"),
        (b"[5]", "{path}[1]: a case is a JSON object with `record` and `document`, or `fields`"),
        (b'{"document": {}}', "{path}:1: `record` is missing: the audit record, an object"),
        (b'{"record": {}, "documnet": {}}', "{path}:1: documnet: unknown key (did you mean document?)"),
        (b'{"record": {}, "fields": []}', "{path}:1: `fields` are an object"),
        (b'{"record": {}, "document": 5}', "{path}:1: `document` is an object, or null"),
    ],
)
def test_what_is_no_case_is_exit_code_2(run: Run, tmp_path: Path, body: bytes, complaint: str) -> None:
    path = cases(tmp_path, body)
    code, out, err = run(path)
    assert (code, out) == (2, "")
    assert err.startswith(complaint.format(path=path))


def test_all_that_is_wrong_in_a_file_is_named_at_once_but_no_more_than_helps(run: Run, tmp_path: Path) -> None:
    err = run(cases(tmp_path, b"x\n" * 50))[2].splitlines()
    assert len(err) == 21
    assert err[-1] == "and 30 more"


def test_half_a_pair_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.document.json").write_text("{}", encoding="utf-8")
    (tmp_path / "b.record.json").write_text("{torn", encoding="utf-8")
    first, second = run(tmp_path)[2].splitlines()
    assert first.startswith(f"{tmp_path}/b.record.json: not JSON: ")
    assert second == f"{tmp_path}/a.document.json: there is no a.record.json beside it"


def test_missing_cases_and_folders_without_any_are_exit_code_2(run: Run, tmp_path: Path) -> None:
    assert run(tmp_path / "none") == (2, "", f"{tmp_path}/none: can't read it: No such file or directory\n")
    assert run(tmp_path) == (2, "", f"{tmp_path} has no cases: a case is NAME.record.json with NAME.document.json\n")


def test_mistakes_in_mapping_files_are_exit_code_2_with_places(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("rows:\n  - {to: usr.name, from: UserId}\n  - {to: user.name, from: UserId, as: lowr}\n", encoding="utf-8")
    code, out, err = run(cases(tmp_path, {"record": SALES}), "--mapping", bad, "--mapping", tmp_path / "none.yaml")
    assert (code, out) == (2, "")
    missing, *defects = err.splitlines()
    assert missing == f"{tmp_path}/none.yaml: can't read the mapping file: No such file or directory"
    assert [line.split("  ")[0] for line in defects[:2]] == [f"{bad}:2:6", f"{bad}:3:35"]


def test_config_and_mapping_exclude_one_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["test", str(tmp_path), "--config", "a", "--mapping", "b"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


# What wrote the files


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-be"])
def test_cases_are_read_whatever_encoding_a_tool_wrote(run: Run, tmp_path: Path, encoding: str) -> None:
    entry = {"record": record(1), "fields": {"event.action": "FileAccessed"}}
    path = cases(tmp_path, (json.dumps(entry) + "\n").encode(encoding))
    assert run(path)[0] == 0


def test_the_record_of_a_pair_may_be_as_a_tool_exported_it(run: Run, tmp_path: Path) -> None:
    exported = {"RecordId": "x", "AuditData": json.dumps(record(1))}
    (tmp_path / "a.record.json").write_text(json.dumps(exported), encoding="utf-16")
    assert run(tmp_path, "--update")[0] == 0
    assert told((tmp_path / "a.document.json").read_text(encoding="utf-8"))["event"]["id"] == record(1)["Id"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (json.dumps([record(1), record(2)]).encode(), "a.record.json: holds 2 records: a case is one"),
        (b"%PDF-1.7 \x00", "a.record.json: "),
        (json.dumps({"value": [], "colour": 1}).encode(), "a.record.json: "),
    ],
)
def test_a_pair_whose_record_can_not_be_read_is_named_with_the_reason(
    run: Run, tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "a.record.json").write_bytes(content)
    code, _out, err = run(tmp_path)
    assert code == 2
    assert complaint in err
