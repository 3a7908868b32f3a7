"""Fixtures of the tests that kill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from chaos import crash_runs
from runs import write_config


@pytest.fixture(scope="session")
def warm_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """What runs are forked from."""
    sections = {"sources": {"none": {"type": "files", "paths": ["none"]}}, "sinks": {"local": {"type": "file", "path": "none"}}}
    config = write_config(tmp_path_factory.mktemp("warm"), sections)
    with crash_runs.warm_process(config) as process:
        yield process
