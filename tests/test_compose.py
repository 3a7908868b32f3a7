"""The compose stack, as far as it can be checked without a container engine."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from ualpipe.pipeline.config.loader import load_config
from ualpipe.simulator.cli import CLIENT_ID, add_arguments

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "compose"
STACK: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
PIPELINE: dict[str, Any] = yaml.safe_load((COMPOSE / "pipeline.yaml").read_text(encoding="utf-8"))
OURS = ("ualpipe", "tenant")
PIPELINE_FILE = "/etc/ualpipe/pipeline.yaml"
DOCKERFILE = (COMPOSE / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_health_check(name: str) -> None:
    assert {"test", "interval", "timeout", "retries"} <= SERVICES[name]["healthcheck"].keys()


def test_the_pipeline_is_healthy_when_status_finds_no_problem() -> None:
    """Its exit code tells of what stands still or is not listed for long; a listing of long ago is no sign of health."""
    config = PIPELINE_FILE
    assert SERVICES["ualpipe"]["healthcheck"]["test"] == ["CMD", "ualpipe", "status", config, "--problems"]
    assert config in SERVICES["ualpipe"]["command"]


@pytest.mark.parametrize("name", [*OURS, "syslog"])
def test_container_of_ours_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "rsyslog/Dockerfile"])
def test_image_runs_as_another_user_than_root(dockerfile: str) -> None:
    users = re.findall(r"^USER (\d+)", (COMPOSE / dockerfile).read_text(encoding="utf-8"), re.MULTILINE)
    assert int(users[-1]) > 0


def test_folders_of_the_image_are_as_private_as_a_run_wants_them() -> None:
    modes = dict(re.findall(r"install -d .* -m (\d+) (/var/lib/\w+)", DOCKERFILE)[::-1])
    assert modes == {"0700": "/var/lib/ualpipe", "0750": "/var/lib/tenant"}
    assert PIPELINE["state_dir"] == modes["0700"]


def test_syslog_names_the_sender_and_not_the_id_of_its_container() -> None:
    assert PIPELINE["sinks"]["siem"]["hostname"] == "ualpipe"


def test_ualpipe_waits_until_everything_else_is_healthy() -> None:
    waits = SERVICES["ualpipe"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in SERVICES if name != "ualpipe"}


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_environments_hold_no_secret() -> None:
    names = [name for service in SERVICES.values() for name in service.get("environment", {})]
    assert [name for name in names if re.search("secret|password|token|key", name, re.IGNORECASE)] == []


def test_volumes_are_declared_and_files_to_mount_exist() -> None:
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {source for source in sources if not source.startswith(".")} == set(STACK["volumes"])
    assert [source for source in sources if source.startswith(".") and not (COMPOSE / source).is_file()] == []


def test_config_of_the_stack_loads(tmp_path: Path) -> None:
    (tmp_path / "client_secret").write_text("secret")
    (tmp_path / "ca.pem").touch()
    text = (COMPOSE / "pipeline.yaml").read_text(encoding="utf-8").replace("/run/tenant", str(tmp_path))
    (tmp_path / "pipeline.yaml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "pipeline.yaml")
    assert set(config.sinks) == {"bus", "search", "siem"}


def test_config_writes_to_services_of_the_stack() -> None:
    (kafka,) = PIPELINE["sinks"]["bus"]["bootstrap_servers"]
    (elasticsearch,) = PIPELINE["sinks"]["search"]["urls"]
    hosts = {kafka.split(":")[0], urlsplit(elasticsearch).hostname, PIPELINE["sinks"]["siem"]["host"]}
    assert hosts == {"kafka", "elasticsearch", "syslog"}
    assert hosts <= SERVICES.keys()


def test_config_logs_in_as_the_simulated_app() -> None:
    assert PIPELINE["credentials"]["audit-app"]["client_id"] == CLIENT_ID


def test_tenant_command_is_understood() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    name, *arguments = SERVICES["tenant"]["command"]
    options = parser.parse_args(arguments)
    assert (name, options.port) == ("tenant", 8443)


def test_state_is_kept_in_a_volume() -> None:
    assert f"state:{PIPELINE['state_dir']}" in SERVICES["ualpipe"]["volumes"]


def test_image_holds_every_package() -> None:
    """A folder that is not copied would be missing from the image only."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {folder.split("/")[0] for folder in build["package-dir"].values()}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [folder for folder in folders if f"COPY {folder}/ {folder}/" not in DOCKERFILE] == []
    assert [folder for folder in folders if f"!{folder}" not in ignored] == []


def test_image_is_built_from_the_lock_file_on_a_base_of_choice() -> None:
    assert "ARG BASE=python:3.12-slim" in DOCKERFILE
    assert "--require-hashes -r requirements/run.txt" in DOCKERFILE


def test_final_image_gets_nothing_but_the_installed_program() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("FROM ${BASE}") :]
    assert re.findall(r"^COPY .*", final, re.MULTILINE) == ["COPY --from=build /opt/ualpipe /opt/ualpipe"]
    assert "pip" not in final.replace("ualpipe", "")
