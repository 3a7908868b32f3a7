"""The documents say what is so: the config reference is the generated one, and each example and README config is a good one."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import tomllib
import types
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from archives.pairs import access, pair
from archives.scene import NOW, store_of
from fakes import env
from ualpipe.pipeline import metrics
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands.schema import full_schema
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.config.model import ReportsOptions
from ualpipe.pipeline.config.reference import fields_markdown, markdown
from ualpipe.pipeline.json_schema.defects import schema_defects
from ualpipe.pipeline.options import build, schema_of
from ualpipe.pipeline.report.catalog import Catalog
from ualpipe.pipeline.report.contract import Asked, Selection
from ualpipe.pipeline.report.reference import markdown as reports_markdown
from ualpipe.pipeline.report.running import run_report
from ualpipe.pipeline.supervisor.exit_codes import EXIT_INCOMPLETE, EXIT_USAGE
from ualpipe.testing import SINK_CHECKS, SinkCase

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = (
    *("run", "check", "map", "explain", "test", "status", "dead-letters", "reconcile", "search", "report", "replay", "backup"),
    *("archive", "sql", "mailbox-audit", "sentinel", "tenant", "demo", "plugins", "schema"),
)


def with_secrets(text: str, folder: Path) -> Path:
    """Writes a config beside the files that it names."""
    path = folder / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    for name in set(re.findall(r"secrets/[\w.-]+", text)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("planted", encoding="utf-8")
    return path


def test_config_reference_is_the_generated_one():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown(), (
        "make it anew: ualpipe schema --markdown > docs/configuration.md"
    )


def test_field_reference_is_the_generated_one():
    assert (ROOT / "docs" / "fields.md").read_text(encoding="utf-8") == fields_markdown(), (
        "make it anew: ualpipe schema --fields > docs/fields.md"
    )


def test_reference_of_reports_is_the_generated_one():
    assert (ROOT / "docs" / "reports.md").read_text(encoding="utf-8") == reports_markdown(Catalog()), (
        "make it anew: ualpipe report --list --markdown > docs/reports.md"
    )


def test_the_report_of_the_document_answers(tmp_path):
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    (sql,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    schedule, described = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    report = pair(tmp_path / "own", sql, described)
    store = store_of(tmp_path / "archive", [access("2026-11-20T08:00:00", "kofi@contoso.com", "sana@contoso.com")])
    assert [row.values[:2] for row in run_report(report, store, Asked(Selection(), NOW)).rows] == [
        ["kofi@contoso.com", "sana@contoso.com"]
    ]
    store.close()
    assert not list(schema_defects(schema_of(ReportsOptions), yaml.safe_load(schedule)["reports"], ()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_good_config(path, tmp_path):
    assert load_config(with_secrets(path.read_text(encoding="utf-8"), tmp_path)).sinks


def test_the_readme_config_is_a_good_one(tmp_path):
    (text,) = re.findall(r"```yaml\n(version: 1\n.*?)```", README, re.DOTALL)
    config = load_config(with_secrets(text, tmp_path))
    assert set(config.sinks) == {"search", "bus", "siem", "local"}


UNIT, UNIT_CONFIG = re.findall(r"```(?:ini|yaml)\n(.*?)```", OPERATIONS.partition("\n## systemd\n")[2], re.DOTALL)


def test_the_unit_and_the_config_beside_it_fit_together(tmp_path, monkeypatch):
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(UNIT)
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    name, _, _source = service["LoadCredential"].partition(":")
    (tmp_path / name).write_text("planted\n", encoding="utf-8")
    (tmp_path / "contoso.yaml").write_text(UNIT_CONFIG, encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = load_config(tmp_path / "contoso.yaml")
    assert config.credentials["audit-app"].client_secret.reveal() == "planted"
    assert str(config.state_dir) == f"/var/lib/{service['StateDirectory']}"
    assert config.sinks["local"].options.path.parent == Path(f"/var/log/{service['LogsDirectory']}")
    assert service["StateDirectoryMode"] == service["LogsDirectoryMode"] == "0700"


def test_the_unit_neither_fails_on_a_clean_stop_nor_gives_up_on_a_crash():
    """A stop with dead letters ends with 1, and so does an engine that failed, which is to be started again."""
    lines = set(UNIT.splitlines())
    assert {f"SuccessExitStatus={EXIT_INCOMPLETE}", "Restart=always", f"RestartPreventExitStatus={EXIT_USAGE}"} <= lines


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze on this system")
def test_the_unit_is_closed(tmp_path):
    (tmp_path / "ualpipe.service").write_text(UNIT, encoding="utf-8")
    command = ["systemd-analyze", "security", "--offline=true", str(tmp_path / "ualpipe.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"Overall exposure level for ualpipe.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= 3
    assert "Unknown" not in done.stderr


PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


class Receiver(socketserver.TCPServer):
    """Notes each line that it gets, of one connection after the other."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), LineHandler)
        self.lines: list[bytes] = []
        self.has_read_all = threading.Event()

    def ids(self) -> list[str]:
        """Returns the ``event.id`` of all lines of connections that were closed before."""
        self.has_read_all.clear()
        with socket.create_connection(self.server_address) as last:
            last.sendall(LAST_LINE)
        assert self.has_read_all.wait(20)
        return [json.loads(line)["event"]["id"] for line in self.lines]


LAST_LINE = b"last\n"


class LineHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            if line == LAST_LINE:
                self.server.has_read_all.set()
            else:
                self.server.lines.append(line)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_the_sink_of_the_readme_is_complete_and_keeps_the_contract(check):
    (text,) = PYTHON
    module = types.ModuleType("pager")
    sys.modules["pager"] = module  # where a dataclass looks its types up
    exec(compile(text, "README.md", "exec"), module.__dict__)
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True).start()
        values = {"host": "127.0.0.1", "port": receiver.server_address[1]}
        config = build(module.PagerSinkConfig, values, Path())
        check(SinkCase(lambda: module.PagerSink(config, env("pager")), receiver.ids))
        receiver.shutdown()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command(command):
    assert re.search(rf"^\|.*`{command}\b.*\|", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_that_names_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"ualpipe {command}" in capsys.readouterr().out


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("http")]
    missing = [target for target in targets if target and not (path.parent / target).exists()]
    assert not missing


def test_anchors_of_the_readme_stand_in_the_reference():
    headings = re.findall(r"^## (.+)$", markdown(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"configuration\.md#([\w-]+)", README)) <= anchors


def test_the_config_schema_accepts_the_examples():
    validator = jsonschema_rs.validator_for(full_schema())
    for path in EXAMPLES:
        assert validator.is_valid(yaml.safe_load(path.read_text(encoding="utf-8"))), path.name


def test_architecture_has_a_line_for_every_package():
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-dir"].values()
    holding = {folder for folder in folders if any(path.name != "__init__.py" for path in (ROOT / folder).glob("*.py"))}
    rows = re.findall(r"^\| (`.*?/`) \|", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert holding - {folder for row in rows for folder in re.findall(r"`(.+?)/`", row)} == set()


PLACES = re.compile(r"`((?:\.ci|bench|docs|pipeline|schemas|simulator|sinks|sources|testing|tests|transforms)/[\w.*/-]+)`")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md")]


METRICS = [value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_metric_as_nothing_serves_them(document):
    text = document.read_text(encoding="utf-8")
    assert METRICS
    assert [name for name in METRICS if f"`{name}`" in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_folders_that_a_document_names_are_there(document):
    named = set(PLACES.findall(document.read_text(encoding="utf-8"))) - {"bench/results/"}  # which benchmarks make
    assert [place for place in named if not list(ROOT.glob(place.rstrip("/")))] == []


def test_each_test_that_the_security_document_names_is_there():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests/[\w/]+/)?test_[\w*]+\.py)`", text)
    assert len(named) > 20
    missing = [name for name in named if not [*ROOT.glob(name if "/" in name else f"tests/**/{name}")]]
    assert not missing


def test_the_security_document_has_a_figure_for_each_way_to_do_harm(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    from servers.peers.hostile_tenant import HARMS  # noqa: PLC0415

    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert set(HARMS) == {match[1] for match in re.finditer(r"^\| ([a-z]+: [^|]+?) \| [\d.]+(?: \*)? \|", text, re.MULTILINE)}
