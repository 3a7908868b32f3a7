"""Good tenants hardly feel one that does harm; ``python -m bench hostile`` measures every way to do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.neighbours import MOST_RSS_MB, MOST_STOP_S, limit_of_lateness, measured

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

BLOBS = 6


@pytest.mark.parametrize("harm", ["blob: key of 31 MiB"])
def test_good_tenants_are_served_in_time_beside_one_that_does_harm(tmp_path: Path, harm: str) -> None:
    folders = [tmp_path / name for name in ("alone", "beside")]
    for folder in folders:
        folder.mkdir()
    alone, beside = (measured(folder, kind, BLOBS) for folder, kind in zip(folders, (None, harm), strict=True))
    print(f"alone {alone}, beside {beside}")
    assert alone.missing == beside.missing == 0
    assert beside.late_s <= limit_of_lateness(alone.late_s)
    assert beside.rss_mb <= MOST_RSS_MB
    assert beside.stop_s <= MOST_STOP_S
