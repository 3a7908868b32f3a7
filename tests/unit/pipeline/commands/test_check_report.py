"""``ualpipe check`` prints a cause once, whatever number of stages it holds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands._findings import MOST_NAMED, Report
from ualpipe.pipeline.stages import Finding

ADVICE = "make a new secret"


def refused(tenant: str, trace: int = 0) -> Finding:
    said = f"login at https://login.example/{tenant}: the client secret has expired. Trace ID: {trace}"
    return Finding("error", "login", said, ADVICE)


def lines(report: Report, capsys: pytest.CaptureFixture[str]) -> list[str]:
    report.end()
    return capsys.readouterr().out.splitlines()


def test_tenants_that_fail_for_the_same_reason_share_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    for number in range(20):
        report.show(f"tenant{number}", [refused(f"id-{number}", trace=number)], f"id-{number}")
    first, advice, rest = lines(report, capsys)
    assert first.startswith("ERROR    tenant0: login: login at https://login.example/id-0: the client secret has expired.")
    assert advice.strip() == f"-> {ADVICE}"
    assert rest == f"ERROR    tenant0: login: the same for {', '.join(f'tenant{n}' for n in range(1, 20))}"
    assert report.has_error


def test_a_thousand_tenants_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    for number in range(1002):
        report.show(f"tenant{number}", [refused(f"id-{number}")], f"id-{number}")
    last = lines(report, capsys)[-1]
    assert last.endswith(f"tenant{MOST_NAMED} and 971 more")


def test_other_causes_and_what_is_fine_keep_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.show("a", [Finding("ok", "clock", "0 s from the service's"), Finding("warning", "disk", "little room")])
    report.show("b", [Finding("ok", "clock", "0 s from the service's"), Finding("warning", "disk", "no room")])
    assert len(lines(report, capsys)) == 4
    assert not report.has_error


def test_a_stage_that_fails_for_a_file_that_was_named_is_not_said_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.show("sources.a.ca_file", [Finding("error", "/etc/ca.pem", "can't be read", "check the path")])
    report.note_broken_file("/etc/ca.pem")
    report.show("a", [Finding("error", "login", "ca_file /etc/ca.pem: can't be read")])
    assert len(lines(report, capsys)) == 2


def test_what_a_stage_says_twice_of_itself_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.show("a", [Finding("warning", "host", "silent"), Finding("warning", "host", "silent")])
    assert len(lines(report, capsys)) == 2


def test_what_a_client_logs_of_a_cluster_that_is_down_is_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet_logs: None
) -> None:
    (tmp_path / "in").mkdir()
    config = {
        "version": 1,
        "pipeline": "p",
        "state_dir": "state",
        "sources": {"archive": {"type": "files", "paths": ["in"]}},
        "sinks": {"search": {"type": "elasticsearch", "urls": ["http://localhost:1"], "api_key": "planted-key"}},
    }
    path = tmp_path / "pipeline.yaml"
    path.write_text(json.dumps(config))
    assert main(["check", "--live", str(path)]) == 3
    printed = capsys.readouterr()
    assert "ERROR    search: cluster: http://localhost:1: [Errno 111] Connection refused" in printed.out
    assert printed.err == ""
