"""Sorted runs: every digest is found where it was written, whatever chunks and parts it falls into."""

import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.seen.runs import CHUNK_IDS, PARTS, SeenRuns, contains, cut, split

# Few different bytes, so that digests share their beginnings.
close = st.binary(min_size=16, max_size=16) | st.lists(st.sampled_from(b"\x00\x01\xff"), min_size=16, max_size=16).map(bytes)
run_of_digests = st.lists(close, unique=True, max_size=60).map(sorted)


@pytest.fixture
def runs():
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(_journal_schema.TABLES)
    yield SeenRuns(db)
    db.close()


def fresh() -> SeenRuns:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(_journal_schema.SEEN)
    return SeenRuns(db)


def many(seed: int, count: int) -> list[bytes]:
    drawn = random.Random(seed)
    return sorted(drawn.randbytes(16) for _digest in range(count))


@given(run_of_digests, run_of_digests)
def test_a_run_holds_what_was_written_and_nothing_else(one, other):
    made = fresh()
    made.write(1, one)
    made.write(2, other)
    for digest in [*one, *other, bytes(16), b"\xff" * 16]:
        assert made.holds([1], digest) == (digest in one)
        assert made.holds([2], digest) == (digest in other)
        assert made.holds([2, 1], digest) == (digest in one or digest in other)
    assert [digest for part in made.read(1) for digest in part] == one


@given(run_of_digests, run_of_digests, st.integers(0, PARTS))
def test_a_merge_may_stop_after_any_part_and_misses_nothing(one, other, parts):
    made = fresh()
    made.write(1, one)
    made.write(2, other)
    moved = sum(made.merge_part([1, 2], 3, part) for part in range(parts))
    everything = {*one, *other}
    assert all(made.holds([1, 2, 3], digest) for digest in everything)
    assert [d for part in made.read(3) for d in part] == sorted(d for d in [*one, *other] if d[0] < parts)
    assert moved == sum(digest[0] < parts for digest in [*one, *other])


def test_dropped_parts_leave_no_chunk(runs):
    runs.write(1, many(1, 5000))
    runs.write(2, many(2, 50))
    assert sum(runs.merge_part([1], None, part) for part in range(PARTS)) == 5000
    assert list(runs.read(1)) == []
    assert all(runs.holds([2], digest) for digest in many(2, 50))


@given(run_of_digests)
def test_chunks_keep_order_parts_and_different_keys(digests):
    chunks = list(cut(digests))
    assert [digest for _key, ids in chunks for digest in split(ids)] == digests
    assert [key for key, _ids in chunks] == sorted({key for key, _ids in chunks})
    assert all(len({digest[0] for digest in split(ids)}) == 1 for _key, ids in chunks)


def test_chunks_fill_a_page_each():
    sizes = [len(split(ids)) for _key, ids in cut(many(1, 300_000))]
    assert max(sizes) == CHUNK_IDS
    assert sum(sizes) / len(sizes) > 0.9 * CHUNK_IDS


def test_digests_that_begin_alike_stay_in_one_chunk(runs):
    alike = sorted(b"\x07" * 5 + number.to_bytes(11, "big") for number in range(3 * CHUNK_IDS))
    around = sorted([*many(1, 1000), *alike])
    runs.write(1, around)
    assert all(runs.holds([1], digest) for digest in around)
    assert not runs.holds([1], b"\x07" * 16)


def test_a_digest_that_stands_across_two_others_is_not_contained():
    first, second = bytes(range(16)), bytes(range(16, 32))
    across = (first + second)[5:21]
    assert not contains(first + second, across)
    assert contains(first + second + across, across)
    assert not contains(b"", across)
