"""What ``ualpipe status`` shows people of backlog and certificates."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from app_certificates import write_certificate
from fakes import TENANT, FakeClock, open_journal
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands.status import _outlook
from ualpipe.pipeline.credentials.status import CertificateStatus
from ualpipe.pipeline.stages import WorkItem

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


def test_people_see_the_outlook_of_the_backlog_and_the_days_of_the_certificate(pipeline, capsys):
    assert main(["status", pipeline]) == 0
    lines = capsys.readouterr().out.splitlines()
    outlook = "archive: 3 waiting, nothing was fetched in the last 10m; the first expires 2026-01-08T00:00:00.000Z"
    assert outlook in lines
    assert [line.partition(" (")[0] for line in lines if "certificate" in line] == [
        "certificate of audit-app: expires in 12 days"
    ]


def test_people_see_what_stands_still(pipeline, tmp_path, capsys):
    journal = open_journal(tmp_path / "state", SystemClock())
    journal.note_standing_still({"sink siem": "[red]refused[/]"})
    journal.close()
    assert main(["status", pipeline]) == 0, "for a moment"
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "siem" in line]
    assert line.startswith("sink siem stands still since 20")
    assert line.endswith(": [red]refused[/]"), "what another program says is shown as it is"
    assert lines[-1] == "at a standstill: 1 part of the pipeline"


def test_what_stands_still_for_long_is_no_success_and_one_cause_is_one_line(pipeline, tmp_path, capsys):
    """A secret that has expired stops five content types for the same reason."""
    journal = open_journal(tmp_path / "state", FakeClock(datetime.now(UTC) - timedelta(minutes=3)))
    streams = ["Audit.Exchange", "Audit.General", "Audit.SharePoint", "DLP.All"]
    journal.note_standing_still({f"source contoso {stream}": "the client secret has expired" for stream in streams})
    journal.close()
    assert main(["status", pipeline]) == 1
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "expired" in line and "contoso" in line]
    named = ", ".join(f"source contoso {stream}" for stream in streams[:3])
    assert line.startswith(f"{named} and 1 more stand still since 20")
    assert lines[-1] == "at a standstill: 4 parts of the pipeline"


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
    assert _outlook(CertificateStatus("app", "then", days, "", is_urgent=True)) == words


def test_a_certificate_that_can_not_be_read_is_named(pipeline, tmp_path, capsys):
    (tmp_path / "cert.pem").unlink()
    main(["status", pipeline])
    assert "cert.pem: can't be read: No such file or directory" in capsys.readouterr().out
