"""Bytes that wait on disk: what comes back is what was put there, or nothing."""

import os
import random
from pathlib import Path

import pytest

from ualpipe.pipeline.buffer import spill as _spill
from ualpipe.pipeline.buffer.spill import CAPACITY_BYTES, SpillFile


@pytest.fixture
def make_spill(tmp_path):
    made: list[SpillFile] = []

    def make(capacity: int = CAPACITY_BYTES, folder=tmp_path) -> SpillFile:
        made.append(SpillFile(folder, capacity))
        return made[-1]

    yield make
    for spill in made:
        spill.close()


def test_what_is_kept_comes_back_until_newer_bytes_need_its_place(make_spill):
    spill = make_spill(capacity=100)
    spill.put(1, b"a" * 40)
    spill.put(2, b"b" * 40)
    assert (spill.get(1), spill.get(2)) == (b"a" * 40, b"b" * 40)
    spill.put(3, b"c" * 30)  # does not fit behind 2, and so takes the place of 1
    assert (1 in spill, 2 in spill, 3 in spill) == (False, True, True)
    assert (spill.get(1), spill.get(2), spill.get(3)) == (None, b"b" * 40, b"c" * 30)


def test_what_is_larger_than_the_whole_is_not_kept_and_takes_no_place(make_spill):
    spill = make_spill(capacity=10)
    spill.put(1, b"small")
    spill.put(2, b"x" * 11)
    assert (spill.get(1), spill.get(2)) == (b"small", None)


def test_it_is_full_when_half_of_it_is_taken_by_what_nobody_has_had(make_spill):
    spill = make_spill(capacity=100)
    spill.put(1, b"a" * 90)
    assert not spill.is_full
    spill.put(2, b"b" * 30, is_read=False)
    assert not spill.is_full
    spill.put(3, b"c" * 20, is_read=False)
    assert spill.is_full
    spill.get(2)
    assert not spill.is_full
    spill.put(4, b"d" * 30, is_read=False)
    assert spill.is_full
    spill.had(4)
    assert not spill.is_full


def test_what_was_overwritten_takes_no_room(make_spill):
    spill = make_spill(capacity=100)
    spill.put(1, b"a" * 60, is_read=False)
    assert spill.is_full
    spill.put(2, b"b" * 60)
    assert not spill.is_full


def test_a_disk_that_had_no_room_counts_as_full_for_a_while(make_spill, monkeypatch):
    spill = make_spill(capacity=100)
    monkeypatch.setattr(_spill, "MIN_FREE_BYTES", 1 << 60)
    spill.put(1, b"a")
    assert spill.is_full
    monkeypatch.setattr(_spill, "LOOK_AGAIN_S", 0.0)
    spill.put(1, b"a")
    assert not spill.is_full


def test_what_stands_there_already_stays_as_it_is(make_spill):
    spill = make_spill(capacity=100)
    for key, content in ((1, b"a" * 40), (2, b"b" * 40), (1, b"c" * 15), (3, b"d" * 40)):
        spill.put(key, content)
    assert (spill.get(1), spill.get(2), spill.get(3)) == (None, b"b" * 40, b"d" * 40)


@pytest.mark.parametrize("seed", range(20))
def test_after_any_sizes_each_key_gives_its_own_bytes_or_none_and_the_newest_fit(make_spill, seed):
    rng = random.Random(seed)
    spill = make_spill(capacity=1000)
    contents: list[bytes] = []
    for key in range(300):
        contents.append(rng.randbytes(rng.randint(0, 400)))
        spill.put(key, contents[-1])
        kept = {at: spill.get(at) for at in range(key + 1) if at in spill}
        assert all(found == contents[at] for at, found in kept.items())
        assert [*kept] == [*range(min(kept), key + 1)]  # the newest, without a hole
        assert sum(map(len, kept.values())) <= 1000
        assert key in kept


def test_its_file_has_no_name_and_goes_when_it_is_closed(make_spill, tmp_path):
    spill = make_spill()
    spill.put(1, b"x")
    assert list(tmp_path.iterdir()) == []
    before = len(list(Path("/proc/self/fd").iterdir()))
    spill.close()
    spill.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
    assert spill.get(1) is None


def test_nothing_is_kept_where_no_file_can_be_made_and_nothing_fails(make_spill, tmp_path):
    spill = make_spill(folder=tmp_path / "is not there")
    spill.put(1, b"x")
    assert 1 not in spill
    assert spill.get(1) is None


def test_space_that_the_journal_may_need_is_left_to_it(make_spill, monkeypatch):
    spill = make_spill()
    spill.put(1, b"first")
    monkeypatch.setattr(_spill, "MIN_FREE_BYTES", 1 << 60)
    spill.put(2, b"second")
    assert (spill.get(1), spill.get(2)) == (b"first", None)


def test_nothing_is_kept_on_a_full_disk_and_what_is_there_still_comes_back(make_spill, monkeypatch):
    spill = make_spill()
    spill.put(1, b"first")

    def full(_file, _content, _offset):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        spill.put(2, b"second")
    spill.put(3, b"third")
    assert (spill.get(1), spill.get(2), spill.get(3)) == (b"first", None, b"third")
