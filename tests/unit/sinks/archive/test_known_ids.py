"""Which ids stand in an archive: by hashes that prove nothing, and within a bound of memory."""

from __future__ import annotations

import itertools

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives.sinks import TENANT, counting_files, events, write
from ualpipe.sinks.archive import known_ids, layout
from ualpipe.sinks.archive.known_ids import KnownIds
from ualpipe.sinks.event_fields import document_id, parse_instant

PARTITION = layout.partition_of(TENANT, parse_instant("2026-11-20"))


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


def known(root, connection, **options) -> KnownIds:
    return KnownIds(root, connection, lambda path, exc: pytest.fail(f"{path}: {exc}"), **options)


def names(*ids: str) -> list[str]:
    return [document_id(event) for event in events(*ids)]


def test_ids_are_read_from_the_files_that_count(tmp_path, connection):
    write(tmp_path, events("a"), events("b"))
    one = known(tmp_path / "archive", connection)
    assert one.unknown(PARTITION, names("a", "c", "b", "c")) == [1]
    assert one.unknown(layout.partition_of("other", None), names("a")) == [0]


def test_two_ids_with_one_hash_are_two(tmp_path, connection, monkeypatch):
    monkeypatch.setattr(known_ids, "_hash", lambda _id: 7)
    write(tmp_path, events("a", "b"), events("c", "a"))
    one = known(tmp_path / "archive", connection)
    assert one.unknown(PARTITION, names("a", "b", "c", "d", "d")) == [3]
    assert len(counting_files(tmp_path / "archive")) == 2


def test_what_was_erased_meanwhile_is_not_there(tmp_path, connection):
    write(tmp_path, events("a", "b"))
    one = known(tmp_path / "archive", connection)
    assert one.unknown(PARTITION, names("a")) == []
    for file in counting_files(tmp_path / "archive"):
        file.unlink()
    assert one.unknown(PARTITION, names("a")) == [0]


def test_the_partitions_that_were_not_written_to_for_longest_are_forgotten(tmp_path, connection):
    one = known(tmp_path, connection, limit_bytes=12 * 250)
    partitions = [layout.partition_of(f"{at}", None) for at in range(4)]
    for partition in partitions:
        one.add(partition, [f"{at}" for at in range(100)], 1)
    assert list(one._partitions) == partitions[2:]
    one.add(partitions[3], [f"more {at}" for at in range(500)], 2)
    assert list(one._partitions) == partitions[3:]


@given(st.lists(st.lists(st.text(max_size=3), max_size=20), max_size=12))
@settings(max_examples=50)
def test_hashes_are_found_after_any_additions(groups):
    hashes = known_ids._Hashes()
    for number, group in enumerate(groups):
        hashes.add(known_ids._hashes(group), number)
    everything = [one for group in groups for one in group]
    wanted = {at: {number for number, group in enumerate(groups) if one in group} for at, one in enumerate(everything)}
    assert hashes.candidates(known_ids._hashes(everything)) == wanted
    assert not hashes.candidates(known_ids._hashes(["longer than any"]))
    sizes = [run.size for run, _numbers in hashes._runs]
    assert all(2 * later <= earlier for earlier, later in itertools.pairwise(sizes))


def test_ids_are_found_in_a_merged_file_that_was_read_before_it_was_merged(tmp_path, connection):
    write(tmp_path, events("a"), events("b"))
    one = known(tmp_path / "archive", connection)
    assert one.unknown(PARTITION, names("a", "b")) == []
    write(tmp_path, events("c"), compact=2)
    merged, _last = counting_files(tmp_path / "archive")
    assert merged.name == "part-0000000001-0000000002.parquet"
    assert one.unknown(PARTITION, names("a", "b", "d")) == [2]


def test_a_file_of_the_same_name_is_read_anew(tmp_path, connection):
    write(tmp_path, events("a", "b"))
    one = known(tmp_path / "archive", connection)
    assert one.unknown(PARTITION, names("a", "b")) == []
    for file in counting_files(tmp_path / "archive"):
        file.unlink()
    write(tmp_path, events("b"))
    assert one.unknown(PARTITION, names("a", "b")) == [0]
