"""Which files are merged, how often an event is written again, and what a merge leaves."""

from __future__ import annotations

from collections import Counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives.sinks import counting_files, events, ids_in, sink, write
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.archive import duck
from ualpipe.sinks.archive.layout import Part
from ualpipe.sinks.archive.upkeep.compaction import LARGE_BYTES, MERGED_BYTES, SMALL_BYTES, due

SMALL, MIDDLE, LARGE = 1000, SMALL_BYTES * 2, LARGE_BYTES


def sizes_of(*sizes: int) -> dict[Part, int]:
    return {Part(at, at): size for at, size in enumerate(sizes, 1)}


def numbers(parts: list[Part]) -> list[int]:
    return [part.first for part in parts]


def test_nothing_is_due_below_the_number():
    assert due({}, 4) == []
    assert due(sizes_of(*[SMALL] * 3), 4) == []


def test_neighbours_of_like_size_are_due():
    assert numbers(due(sizes_of(*[SMALL] * 4), 4)) == [1, 2, 3, 4]
    assert numbers(due(sizes_of(MIDDLE, *[SMALL] * 4), 4)) == [2, 3, 4, 5]


def test_a_middle_one_is_not_written_again_with_each_few_small_ones():
    assert due(sizes_of(MIDDLE, MIDDLE, SMALL, SMALL, SMALL), 4) == []
    assert numbers(due(sizes_of(MIDDLE, SMALL, MIDDLE, MIDDLE, MIDDLE), 4)) == [1, 2, 3, 4, 5]


def test_a_large_one_parts_its_neighbours_and_is_left_alone():
    assert due(sizes_of(SMALL, SMALL, LARGE, SMALL, SMALL), 4) == []
    assert due(sizes_of(*[LARGE] * 50), 4) == []


def test_no_merged_file_is_larger_than_wanted():
    chosen = due(sizes_of(*[LARGE - 1] * 40), 40)
    assert numbers(chosen) == list(range(1, MERGED_BYTES // (LARGE - 1) + 1))


@given(st.lists(st.integers(200, LARGE_BYTES // 3), min_size=1, max_size=300), st.integers(2, 20))
@settings(max_examples=50)
def test_events_are_written_again_a_few_times_and_few_files_stay(writes, most):
    sizes: dict[Part, int] = {}
    written_again = 0
    for number, size in enumerate(writes, 1):
        while chosen := due(sizes, most):
            merged = sum(sizes.pop(part) for part in chosen)
            written_again += merged
            sizes[Part(chosen[0].first, chosen[-1].last)] = merged
            assert not any(chosen[0].first < part.first <= chosen[-1].last for part in sizes if part.first != chosen[0].first)
        sizes[Part(number, number)] = size
    assert sum(sizes.values()) == sum(writes)
    small = [size for size in sizes.values() if size < LARGE_BYTES]
    levels = 4 if most < 5 else 2
    assert len(small) <= 1 + (levels + 4) * most * (1 + len(sizes) - len(small))
    if min(writes) >= SMALL_BYTES:
        assert written_again <= (levels + 4) * sum(writes)


def test_merged_files_hold_all_events_sorted_by_time(tmp_path):
    batches = [events(f"{at}", CreationTime=f"2026-11-20T{23 - at:02}:00:00") for at in range(17)]
    write(tmp_path, *batches, compact=16)
    merged, last = counting_files(tmp_path / "archive")
    assert merged.name == "part-0000000001-0000000016.parquet"
    assert last.name == "part-0000000017-0000000017.parquet"
    times = duckdb.execute("SELECT time FROM read_parquet(?)", [str(merged)]).fetchall()
    assert len(times) == 16
    assert times == sorted(times)
    assert sorted(path.name for path in merged.parent.iterdir()) == [merged.name, last.name]


def test_a_merge_for_which_memory_is_short_leaves_the_files_as_they_are(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(duck, "WRITING_MEMORY", "30MiB")
    one = sink(tmp_path, compact=2)
    one.open()
    for at in range(6):
        one.write(Batch(events(*(f"{at} {more}" for more in range(4)), Large="x" * 1_000_000)))
    one.close()
    assert ids_in(tmp_path / "archive") == Counter(f"{at} {more}" for at in range(6) for more in range(4))
    assert "are not merged: Out of Memory" in caplog.text


@pytest.mark.parametrize("compact", [2, 3])
def test_merges_go_on_over_runs(tmp_path, compact):
    for at in range(9):
        write(tmp_path, events(f"{at}"), compact=compact)
    assert ids_in(tmp_path / "archive") == Counter("012345678")
    assert len(counting_files(tmp_path / "archive")) <= compact
