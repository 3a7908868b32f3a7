"""The command line: exit codes, help, and the commands from end to end on a pipeline of files."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version

import jsonschema_rs
import pytest
import yaml

from fakes import record, records
from runs import ids_in, run_once
from ualpipe.pipeline.cli import main

COMMANDS = (
    *("run", "check", "map", "explain", "test", "status", "dead-letters", "replay", "reconcile", "backup"),
    *("tenant", "demo", "plugins", "schema"),
)
CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {archive: {type: files, paths: [in]}}
transforms:
  - {type: validate, on_invalid: dead_letter}
  - {type: ecs}
sinks: {local: {type: file, path: out/audit.ndjson}}
"""
BAD_RECORD = record(9, UserType="nonsense")
BAD_LINE = b'{"Id": "torn'


pytestmark = pytest.mark.usefixtures("quiet_logs")


def make_pipeline(folder, found=(), config: str = CONFIG):
    """Writes a pipeline with one input file, a record or raw text a line."""
    (folder / "in").mkdir()
    (folder / "in" / "a.json").write_bytes(
        b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in found)
    )
    path = folder / "pipeline.yaml"
    path.write_text(config)
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A pipeline that has run once, on five good records, one invalid and one torn; tests only look at it."""
    path = make_pipeline(tmp_path_factory.mktemp("ran"), [*records(1, 5), BAD_RECORD, BAD_LINE])
    return path, *run_once(path)


@pytest.fixture
def run(capsys):
    """Runs a command in this process; gives exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def letters(run, path, *arguments: object) -> list[dict]:
    return [json.loads(line) for line in run("dead-letters", "list", path, *arguments, "--json")[1].splitlines()]


# --- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [[], *([command] for command in COMMANDS), *(["dead-letters", x] for x in ("list", "show", "retry"))]
)
def test_help_is_on_stdout_and_fine(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    captured = capsys.readouterr()
    assert ended.value.code == 0
    assert captured.out.startswith(" ".join(["usage: ualpipe", *arguments]))
    assert captured.err == ""


def test_version_is_said(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ualpipe {version('ualpipe')}\n"


def test_help_names_every_command_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    assert "Exit codes: 0 fine, 1" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments", [[], ["rnu"], ["run"], ["run", "a", "b"], ["check"], ["dead-letters"], ["dead-letters", "list"],
                  ["dead-letters", "show", "a", "x"], ["run", "a", "--log-level", "loud"], ["plugins", "--jsn"]],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2_on_stderr(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("usage: ualpipe")


def test_help_imports_nothing_slow():
    code = (
        "import sys\nfrom ualpipe.pipeline.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert not {"rich", "requests", "yaml", "msal", "kafka", "elasticsearch", "cryptography"} & set(found)


@pytest.mark.parametrize(
    "command", [["run"], ["check"], ["map"], ["status"], ["dead-letters", "list"], ["dead-letters", "retry"]]
)
def test_a_missing_config_is_exit_code_2_in_one_line(command, run, tmp_path):
    code, out, err = run(*command, tmp_path / "none.yaml")
    assert (code, out) == (2, "")
    assert err == f"{tmp_path}/none.yaml: can't read the config: No such file or directory\n"


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_of_a_good_config_is_fine(run, tmp_path):
    path = make_pipeline(tmp_path, records(1, 1))
    assert run("check", path) == (0, f"{path}: the config is fine (sources: 1, transforms: 2, sinks: 1)\n", "")


def test_check_names_all_defects_on_stderr(run, tmp_path):
    path = make_pipeline(
        tmp_path, config=CONFIG.replace("ecs", "esc").replace("paths", "pahts").replace("path: out", "paht: out")
    )
    code, out, err = run("check", path)
    assert (code, out) == (2, "")
    words = ("pahts: unknown key (did you mean paths?)", "did you mean ecs?", "paht: unknown key (did you mean path?)")
    assert all(word in err for word in words)
    assert all(line.startswith(f"{path}:") for line in err.splitlines())
    assert len(err.splitlines()) == 5


def test_check_touches_nothing(run, tmp_path):
    path = make_pipeline(tmp_path, records(1, 1))
    run("check", path, "--live")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "pipeline.yaml"]


def test_check_live_says_what_each_stage_found(run, tmp_path):
    code, out, _err = run("check", make_pipeline(tmp_path, records(1, 1)), "--live")
    assert code == 0
    assert any(line.startswith("ok") and "archive: " in line for line in out.splitlines())
    assert any("local: " in line for line in out.splitlines())


def test_check_live_is_exit_code_3_when_something_refuses_us(run, tmp_path):
    path = make_pipeline(tmp_path, records(1, 1))
    (tmp_path / "out").write_text("a file where the folder should be")
    code, out, _err = run("check", path, "--live")
    assert code == 3
    assert "ERROR    local: " in out
    assert "-> " in out


# --- run, status ------------------------------------------------------------------------------------------------------


def test_a_run_that_sets_something_aside_is_exit_code_1(ran):
    path, code, _log = ran
    assert code == 1
    assert sorted(ids_in(path.parent / "out")) == [one["Id"] for one in records(1, 5)]


def test_the_log_of_a_run_is_json_lines(ran):
    _path, _code, log = ran
    found = [json.loads(line) for line in log.splitlines()]
    assert [line["message"] for line in (found[0], found[-1])] == ["started", "ended"]
    assert found[-1]["dead_letters"] == 2


def test_a_run_without_trouble_is_exit_code_0(tmp_path, run):
    path = make_pipeline(tmp_path, records(1, 5))
    code, log = run_once(path)
    assert code == 0, log
    assert run("status", path)[0] == 0
    assert run("dead-letters", "list", path) == (0, "", "no dead letters\n")


def test_status_for_programs(run, ran):
    code, out, _err = run("status", ran[0], "--json")
    status = json.loads(out)
    (stream,), (sink,) = status["streams"], status["sinks"]
    assert code == 1
    assert (stream["source"], stream["fetched"], stream["waiting"], stream["records"]) == ("archive", 1, 0, 7)
    assert (sink["sink"], sink["delivered"], sink["dead"], sink["backlog"]) == ("local", 5, 2, 0)
    assert status["dead_letters"] == {"NotJson": 1, "SchemaMismatch": 1}
    assert status["gaps"] == []


def test_status_for_people_names_dead_letters_and_what_to_type(run, ran):
    code, out, _err = run("status", ran[0])
    assert code == 1
    assert "pipeline contoso" in out
    assert f"1 dead letter: SchemaMismatch. What to do: ualpipe dead-letters list {ran[0]} --code SchemaMismatch\n" in out


def test_status_before_the_first_run_makes_nothing(run, tmp_path):
    path = make_pipeline(tmp_path)
    code, _out, err = run("status", path)
    assert code == 2
    assert err == f"{tmp_path}/state: there is no journal yet; `ualpipe run` makes it\n"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", [["status"], ["dead-letters", "list"]])
def test_a_state_folder_that_is_none_is_exit_code_2(command, run, tmp_path):
    path = make_pipeline(tmp_path)
    (tmp_path / "state").write_text("a file")
    code, _out, err = run(*command, path)
    assert code == 2
    assert "state" in err


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_dead_letters_are_listed_a_line_each(run, ran):
    code, out, err = run("dead-letters", "list", ran[0])
    assert code == 0
    assert [line.split("  ")[4] for line in out.splitlines()] == ["SchemaMismatch", "NotJson"]
    assert "/UserType" in out
    assert err == "2 dead letters\n"


def test_dead_letters_are_listed_for_programs(run, ran):
    first, second = letters(run, ran[0])
    assert (first["code"], first["pointer"], first["sink"], first["source"]) == ("SchemaMismatch", "/UserType", None, "archive")
    assert (second["code"], second["bytes"]) == ("NotJson", len(BAD_LINE))


def test_dead_letters_are_chosen_by_id_and_code(run, ran):
    (chosen,) = letters(run, ran[0], "--code", "NotJson")
    assert letters(run, ran[0], chosen["id"]) == [chosen]
    assert letters(run, ran[0], "--sink", "local") == []


def test_the_count_below_a_list_is_that_of_the_list(run, ran):
    assert run("dead-letters", "list", ran[0], "--code", "NotJson")[2].startswith("1 dead letter")


def test_a_dead_letter_is_shown_whole(run, ran):
    (chosen,) = letters(run, ran[0], "--code", "SchemaMismatch")
    code, out, _err = run("dead-letters", "show", ran[0], chosen["id"])
    assert code == 0
    assert json.dumps(BAD_RECORD) in out
    assert "pointer:     /UserType" in out


def test_dead_letters_are_exported_as_they_came(run, ran):
    code, out, _err = run("dead-letters", "export", ran[0])
    assert code == 0
    assert out.encode().splitlines() == [json.dumps(BAD_RECORD).encode(), BAD_LINE]


@pytest.mark.parametrize("action", ["show", "export", "retry", "list"])
def test_a_dead_letter_that_does_not_exist_is_exit_code_2(action, run, ran):
    code, out, err = run("dead-letters", action, ran[0], 999)
    assert (code, out) == (2, "")
    assert "there is no dead letter 999" in err


def test_retry_of_nothing_named_is_exit_code_2(run, ran):
    code, out, err = run("dead-letters", "retry", ran[0])
    assert (code, out) == (2, "")
    assert "--all" in err


def test_dead_letters_are_sent_again_after_the_cause_is_mended(run, tmp_path):
    path = make_pipeline(tmp_path, [*records(1, 2), BAD_RECORD])
    assert run_once(path)[0] == 1
    path.write_text(CONFIG.replace("dead_letter", "forward"))
    code, out, _err = run("dead-letters", "retry", path, "--all")
    assert (code, out.split()[0]) == (0, "1")
    assert letters(run, path) == []
    assert run_once(path)[0] == 0
    assert sorted(ids_in(tmp_path / "out")) == sorted(one["Id"] for one in [*records(1, 2), BAD_RECORD])
    assert run("status", path)[0] == 0


def test_dead_letters_are_listed_with_attempts_and_the_config_that_made_them(run, tmp_path):
    path = make_pipeline(tmp_path, [BAD_RECORD])
    run_once(path)
    made = letters(run, path)[0]["config"]
    assert f"(1 attempt, config {made} (as of now))" in run("dead-letters", "list", path)[1]
    number = letters(run, path)[0]["id"]
    path.write_text(CONFIG.replace("dead_letter", "forward"))
    assert f"(1 attempt, config {made})" in run("dead-letters", "list", path)[1]
    shown = run("dead-letters", "show", path, number)[1].splitlines()
    assert f"config:      {made}" in shown
    assert "attempts:    1" in shown


def test_a_preview_says_what_would_pass_and_why_the_rest_fails(run, tmp_path):
    path = make_pipeline(tmp_path, [BAD_RECORD, BAD_LINE])
    assert run_once(path)[0] == 1
    code, out, _err = run("dead-letters", "retry", path, "--all", "--dry-run")
    assert code == 1
    rows = [re.split(r"  +", line) for line in out.splitlines()]
    assert rows[1][:5] == ["transform", "NotJson", "fail: NotJson", "1", "2"]
    assert rows[2][:5] == ["transform", "SchemaMismatch", "fail: SchemaMismatch", "1", "1"]
    assert "/UserType" in rows[2][5]
    assert out.splitlines()[-1].startswith("0 of 2 events would now pass the transforms of config ")
    path.write_text(CONFIG.replace("dead_letter", "forward"))
    code, out, _err = run("dead-letters", "retry", path, "--all", "--dry-run")
    assert code == 0
    assert "go to local" in out
    assert out.splitlines()[-1].startswith("2 of 2 events would now pass")


def test_a_preview_sends_nothing(run, tmp_path):
    path = make_pipeline(tmp_path, [BAD_RECORD])
    run_once(path)
    path.write_text(CONFIG.replace("dead_letter", "forward"))
    before = letters(run, path)
    run("dead-letters", "retry", path, "--all", "--dry-run")
    assert letters(run, path) == before
    assert run_once(path)[0] == 0
    assert ids_in(tmp_path / "out") == []


def test_a_preview_for_programs(run, ran):
    code, out, _err = run("dead-letters", "retry", ran[0], "--all", "--dry-run", "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["dead_letters"], found["outcomes"]) == (2, {"refused": 2})
    assert found["refused_by_code"] == {"SchemaMismatch": 1, "NotJson": 1}
    first = found["letters"][0]
    assert (first["was"], first["code"], first["attempts"]) == ("SchemaMismatch", "SchemaMismatch", 1)
    assert first["pointer"] == "/UserType"
    assert first["config"] == found["config"]


def test_a_preview_counts_work_items_that_would_be_fetched_again(run, tmp_path):
    path = make_pipeline(tmp_path, config=CONFIG)
    (tmp_path / "in" / "a.json").write_bytes(b"<html>")
    run_once(path)
    stages = {one["stage"] for one in letters(run, path)}
    code, out, _err = run("dead-letters", "retry", path, "--all", "--dry-run")
    assert stages == {"fetch"}
    assert code == 0
    assert "be fetched again" in out
    assert out.splitlines()[-1].split(";")[1].startswith(" 1 work item would be fetched again")


def test_json_of_a_real_retry_is_exit_code_2(run, ran):
    code, out, err = run("dead-letters", "retry", ran[0], "--all", "--json")
    assert (code, out, err) == (2, "", "--json goes with --dry-run\n")


def test_a_letter_for_a_sink_that_is_gone_is_not_sent_into_the_void(run, tmp_path):
    path = make_pipeline(tmp_path, [BAD_RECORD])
    run_once(path)
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as journal, journal:
        journal.execute("UPDATE dead_letter SET stage = 'sink', sink = 'removed'")
    code, out, err = run("dead-letters", "retry", path, "--all")
    assert (code, out.split()[0]) == (1, "0")
    assert err == "1: the config has no sink 'removed'\n"
    assert len(letters(run, path)) == 1


def test_discarded_letters_are_gone_from_list_and_status(run, tmp_path):
    path = make_pipeline(tmp_path, [*records(1, 2), BAD_RECORD])
    run_once(path)
    assert run("dead-letters", "discard", path)[0] == 2
    assert run("dead-letters", "discard", path, "--all") == (0, "1 dead letter discarded\n", "")
    assert letters(run, path) == []
    assert run("status", path)[0] == 0


def test_status_names_limits_of_dead_letters_that_are_passed(run, tmp_path):
    path = make_pipeline(tmp_path, [BAD_RECORD], CONFIG + "journal: {dead_letters: {max_size: 1B}}\n")
    code, log = run_once(path)
    assert code == 1
    assert "journal.dead_letters.max_size" in log
    assert "journal.dead_letters.max_size" in run("status", path)[1]
    (text,) = json.loads(run("status", path, "--json")[1])["beyond_limits"]
    assert text.startswith("dead letters take ")


# --- plugins, schema ---------------------------------------------------------------------------------------------------


def test_plugins_for_programs(run):
    code, out, _err = run("plugins", "--json")
    found = json.loads(out)
    assert code == 0
    assert {"kind": "sink", "name": "file", "from": "ualpipe.sinks.file:FileSink"}.items() <= next(
        row for row in found["plugins"] if row["name"] == "file"
    ).items()
    assert all(row["summary"] for row in found["plugins"])
    assert set(found["fast"]) == {"confluent_kafka", "isal", "numpy"}


def test_plugins_for_people_are_a_line_each(run):
    code, out, _err = run("plugins")
    assert code == 0
    assert any(line.split()[:2] == ["sink", "kafka"] for line in out.splitlines())


def test_the_schema_tells_good_configs_from_bad_ones(run):
    code, out, _err = run("schema")
    validator = jsonschema_rs.validator_for(json.loads(out))
    assert code == 0
    assert validator.is_valid(yaml.safe_load(CONFIG))
    assert not validator.is_valid(yaml.safe_load(CONFIG.replace("paths", "pahts")))
    assert not validator.is_valid(yaml.safe_load(CONFIG.replace("ecs", "esc")))


def test_the_reference_for_people_is_markdown(run):
    code, out, _err = run("schema", "--markdown")
    assert code == 0
    assert out.startswith("# Configuration reference\n")
    assert "| `path` | path | **required** |" in out
