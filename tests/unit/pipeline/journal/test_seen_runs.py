"""Sorted runs: every digest is found where it was written, whatever chunks and parts it falls into."""

import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.journal.sqlite import schema as _journal_schema
from ualpipe.pipeline.journal.sqlite.seen.runs import CHUNK_IDS, PARTS, SeenRuns, content_beside, cut, split
from ualpipe.pipeline.records.identity import UNKNOWN

# Few different bytes, so that digests share their beginnings.
close = st.binary(min_size=16, max_size=16) | st.lists(st.sampled_from(b"\x00\x01\xff"), min_size=16, max_size=16).map(bytes)


def identity(digest: bytes) -> bytes:
    """Returns a digest with a content beside it that shares its bytes with digests."""
    return digest + digest[8:] + digest[:8]


run_of_digests = st.lists(close, unique=True, max_size=60).map(sorted).map(lambda found: list(map(identity, found)))


@pytest.fixture
def runs():
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(_journal_schema.TABLES)
    yield SeenRuns(db)
    db.close()


def fresh() -> SeenRuns:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(_journal_schema.TABLES)
    return SeenRuns(db)


def holds(runs: SeenRuns, numbers: list[int], identity: bytes) -> bool:
    """Returns whether runs hold a digest with just this content beside it."""
    content = runs.find(numbers, identity[:16])
    assert content in (None, identity[16:])
    return content is not None


def many(seed: int, count: int) -> list[bytes]:
    drawn = random.Random(seed)
    return sorted(drawn.randbytes(32) for _digest in range(count))


@given(run_of_digests, run_of_digests)
def test_a_run_holds_what_was_written_and_nothing_else(one, other):
    made = fresh()
    made.write(1, one)
    made.write(2, other)
    for digest in [*one, *other, bytes(32), b"\xff" * 32]:
        assert holds(made, [1], digest) == (digest in one)
        assert holds(made, [2], digest) == (digest in other)
        assert holds(made, [2, 1], digest) == (digest in one or digest in other)
    assert [digest for part in made.read(1) for digest in part] == one


@given(run_of_digests, run_of_digests, st.integers(0, PARTS))
def test_a_merge_may_stop_after_any_part_and_misses_nothing(one, other, parts):
    made = fresh()
    made.write(1, one)
    made.write(2, other)
    moved = sum(made.merge_part([1, 2], 3, part) for part in range(parts))
    everything = {*one, *other}
    assert all(holds(made, [1, 2, 3], digest) for digest in everything)
    assert [d for part in made.read(3) for d in part] == sorted(d for d in [*one, *other] if d[0] < parts)
    assert moved == sum(digest[0] < parts for digest in [*one, *other])


def test_dropped_parts_leave_no_chunk(runs):
    runs.write(1, many(1, 5000))
    runs.write(2, many(2, 50))
    assert sum(runs.merge_part([1], None, part) for part in range(PARTS)) == 5000
    assert list(runs.read(1)) == []
    assert all(holds(runs, [2], digest) for digest in many(2, 50))


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
    alike = sorted(b"\x07" * 5 + number.to_bytes(11, "big") + bytes(15) + b"\x01" for number in range(3 * CHUNK_IDS))
    around = sorted([*many(1, 1000), *alike])
    runs.write(1, around)
    assert all(holds(runs, [1], digest) for digest in around)
    assert runs.find([1], b"\x07" * 16) is None


def test_a_digest_that_stands_across_two_others_is_not_there():
    first, second = bytes(range(32)), bytes(range(32, 64))
    for across in ((first + second)[5:21], first[16:], (first + second)[20:36]):
        assert content_beside(across, first + second) is None
        assert content_beside(across, first + second + across + first[:16]) == first[:16]
    assert content_beside(bytes(16), b"") is None


def test_runs_of_earlier_releases_say_of_each_digest_that_nobody_knows_its_content(runs):
    first, second = bytes(range(16)), bytes(range(16, 32))
    assert content_beside(second, first + second, is_narrow=True) == UNKNOWN
    assert content_beside((first + second)[5:21], first + second, is_narrow=True) is None
    old, new = (sorted(many(seed, 300)) for seed in (1, 2))
    runs.narrow = {1}
    chunks = [(1 << 40 | int.from_bytes(one[:5], "big"), one[:16]) for one in old]
    runs._db.executemany("INSERT INTO seen_chunk VALUES (?, ?)", chunks)
    runs.write(2, new)
    assert runs.find([2, 1], old[7][:16]) == UNKNOWN
    for part in range(PARTS):
        runs.merge_part([1, 2], 3, part)
    assert [runs.find([3], one[:16]) for one in (old[7], new[7])] == [UNKNOWN, new[7][16:]]
