"""Reports of 200,000 records say to the row what a count in plain Python over the raw records says."""

from __future__ import annotations

from pathlib import Path

import pytest

from counted.scene import COUNTS, counted_archive

pytest.importorskip("duckdb")
pytestmark = pytest.mark.slow

RECORDS = 200_000


def test_reports_of_many_records_are_counted_alike(tmp_path: Path) -> None:
    with counted_archive(tmp_path, RECORDS) as scene:
        rows = {name: scene.check(name) for name in COUNTS}
        rows["user-activity"] = scene.check_user() + scene.check_user("diego.santos@contoso.com")
    print(f"{len(scene.records)} records; rows: {rows}")
    assert all(number > 100 for number in rows.values())
