"""A run with the one permission that the README asks for, on a tenant that refuses DLP.All without the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from runs import Tenant, generated, ids_in, run_once, served, write_config

SINKS = {"sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}}}


def check_live(config: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "ualpipe.pipeline.cli", "check", "--live", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@contextmanager
def with_one_permission(folder: Path, **source: Any) -> Iterator[Tenant]:
    with served(folder, generated(200), **source) as tenant:
        tenant.tenant.roles = ("ActivityFeed.Read",)
        tenant.tenant.dlp_without_role = "refuse"
        yield tenant


def test_the_default_content_types_are_collected_without_the_one_that_is_not_permitted(tmp_path: Path) -> None:
    with with_one_permission(tmp_path) as tenant:
        config = write_config(tmp_path, tenant.sections, SINKS)
        for state in ("not started", "enabled"):
            code, said = check_live(config)
            assert code == 0, said
            assert f"{state}: Audit.AzureActiveDirectory, Audit.Exchange, Audit.SharePoint, Audit.General\n" in said
            assert "content type DLP.All: the app lacks the permission ActivityFeed.ReadDlp" in said
            code, log = run_once(config)
            assert code == 0, log
            assert log.count("DLP.All is left out") == 1
        refused = {record["Id"] for blob in tenant.tenant.blobs("DLP.All") for record in orjson.loads(blob.body)}
    assert refused
    assert set(ids_in(tmp_path / "out")) == tenant.ids - refused


def test_one_that_is_named_is_an_error_before_anything_is_started(tmp_path: Path) -> None:
    with with_one_permission(tmp_path, content_types=["Audit.Exchange", "DLP.All"]) as tenant:
        code, said = check_live(write_config(tmp_path, tenant.sections, SINKS))
        assert code == 3
        assert "ERROR    contoso: content type DLP.All: the app lacks the permission ActivityFeed.ReadDlp\n" in said
        assert "API permissions > Add a permission > Office 365 Management APIs > Application permissions" in said
        assert not tenant.tenant.subscriptions()
