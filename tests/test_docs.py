"""The documents say what is so: the config reference is the generated one, and each example and README config is a good one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands.schema import full_schema
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.config.reference import fields_markdown, markdown

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    *("run", "check", "map", "explain", "test", "status", "dead-letters", "reconcile", "replay", "backup"),
    *("tenant", "demo", "plugins", "schema"),
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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_good_config(path, tmp_path):
    assert load_config(with_secrets(path.read_text(encoding="utf-8"), tmp_path)).sinks


def test_the_readme_config_is_a_good_one(tmp_path):
    (text,) = re.findall(r"```yaml\n(version: 1\n.*?)```", README, re.DOTALL)
    config = load_config(with_secrets(text, tmp_path))
    assert set(config.sinks) == {"search", "bus", "siem", "local"}


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_folders_that_a_document_names_are_there(document):
    named = set(PLACES.findall(document.read_text(encoding="utf-8"))) - {"bench/results/"}  # which benchmarks make
    assert [place for place in named if not list(ROOT.glob(place.rstrip("/")))] == []
