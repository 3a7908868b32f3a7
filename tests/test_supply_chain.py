"""What a user installs is listed in a bill of materials, and an audit that could not be done never passes for one that was."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from cyclonedx.schema import SchemaVersion
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements/run.txt"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = script("audit")


@pytest.fixture(scope="module")
def bill(tmp_path_factory) -> dict:
    made = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    subprocess.run([sys.executable, ROOT / ".ci/sbom.py", LOCK, made], check=True, capture_output=True, cwd=ROOT)
    return json.loads(made.read_bytes())


def test_the_bill_holds_every_locked_package_with_its_hashes(bill):
    locked = re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE)
    assert {(part["name"], part["version"]) for part in bill["components"]} == {
        (name.lower(), version) for name, version in locked
    }
    hashes = set(re.findall(r"sha256:([0-9a-f]{64})", LOCK.read_text()))
    assert {one["content"] for part in bill["components"] for one in part["hashes"]} == hashes
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", SchemaVersion.V1_6.to_version())


def test_the_bill_says_what_needs_what(bill):
    needs = {entry["ref"].partition("@")[0]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    assert {ref.partition("@")[0] for ref in needs["ualpipe"]} >= {"cryptography", "kafka-python", "msal", "orjson", "maxminddb"}
    assert any(ref.startswith("urllib3@") for ref in needs["requests"])


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], audit.CLEAN),
        ([{"name": "a", "version": "1", "vulns": [{"id": "CVE-2026-1"}]}], audit.LISTED),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}], audit.NOT_ASKED),
        ([{"name": "a", "version": "1", "vulns": [{"id": "X"}]}, {"name": "b", "skip_reason": "not found"}], audit.LISTED),
        ([], audit.NOT_ASKED),
    ],
)
def test_only_a_lookup_of_every_package_counts_as_an_audit(report, verdict):
    assert audit.judge(report, "")[0] == verdict


def test_why_nothing_was_looked_up_is_said():
    assert audit.judge([], "no route to host") == (audit.NOT_ASKED, "no route to host")


@pytest.mark.parametrize(
    ("machine", "system", "is_asked_for"),
    [
        ("x86_64", "linux", True),
        ("aarch64", "linux", True),
        ("arm64", "darwin", True),
        ("AMD64", "win32", True),
        ("armv7l", "linux", False),
        ("ppc64le", "linux", False),
        ("s390x", "linux", False),
        ("riscv64", "linux", False),
        ("amd64", "freebsd14", False),
    ],
)
def test_jsonschema_rs_is_asked_for_only_where_it_is_built(machine, system, is_asked_for):
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (found,) = (asked for asked in map(Requirement, dependencies) if asked.name == "jsonschema-rs")
    assert found.marker.evaluate({"platform_machine": machine, "sys_platform": system}) is is_asked_for
