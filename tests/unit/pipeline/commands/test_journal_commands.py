"""``replay`` and ``backup`` on the command line, from end to end on a pipeline of files."""

import json
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from fakes import open_journal, record, records
from runs import ids_in, run_once
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands._times import parse_time
from ualpipe.pipeline.errors import ConfigError

IDS = sorted(one["Id"] for one in records(1, 5))
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def pipeline(folder, *sinks: str, mapping: str = ""):
    """Writes a pipeline of five records into file sinks, a folder each; again, to change it."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "a.json").write_text(json.dumps([*records(1, 5), record(3)]))
    (folder / "mapping.yaml").write_text(mapping)
    config = {
        "version": 1,
        "pipeline": "contoso",
        "state_dir": "state",
        "sources": {"archive": {"type": "files", "paths": ["in"]}},
        "transforms": [{"type": "ecs", **({"mapping": ["mapping.yaml"]} if mapping else {})}],
        "sinks": {sink: {"type": "file", "path": f"{sink}/audit.ndjson"} for sink in sinks},
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(config))
    return folder / "pipeline.yaml"


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory):
    """A folder in which a pipeline has run once into ``first``."""
    folder = tmp_path_factory.mktemp("ran")
    code, log = run_once(pipeline(folder, "first"))
    assert code == 0, log
    return folder


@pytest.fixture
def ran(ran_once, tmp_path):
    """A copy of that pipeline."""
    shutil.copytree(ran_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "pipeline.yaml"


def ualpipe(*arguments: object) -> tuple[int, str, str]:
    """Runs a command in a process of its own."""
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def documents(folder) -> list[dict]:
    return [json.loads(line) for file in folder.glob("*.ndjson") for line in file.read_text().splitlines()]


def status(path, capsys) -> tuple[int, dict[str, tuple]]:
    code = main(["status", str(path), "--json"])
    sinks = json.loads(capsys.readouterr().out)["sinks"]
    return code, {one["sink"]: (one["delivered"], one["backlog"]) for one in sinks}


@contextmanager
def held(path):
    """Holds the journal as a running pipeline does."""
    journal = open_journal(path.parent / "state", SystemClock())
    try:
        yield journal
    finally:
        journal.close()


# --- replay -----------------------------------------------------------------------------------------------------------


def test_a_new_sink_gets_the_records_that_an_old_one_has(ran, tmp_path, capsys):
    path = pipeline(tmp_path, "first", "second")
    code, out, _log = ualpipe("replay", path, "--sink", "second")
    assert code == 0
    assert out.startswith("1 batch with 5 records, received from 20")
    assert out.endswith(", goes to second\n")
    assert sorted(ids_in(tmp_path / "second")) == sorted(ids_in(tmp_path / "first")) == IDS
    assert status(path, capsys) == (0, {"first": (5, 0), "second": (5, 0)})


def test_an_old_sink_gets_each_record_once_more(ran, tmp_path, capsys):
    assert ualpipe("replay", ran, "--sink", "first", "--since", "7d")[0] == 0
    assert sorted(ids_in(tmp_path / "first")) == sorted(2 * IDS)
    assert status(ran, capsys) == (0, {"first": (5, 0)})
    assert run_once(ran)[0] == 0
    assert len(ids_in(tmp_path / "first")) == 10


def test_todays_mapping_runs_over_the_records(ran, tmp_path):
    path = pipeline(
        tmp_path,
        "first",
        "second",
        mapping="title: Contoso\nrows:\n  - {to: labels.kind, value: staff, when: {UserId|exists: true}}\n",
    )
    assert ualpipe("replay", path, "--sink", "second")[0] == 0
    assert [one.get("labels") for one in documents(tmp_path / "first")] == [None] * 5
    assert [one["labels"] for one in documents(tmp_path / "second")] == [{"kind": "staff"}] * 5
    assert sorted(ids_in(tmp_path / "second")) == IDS


def test_a_replay_fetches_nothing_and_leaves_other_sinks_alone(ran, tmp_path, capsys):
    path = pipeline(tmp_path, "first", "second", "third")
    (tmp_path / "in" / "b.json").write_text(json.dumps(records(100, 2)))
    assert ualpipe("replay", path, "--sink", "second")[0] == 0
    assert len(ids_in(tmp_path / "first")) == 5
    assert not (tmp_path / "third").exists()
    assert status(path, capsys)[1] == {"first": (5, 0), "second": (5, 0), "third": (0, 6)}


def test_a_dry_run_only_says_how_many(ran, tmp_path, capsys):
    code, out, _err = ualpipe("replay", ran, "--sink", "first", "--dry-run")
    assert code == 0
    assert out.startswith("1 batch with 5 records")
    assert out.endswith(", would go to first\n")
    assert len(ids_in(tmp_path / "first")) == 5
    assert status(ran, capsys) == (0, {"first": (5, 0)})


def test_what_is_out_of_time_does_not_go(ran, tmp_path):
    code, out, _err = ualpipe("replay", ran, "--sink", "first", "--until", "1h")
    assert (code, out) == (0, "no batches with no records, go to first\n")
    assert len(ids_in(tmp_path / "first")) == 5


def test_a_running_pipeline_is_left_to_deliver(ran, tmp_path, capsys):
    with held(ran):
        code, out, _err = ualpipe("replay", ran, "--sink", "first")
        assert code == 0
        assert "A running pipeline has the journal and takes them" in out
        assert len(ids_in(tmp_path / "first")) == 5
        assert status(ran, capsys)[1]["first"][0] == 0
    assert run_once(ran)[0] == 0
    assert sorted(ids_in(tmp_path / "first")) == sorted(2 * IDS)


def test_what_can_not_be_delivered_is_exit_code_1_and_waits(ran, tmp_path, capsys):
    path = pipeline(tmp_path, "first", "second")
    (tmp_path / "second" / "audit.ndjson").mkdir(parents=True)
    assert ualpipe("replay", path, "--sink", "second")[0] in (1, 3)
    (tmp_path / "second" / "audit.ndjson").rmdir()
    assert run_once(path)[0] == 0
    assert sorted(ids_in(tmp_path / "second")) == IDS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sink", "thrid"], "there is no sink thrid"),
        (["--sink", "first", "--source", "none"], "there is no source none, only archive"),
        (["--sink", "first", "--since", "yesterday"], "--since: 'yesterday' is not a time: write 2026-11-20"),
        (["--sink", "first", "--since", "1h", "--until", "2h"], "--since has to be before --until"),
    ],
)
def test_what_does_not_fit_is_exit_code_2_and_changes_nothing(ran, capsys, arguments, words):
    assert main(["replay", str(ran), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert status(ran, capsys)[1] == {"first": (5, 0)}


def test_a_sink_that_is_switched_off_is_refused(ran, capsys):
    config = yaml.safe_load(ran.read_text())
    config["sinks"]["off"] = {**config["sinks"]["first"], "enabled": False}
    ran.write_text(yaml.safe_dump(config))
    assert main(["replay", str(ran), "--sink", "off"]) == 2
    assert "off is switched off" in capsys.readouterr().err


def test_a_backup_in_a_folder_that_others_can_write_to_is_named(ran, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    code, _out, err = ualpipe("backup", ran, tmp_path / "shared" / "copy.db")
    assert code == 0
    assert f"chmod go-w {tmp_path / 'shared'}" in err
    assert (tmp_path / "shared" / "copy.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", [["replay", "--sink", "first"], ["backup", "copy.db"]])
def test_before_the_first_run_there_is_nothing(tmp_path, capsys, command):
    path = pipeline(tmp_path, "first")
    assert main([command[0], str(path), *command[1:]]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/state: there is no journal yet; `ualpipe run` makes it\n"
    assert not (tmp_path / "state").exists()


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("90s", NOW - timedelta(seconds=90)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T08:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00.5+02:00", datetime(2026, 11, 20, 6, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_instant_or_that_long_ago(text, expected):
    assert parse_time("--since", text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7 d", "-7d", "2026-13-01", "1700000000"])
def test_another_text_is_no_time(text):
    with pytest.raises(ConfigError, match=r"--since: .* is not a time"):
        parse_time("--since", text, NOW)


@pytest.mark.parametrize("text", ["99999999d", "1e9d"])
def test_a_time_before_all_times_is_refused(text):
    with pytest.raises(ConfigError, match="--since"):
        parse_time("--since", text, NOW)


# --- backup -----------------------------------------------------------------------------------------------------------


def test_a_backup_of_a_held_journal_restores_to_an_equal_one(ran, tmp_path, capsys):
    with held(ran):
        code, out, _err = ualpipe("backup", ran, tmp_path / "copy.db")
    assert code == 0
    assert out.startswith(f"{tmp_path}/copy.db: 0.")
    assert f"then cp {tmp_path}/copy.db {tmp_path}/state/journal.db" in out
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    before = status(ran, capsys)
    shutil.move(tmp_path / "state", tmp_path / "lost")
    (tmp_path / "state").mkdir(mode=0o700)
    shutil.copy(tmp_path / "copy.db", tmp_path / "state" / "journal.db")
    assert status(ran, capsys) == before
    code, log = run_once(ran)
    assert code == 0, log
    assert sorted(ids_in(tmp_path / "first")) == IDS


def test_a_backup_overwrites_nothing(ran, tmp_path, capsys):
    (tmp_path / "copy.db").write_text("precious")
    assert main(["backup", str(ran), str(tmp_path / "copy.db")]) == 2
    assert "copy.db exists already" in capsys.readouterr().err
    assert (tmp_path / "copy.db").read_text() == "precious"
