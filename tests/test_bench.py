"""The hot path against bare decoding and encoding: ratios of one run, which hold on a slow machine, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
WHOLE = "decode + validate + map + encode"
MOST = 16.0
"""Times the floor; docs/performance.md has what is usual. More means that something runs for each record that should not."""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What the steps took, by the number of records."""
    return {count: measured(tmp_path_factory.mktemp("bench") / "found.json", count) for count in (500, 8000)}


def measured(out: Path, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench", "hot-path", "--records", str(count), "--rounds", "3", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(out.read_bytes())["hot-path"]["steps"]
    return found


def test_a_record_costs_a_few_times_its_decoding_and_encoding(steps: dict[int, dict[str, Any]]) -> None:
    assert steps[8000][WHOLE]["ratio"] <= MOST


def test_a_record_costs_no_more_among_many(steps: dict[int, dict[str, Any]]) -> None:
    assert steps[8000][WHOLE]["us"] <= 1.5 * steps[500][WHOLE]["us"]
