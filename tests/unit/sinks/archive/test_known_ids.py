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
    one = known(tmp_path, connection, limit_bytes=8 * 250)
    partitions = [layout.partition_of(f"{at}", None) for at in range(4)]
    for partition in partitions:
        one.add(partition, [f"{at}" for at in range(100)])
    assert list(one._partitions) == partitions[2:]
    one.add(partitions[3], [f"more {at}" for at in range(500)])
    assert list(one._partitions) == partitions[3:]


@given(st.lists(st.lists(st.text(max_size=3), max_size=20), max_size=12))
@settings(max_examples=50)
def test_hashes_are_found_after_any_additions(groups):
    hashes = known_ids._Hashes()
    for group in groups:
        hashes.add(known_ids._hashes(group))
    everything = [one for group in groups for one in group]
    assert hashes.hold(known_ids._hashes(everything)).all()
    assert not hashes.hold(known_ids._hashes(["longer than any"])).any()
    sizes = [run.size for run in hashes._runs]
    assert all(2 * later <= earlier for earlier, later in itertools.pairwise(sizes))
