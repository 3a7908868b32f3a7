"""Names of an archive's files and folders, and which files count."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ualpipe.sinks.archive import layout
from ualpipe.sinks.archive.layout import Part, Partition

ROOT = Path("/archive")
RANGES = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 10)).map(lambda one: Part(one[0], one[0] + one[1])), max_size=12)


def test_a_partition_is_named_as_hive_names_it():
    partition = layout.partition_of("a-b", datetime(2026, 11, 20, 23, 59, tzinfo=UTC))
    assert partition.folder(ROOT) == ROOT / "tenant=a-b" / "date=2026-11-20"
    assert Partition("", None).folder(ROOT) == ROOT / "tenant=__HIVE_DEFAULT_PARTITION__/date=__HIVE_DEFAULT_PARTITION__"


@given(st.text(max_size=500))
def test_no_tenant_leads_out_of_the_archive(tenant):
    folder = Partition(tenant, date(2026, 11, 20)).folder(ROOT)
    assert folder.parent.parent == ROOT
    assert len(folder.parent.name.encode()) < 255


def test_partitions_come_back_as_they_were_made(tmp_path):
    made = [Partition("", None), Partition("a/b ü", date(2026, 11, 20)), Partition("c", None)]
    for partition in made:
        partition.folder(tmp_path).mkdir(parents=True)
    (tmp_path / "tenant=c" / "date=yesterday").mkdir()
    (tmp_path / "_coverage").mkdir()
    assert sorted(layout.partitions(tmp_path), key=str) == sorted(made, key=str)


def holds(one: layout.Part, other: layout.Part) -> bool:
    return one != other and one.first <= other.first and other.last <= one.last


@given(RANGES)
def test_those_count_that_are_no_part_of_another(found):
    distinct = sorted(set(found))
    assert sorted(layout.counting(distinct)) == [part for part in distinct if not any(holds(other, part) for other in distinct)]


def test_names_of_others_are_no_files_of_ours(tmp_path):
    for name in ("part-1-2.parquet", "part-0000000001-0000000001.parquet", ".part-0000000002-0000000002.parquet.new"):
        (tmp_path / name).touch()
    for name in ("part-1-2.parquet.bak", "Part-1-1.parquet", "part--1-1.parquet", ".part-1-1.parquet.new.swp", "_SUCCESS"):
        (tmp_path / name).touch()
    assert layout.parts(tmp_path) == [Part(1, 1), Part(1, 2)]
    assert len(layout.own_files(tmp_path)) == 3
