"""Reports say to the row what a count in plain Python over the raw records says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from counted.oddities import SHE, guid, puid, sid
from counted.scene import COUNTS, Scene, counted_archive

pytest.importorskip("duckdb")

RECORDS = 20_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with counted_archive(tmp_path_factory.mktemp("archive"), RECORDS) as found:
        yield found


@pytest.mark.parametrize("name", COUNTS)
def test_report_is_counted_alike(scene: Scene, name: str) -> None:
    assert scene.check(name) > 50


def test_acts_under_all_spellings_of_a_user_are_counted_alike(scene: Scene) -> None:
    assert scene.check_user() == 11


def test_acts_of_a_generated_user_are_counted_alike(scene: Scene) -> None:
    assert scene.check_user("diego.santos@contoso.com") > 20


@pytest.mark.parametrize("spelled", ["WILMA.old@contoso.com", sid("wilma"), guid("wilma"), puid("wilma")])
def test_a_user_is_found_by_each_of_his_names_and_ids(scene: Scene, spelled: str) -> None:
    assert scene.report("user-activity", user=spelled) == scene.report("user-activity", user=SHE)
