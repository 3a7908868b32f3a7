"""The ``reports`` section is checked as a whole; ``check`` and ``status`` say what is wrong with its reports."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from archives.pairs import write_pair
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.report.schedule import LastRun, keep_runs, key_of
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_REFUSED

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {old: {type: files, paths: [in]}}
sinks: {kept: {type: archive, path: archive}}
reports:
"""


@pytest.fixture
def written(tmp_path):
    """Returns the function that writes a config with this section."""

    def write(section: str):
        (tmp_path / "c.yaml").write_text(CONFIG + section)
        return tmp_path / "c.yaml"

    return write


def test_without_the_section_there_are_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text(CONFIG.replace("reports:\n", ""))
    reports = load_config(tmp_path / "c.yaml").reports
    assert (reports.business_hours.begins, reports.business_hours.timezone, len(reports.schedule)) == (7, "UTC", 0)


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("  domain: [a]", 7, "reports.domain: unknown key (did you mean domains?)"),
        ("  business_hours: {begins: 19, ends: 7}", 6, "begins (19) has to be before ends (7)"),
        ("  business_hours: {timezone: Mars}", 6, "'Mars' is no time zone"),
        ("  business_hours: {days: [mondey]}", 7, "did you mean monday?"),
        ("  delegates: [{mailbox: a}]", 7, '"delegate" is missing'),
        ("  schedule: [{report: a, every: hourly, output: o}]", 7, "one of"),
        ("  schedule: [{report: a, every: daily}]", 7, '"output" is missing'),
        ("  schedule: [{report: a, every: daily, output: o, sink: kep}]", 7, "no 'kep' under sinks (did you mean kept?)"),
    ],
)
def test_a_defect_is_told_with_its_place(written, section, line, said):
    with pytest.raises(ConfigError) as caught:
        load_config(written(f"{section}\n"))
    assert f"c.yaml:{line}:" in str(caught.value)
    assert said.replace('"', "") in str(caught.value).replace('"', "")


def test_check_names_own_reports_and_scheduled_ones_that_can_not_be_asked(written, tmp_path, capsys):
    write_pair(tmp_path / "own")
    write_pair(tmp_path / "own", "broken", yaml="title: 3\n")
    (tmp_path / "in").mkdir()
    path = written("  folder: own\n  schedule:\n    - {report: acces, every: daily, output: o}\n")
    assert main(["check", str(path)]) == EXIT_REFUSED
    out = capsys.readouterr().out
    assert "reports.folder: report broken" in out
    assert "reports.schedule[0].report: report acces: there is no report 'acces' (did you mean access?)" in out
    path.write_text(path.read_text().replace("acces,", "access,"))
    (tmp_path / "own" / "broken.yaml").unlink()
    (tmp_path / "own" / "broken.sql").unlink()
    assert main(["check", str(path)]) == EXIT_FINE


def test_status_shows_the_last_run_of_each_and_the_next(written, tmp_path, capsys):
    write_pair(tmp_path / "own")
    (tmp_path / "in").mkdir()
    entry = "{report: access, every: daily, output: o}"
    path = written(f"  folder: own\n  schedule:\n    - {entry}\n    - {entry.replace('daily', 'weekly')}\n")
    assert main(["run", "--once", str(path)]) == EXIT_FINE
    config = load_config(path)
    now = datetime.now(UTC)
    failed = LastRun(now + timedelta(days=1), now, False, "no disk", 3)
    keep_runs(config.state_dir, {key_of(config.reports.schedule[1]): failed})
    capsys.readouterr()
    assert main(["status", str(path)]) == EXIT_FINE
    out = capsys.readouterr().out
    assert "report access, daily: new, not written yet; due now" in out
    assert "report access, weekly: failed 0 s ago: no disk; next " in out
    assert "to look at: report access" in out
    main(["status", "--json", str(path)])
    first, second = json.loads(capsys.readouterr().out)["reports"]
    assert (first["last"], second["last"]["message"], second["every"]) == (None, "no disk", "weekly")


def test_check_names_a_schedule_that_has_no_archive_to_ask(written, tmp_path, capsys):
    write_pair(tmp_path / "own")
    (tmp_path / "in").mkdir()
    path = written("  folder: own\n  schedule:\n    - {report: access, every: daily, output: o}\n")
    path.write_text(path.read_text().replace("{type: archive, path: archive}", "{type: file, path: a.ndjson}"))
    assert main(["check", str(path)]) == EXIT_REFUSED
    assert "reports.schedule[0]: report access: " in capsys.readouterr().out
