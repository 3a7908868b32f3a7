"""Reports of a store that holds nothing for them: they have their columns, those that their descriptions name, and no rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from archives.scene import store_of
from counted.oddities import Planted
from counted.scene import FOLDER, rows_of
from ualpipe.pipeline.report.contract import Asked, Selection
from ualpipe.sinks.archive.store import ArchiveStore

pytest.importorskip("duckdb")

NAMES = sorted(file.stem for file in FOLDER.glob("*.sql"))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveStore]:
    planted = Planted()
    planted.add(6, "FileAccessed", "ann@contoso.com", Workload="SharePoint")
    found = store_of(tmp_path_factory.mktemp("archive"), planted.records)
    yield found
    found.close()


@pytest.mark.parametrize("name", NAMES)
def test_columns_are_those_of_the_description(store: ArchiveStore, name: str) -> None:
    described = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    sql = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    found = store.query(sql, Asked(Selection(until=LONG_AGO), now=LONG_AGO))
    assert [column for column in found.columns if column not in ("event_ids", "excluded")] == [*described["columns"]]
    assert "event_ids" in found.columns
    assert {*described.get("group", []), described.get("timeline", "event_ids")} <= {*found.columns}
    assert described["wrong"]


@pytest.mark.parametrize("name", ["admin-activity", "mail-read", "mail-rules", "non-owner-access", "permissions", "sign-ins"])
def test_nothing_is_reported_of_what_is_none_of_it(store: ArchiveStore, name: str) -> None:
    assert rows_of(store, name) == []


def test_each_description_has_its_question() -> None:
    assert sorted(file.stem for file in Path(FOLDER).glob("*.yaml")) == NAMES
