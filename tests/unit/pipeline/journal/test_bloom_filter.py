"""The filter never forgets what was added, and rarely takes another for it."""

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.journal.sqlite.seen import bloom_filter
from ualpipe.pipeline.journal.sqlite.seen.bloom_filter import VECTORS_BYTES, BloomFilter, capacity_of, maybe_added

digests = st.lists(st.binary(min_size=16, max_size=16), max_size=40)
sizes = st.sampled_from([16, 64, 1024])


@pytest.fixture(params=["plain", "numpy"], autouse=True)
def way(request):
    """All of it goes both ways: in plain Python, and with numpy whatever the size."""
    assert bloom_filter._load_vectors() is not None  # loaded here, as Hypothesis takes the time of each example
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bloom_filter, "VECTORS_BYTES", 0 if request.param == "numpy" else 1 << 60)
        yield request.param


def many(seed: int, count: int) -> list[bytes]:
    drawn = random.Random(seed)
    return [drawn.randbytes(16) for _digest in range(count)]


@given(digests, digests, sizes)
def test_what_was_added_may_have_been_added(added, others, size):
    made = BloomFilter(size)
    made.add(added)
    assert [at for at, _filter in maybe_added([made], added)] == list(range(len(added)))
    again = BloomFilter(size)
    again.load(made.pieces())
    assert maybe_added([again], others) == maybe_added([made], others)


@given(st.lists(st.tuples(digests, sizes), max_size=4), digests)
def test_several_filters_answer_as_each_alone(contents, asked):
    filters = []
    for added, size in contents:
        filters.append(BloomFilter(size))
        filters[-1].add(added)
    found = {(position, at) for at, each in enumerate(filters) for position, _only in maybe_added([each], asked)}
    assert set(maybe_added(filters, asked)) == found


@pytest.mark.parametrize("size", [1 << 14, 1 << 20])
def test_a_full_filter_passes_less_than_one_in_a_hundred_others(size):
    made = BloomFilter(size)
    made.add(many(1, capacity_of(size)))
    assert len(maybe_added([made], many(2, 20_000))) < 200


def test_huge_pages_change_nothing():
    """From 2 MiB on the filter lies in memory of another kind."""
    small, large = BloomFilter(1 << 20), BloomFilter(1 << 21)
    for each in (small, large):
        each.add(many(1, 5000))
        assert len(maybe_added([each], many(1, 5000))) == 5000
        assert len(maybe_added([each], many(2, 5000))) < 20
    copy = BloomFilter(large.size)
    copy.load(large.pieces())
    assert list(copy.pieces()) == list(large.pieces())
    assert [len(piece) for piece in large.pieces()] == [1 << 20] * 2


def test_its_capacity_follows_its_size():
    assert BloomFilter(1 << 20).capacity == capacity_of(1 << 20) == (1 << 23) // 13


@given(digests, digests, sizes)
def test_both_ways_make_and_read_the_same_bits(added, asked, size):
    content, answers = [], []
    for least in (0, 1 << 60):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bloom_filter, "VECTORS_BYTES", least)
            made = BloomFilter(size)
            made.add(added)
            content.append(list(made.pieces()))
            answers.append(sorted(maybe_added([made, BloomFilter(size), made], [*asked, *added])))
    assert content[0] == content[1]
    assert answers[0] == answers[1]


def test_numpy_is_loaded_for_large_filters_only_and_not_missed_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(bloom_filter, "VECTORS_BYTES", VECTORS_BYTES)
    assert bloom_filter._vectors(VECTORS_BYTES - 1) is None
    assert bloom_filter._vectors(VECTORS_BYTES).__name__ == "ualpipe.pipeline.journal.sqlite.seen.bloom_filter_numpy"
    monkeypatch.setitem(sys.modules, "ualpipe.pipeline.journal.sqlite.seen.bloom_filter_numpy", None)
    assert bloom_filter._load_vectors.__wrapped__() is None
