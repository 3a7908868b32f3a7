"""What ``ualpipe status`` shows people: whether a pipeline runs, backlog, certificates, what is wrong and what to do about it."""

import json
import os
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest

from app_certificates import write_certificate
from fakes import TENANT, FakeClock, open_journal
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands._problems import STALE_BETWEEN_RUNS_S, STALE_S, outlook
from ualpipe.pipeline.credentials.status import CertificateStatus
from ualpipe.pipeline.journal.types import RunNote
from ualpipe.pipeline.stages import Gap, Listed, WorkItem

pytestmark = pytest.mark.usefixtures("quiet_logs")

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
credentials:
  audit-app: {client_id: app, certificate: {private_key: key.pem, public: cert.pem}}
  old-app: {client_id: old, client_secret: planted}
sources: {archive: {type: files, paths: [in]}}
sinks: {local: {type: file, path: out/audit.ndjson}}
"""


@pytest.fixture
def pipeline(tmp_path):
    """A pipeline with a backlog and a certificate that ends soon."""
    (tmp_path / "pipeline.yaml").write_text(CONFIG)
    write_certificate(tmp_path, datetime.now(UTC) + timedelta(days=12, hours=1))
    journal = open_journal(tmp_path / "state", SystemClock())
    came = datetime(2026, 1, 1, tzinfo=UTC)
    journal.enter("archive", TENANT, [WorkItem("in", str(at), {}, came, came + timedelta(days=7)) for at in range(3)])
    journal.close()
    return str(tmp_path / "pipeline.yaml")


@pytest.fixture
def running(pipeline, tmp_path):
    """The same while a pipeline runs on it."""
    journal = open_journal(tmp_path / "state", SystemClock())
    yield pipeline
    journal.close()


def test_people_see_the_outlook_of_the_backlog_and_the_days_of_the_certificate(running, capsys):
    assert main(["status", running]) == 0
    lines = capsys.readouterr().out.splitlines()
    outlook = "archive: 3 waiting, nothing was fetched in the last 10m; the first expires 2026-01-08T00:00:00.000Z"
    assert outlook in lines
    assert [line.partition(" (")[0] for line in lines if line.startswith("certificate")] == [
        "certificate of audit-app: expires in 12 days"
    ]
    assert lines[-1] == "no dead letters, no gaps, no unmappable records; to look at: certificate of audit-app"


def test_people_see_what_stands_still(pipeline, tmp_path, capsys):
    with closing(open_journal(tmp_path / "state", SystemClock())) as journal:
        journal.note_standing_still({"sink siem": "[red]refused[/]"})
        assert main(["status", pipeline]) == 0, "for a moment"
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "siem" in line and "refused" in line]
    assert line.startswith("sink siem stands still since 20")
    assert f": [red]refused[/]. What to do: ualpipe check {pipeline} --live" in line, "what others say is shown as it is"
    assert lines[-1] == "at a standstill: sink siem"


def test_what_stands_still_for_long_is_no_success_and_one_cause_is_one_line(pipeline, tmp_path, capsys):
    """A secret that has expired stops five content types for the same reason."""
    streams = ["Audit.Exchange", "Audit.General", "Audit.SharePoint", "DLP.All"]
    stands_still(tmp_path, {f"source contoso {stream}": "the client secret has expired" for stream in streams})
    assert main(["status", pipeline]) == 1
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "expired" in line and "contoso" in line]
    assert line.startswith("contoso (4 streams) stand still since 20")
    assert lines[-1] == "not running; at a standstill: contoso"


def test_programs_see_them_too(pipeline, capsys):
    main(["status", pipeline, "--json"])
    found = json.loads(capsys.readouterr().out)
    (source,), (certificate,) = found["sources"], found["certificates"]
    assert (source["source"], source["waiting"], source["clears_in_s"]) == ("archive", 3, None)
    assert (certificate["credential"], certificate["days"], certificate["is_urgent"]) == ("audit-app", 12, True)


@pytest.mark.parametrize(
    ("days", "words"), [(-1, "has expired (then)"), (0, "expires in less than a day (then)"), (1, "expires in 1 day (then)")]
)
def test_the_last_days_are_said_plainly(days, words):
    assert outlook(CertificateStatus("app", "then", days, "", is_urgent=True)) == words


def test_a_certificate_that_can_not_be_read_is_named(pipeline, tmp_path, capsys):
    (tmp_path / "cert.pem").unlink()
    main(["status", pipeline])
    assert "cert.pem: can't be read: No such file or directory" in capsys.readouterr().out


# --- whether it runs, and what is stale -------------------------------------------------------------------------------

FEEDS = """\
version: 1
pipeline: contoso
state_dir: state
credentials: {audit-app: {client_id: app, client_secret: planted}}
sources:
%s
sinks: {local: {type: file, path: out/audit.ndjson}}
"""
FEED = """\
  tenant%d:
    type: management_activity
    tenant_id: 22222222-2222-2222-2222-2222222222%02d
    credential: audit-app
    poll_interval: %s
"""
STREAMS = ("Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All")


def stands_still(folder, reasons):
    """Lets parts stand still for three minutes."""
    journal = open_journal(folder / "state", FakeClock(datetime.now(UTC) - timedelta(minutes=3)))
    journal.note_standing_still(reasons)
    journal.close()


def feeds(folder, tenants=1, *, listed_s=0.0, poll="60s", began_s=1e6, is_bounded=False):
    """Writes a pipeline of tenants that were listed some time ago, and the run that did it; returns the path of its config."""
    path = folder / "pipeline.yaml"
    path.write_text(FEEDS % "".join(FEED % (at, at, poll) for at in range(1, tenants + 1)))
    now = datetime.now(UTC)
    with closing(open_journal(folder / "state", SystemClock())) as journal:
        journal.note_run(RunNote("0.0.1", (now - timedelta(seconds=began_s)).timestamp(), os.getpid(), is_bounded))
        for at in range(1, tenants + 1):
            for stream in STREAMS:
                journal.conclude_listing(f"tenant{at}", TENANT, stream, {}, Listed(now - timedelta(seconds=listed_s)))
    return str(path)


def told(capsys, path, *options):
    code = main(["status", path, *options])
    return code, capsys.readouterr().out.splitlines()


def test_a_running_pipeline_says_since_when_and_which_release_it_is_of(tmp_path, capsys):
    path = feeds(tmp_path, began_s=200)
    with closing(open_journal(tmp_path / "state", SystemClock())):
        code, lines = told(capsys, path)
    assert code == 0
    assert lines[1].startswith("running since 20")
    assert f"(3 min ago), process {os.getpid()}; last run by ualpipe 0.0.1, this is {version('ualpipe')}" in lines[1]
    assert lines[-1] == "no dead letters, no gaps, no unmappable records"


def test_what_waits_while_nothing_runs_is_a_problem(pipeline, capsys):
    code, lines = told(capsys, pipeline)
    assert code == 1
    assert lines[1].startswith("not running; last written 20")
    said = f"no pipeline runs on this state directory, and 3 items to be fetched wait. What to do: ualpipe run {pipeline}"
    assert said in lines
    assert lines[-1] == "not running"


def test_a_pipeline_that_was_killed_before_it_listed_anything_is_a_problem(tmp_path, capsys):
    path = feeds(tmp_path, 0)
    (tmp_path / "pipeline.yaml").write_text(FEEDS % FEED % (1, 1, "60s"))
    code, lines = told(capsys, path)
    assert (code, lines[-1]) == (1, "not running")


def test_nothing_waits_after_a_bounded_run_and_all_is_fine(tmp_path, capsys):
    code, lines = told(capsys, feeds(tmp_path, listed_s=7200, is_bounded=True))
    assert (code, lines[-1]) == (0, "no dead letters, no gaps, no unmappable records")


def test_a_daily_run_that_no_longer_comes_is_a_problem(tmp_path, capsys):
    code, lines = told(capsys, feeds(tmp_path, listed_s=STALE_BETWEEN_RUNS_S + 60, is_bounded=True))
    assert (code, lines[-1]) == (1, "not running; stale: tenant1")


def test_a_pipeline_that_was_killed_is_a_problem_though_nothing_waits(tmp_path, capsys):
    code, lines = told(capsys, feeds(tmp_path, listed_s=STALE_S + 60))
    assert (code, lines[-1]) == (1, "not running; stale: tenant1")


@pytest.mark.parametrize(
    ("listed_s", "poll", "began_s", "is_stale"),
    [
        (STALE_S - 30, "60s", 1e6, False),
        (STALE_S + 30, "60s", 1e6, True),
        (STALE_S + 30, "10m", 1e6, False),
        (3100, "10m", 1e6, True),
        (86400, "60s", 30, False),  # the first listing after a long pause
        (86400, "60s", STALE_S + 30, True),
    ],
)
def test_a_listing_is_stale_when_the_poll_interval_does_not_explain_its_age(tmp_path, capsys, listed_s, poll, began_s, is_stale):
    path = feeds(tmp_path, listed_s=listed_s, poll=poll, began_s=began_s)
    with closing(open_journal(tmp_path / "state", SystemClock())):
        code, lines = told(capsys, path)
        found = json.loads("\n".join(told(capsys, path, "--json")[1]))
    assert code == int(is_stale)
    assert (lines[-1] == "stale: tenant1") is is_stale
    assert {stream["is_stale"] for stream in found["streams"]} == {is_stale}
    assert abs(found["streams"][0]["listed_age_s"] - listed_s) < 60


def test_a_stream_that_is_not_configured_any_more_is_not_stale(tmp_path, capsys):
    path = feeds(tmp_path, listed_s=60)
    with closing(open_journal(tmp_path / "state", SystemClock())) as journal:
        for source, stream in (("former", "DLP.All"), ("tenant1", "Audit.Former")):
            journal.conclude_listing(source, TENANT, stream, {}, Listed(datetime.now(UTC) - timedelta(days=3)))
        assert told(capsys, path)[0] == 0


def test_a_stream_that_says_why_it_is_not_listed_is_named_once(tmp_path, capsys):
    path = feeds(tmp_path, listed_s=86400)
    stands_still(tmp_path, {f"source tenant1 {stream}": "auditing is off" for stream in STREAMS})
    with closing(open_journal(tmp_path / "state", SystemClock())):
        code, lines = told(capsys, path)
    assert (code, lines[-1]) == (1, "at a standstill: tenant1")


# --- many tenants -----------------------------------------------------------------------------------------------------


def test_twenty_tenants_have_a_row_each_the_worst_first_in_natural_order(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    path = feeds(tmp_path, 20, listed_s=30)
    reason = "login at https://login.example/22222222-2222-2222-2222-2222222222%02d: the client secret has expired"
    stands_still(tmp_path, {f"source tenant{at} {stream}": reason % at for at in (9, 10) for stream in STREAMS})
    with closing(open_journal(tmp_path / "state", SystemClock())):
        code, lines = told(capsys, path)
    assert code == 1
    assert [line.split()[0] for line in lines if re.match(r"tenant\d+ +5 ", line)][:4] == [
        "tenant9",
        "tenant10",
        "tenant1",
        "tenant2",
    ]
    assert len(lines) <= 36
    assert [line for line in lines[1:] if len(line) > 80] == []
    assert sum("has expired" in line for line in lines) == 1, "one cause"
    assert lines[-1] == "at a standstill: tenant9, tenant10"


def test_streams_has_a_row_for_each(tmp_path, capsys):
    path = feeds(tmp_path, 20, listed_s=30)
    _code, lines = told(capsys, path, "--streams")
    assert sum("DLP.All" in line for line in lines) == 20


# --- only what is wrong -----------------------------------------------------------------------------------------------


def test_problems_are_a_line_each_with_what_to_do(tmp_path, capsys):
    path = feeds(tmp_path, listed_s=STALE_S + 60)
    stands_still(tmp_path, {"sink local": "the disk is full. What to do: make room"})
    with closing(open_journal(tmp_path / "state", SystemClock())) as journal:
        moment = datetime(2026, 11, 20, tzinfo=UTC)
        journal.note_gap("tenant1", "DLP.All", Gap(moment, moment + timedelta(hours=1), "it was off"))
    code, lines = told(capsys, path, "--problems")
    assert code == 1
    assert len(lines) == 4
    heads = (
        "no pipeline runs",
        "sink local stands still since",
        "tenant1 (5 streams) not listed for 11m, longer than 10m",
        "gap: ",
    )
    assert all(line.startswith(head) for line, head in zip(lines, heads, strict=True))
    assert all(". What to do: " in line for line in lines)
    assert lines[1].endswith("the disk is full. What to do: make room")


def test_without_problems_that_is_said(tmp_path, capsys):
    assert told(capsys, feeds(tmp_path, is_bounded=True), "--problems") == (0, ["no problems"])


def test_programs_get_the_problems_too(pipeline, capsys):
    found = json.loads("\n".join(told(capsys, pipeline, "--json")[1]))
    kinds = {problem["kind"]: problem["is_failure"] for problem in found["problems"]}
    assert kinds == {"not_running": True, "certificate": False}
    assert (found["run"]["is_running"], found["run"]["release"]) == (False, version("ualpipe"))
