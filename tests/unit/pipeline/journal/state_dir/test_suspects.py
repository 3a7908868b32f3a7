"""Items that were being fetched when the process died: fetched last and alone, and no more after three deaths."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import fakes
from fakes import FakeClock, body, keys, lease, listed, open_journal, pack, record, rows
from ualpipe.pipeline.journal.sqlite.journal import UNDER_WAY
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.suspects import PATIENCE_S
from ualpipe.pipeline.journal.types import FetchedItem, LedgerItem
from ualpipe.pipeline.journal.under_way import SLOTS, UnderWay
from ualpipe.pipeline.records.chunk import Chunk

STREAMS = ["stream"]


def fetch(journal, item: LedgerItem) -> None:
    journal.commit([FetchedItem(item, last=pack(Chunk(body([{"Id": item.work.key}]), "array"), journal.clock))])


def die(journal) -> None:
    """Ends a journal as a kill would: nothing is noted any more."""
    journal._file.close()


@pytest.fixture
def clock():
    return FakeClock()


def died_fetching(tmp_path: Path, clock, *names: str, others: str = "", is_memory_short: bool = True, sinks=()):
    """Returns a journal behind the death of a process that was fetching some items."""
    journal = open_journal(tmp_path, clock)
    listed(journal, *names, *others)
    for item in lease(journal):
        if item.work.key in names:
            journal.begin(item)
    journal.beat(is_memory_short=is_memory_short)
    die(journal)
    return open_journal(tmp_path, clock, sinks=sinks)


def test_items_under_way_at_a_death_are_leased_when_nothing_else_is_due_and_one_by_one(tmp_path, clock):
    journal = died_fetching(tmp_path, clock, "p", "q", others="abc")
    others = lease(journal)
    assert keys(others) == ["a", "b", "c"]
    assert lease(journal) == []
    for item in others:
        fetch(journal, item)
    (first,) = lease(journal)
    assert (first.work.key, first.deaths) == ("p", 1)
    listed(journal, "later")
    assert lease(journal) == [], "it is alone"
    assert journal.count_due("source", STREAMS, 5) == 0
    fetch(journal, first)
    assert keys(lease(journal)) == ["later"]
    journal.close()


def test_suspects_wait_for_sinks_that_are_behind_but_for_none_that_stands_still(tmp_path, clock):
    """A bounded run whose sink refuses it ends soon, however many items were being fetched at an earlier kill."""
    journal = died_fetching(tmp_path, clock, "p", others="a", sinks=["siem"])
    for item in lease(journal):
        fetch(journal, item)
    assert lease(journal) == [], "what was fetched is on its way to the sink"
    journal.note_standing_still({"sink siem": "access denied", "source source": "throttled"})
    assert keys(lease(journal)) == ["p"]
    journal.close()


def test_the_items_of_other_sources_come_before_suspects_too(tmp_path, clock):
    journal = died_fetching(tmp_path, clock, "p")
    listed(journal, "a", source="other")
    assert lease(journal) == []
    (other,) = lease(journal, source="other")
    assert lease(journal) == []
    fetch(journal, other)
    assert keys(lease(journal)) == ["p"]
    journal.close()


def test_suspects_do_not_wait_for_ever(tmp_path, clock):
    journal = died_fetching(tmp_path, clock, "p", others="a")
    (other,) = lease(journal, 1)
    listed(journal, *"bcd")
    clock.advance(PATIENCE_S)
    assert lease(journal) == [], "what is under way is waited for"
    fetch(journal, other)
    (suspect,) = lease(journal)
    assert suspect.work.key == "p"
    journal.postpone(suspect, "busy", clock.now().timestamp() + 60)
    assert keys(lease(journal)) == ["b", "c", "d"]
    journal.close()


def test_deaths_add_up_until_an_item_was_fetched(tmp_path, clock):
    for deaths in range(1, 4):
        journal = died_fetching(tmp_path, clock, "p")
        (suspect,) = lease(journal)
        assert suspect.deaths == deaths
        die(journal)
    journal = open_journal(tmp_path, clock)
    (suspect,) = lease(journal)
    assert suspect.deaths == 3, "it was leased, and nobody began with it"
    fetch(journal, suspect)
    journal.close()
    assert rows(tmp_path, "SELECT * FROM meta WHERE key GLOB 'died:*'") == []


def test_a_clean_end_leaves_no_suspects(tmp_path, clock):
    with closing(open_journal(tmp_path, clock)) as journal:
        listed(journal, "a")
        journal.begin(lease(journal)[0])
    with closing(open_journal(tmp_path, clock)) as journal:
        assert [item.deaths for item in lease(journal)] == [0]


def test_items_that_were_being_fetched_for_a_moment_are_not_blamed_but_come_last(tmp_path, clock):
    for _kill in range(5):
        journal = died_fetching(tmp_path, clock, "p", others="a", is_memory_short=False)
        (other,) = lease(journal)
        assert other.work.key == "a"
        journal.release(other)
        die(journal)
    assert rows(tmp_path, "SELECT * FROM meta WHERE key GLOB 'died:*'") == []


def test_what_was_being_fetched_for_long_is_blamed(tmp_path, monkeypatch):
    marks = UnderWay(tmp_path / "marks")
    marks.begin(1)
    monkeypatch.setattr(time, "time", lambda: 1e10)
    marks.begin(2)
    marks.beat(is_memory_short=False)
    left = UnderWay(tmp_path / "marks")
    assert (left.left_behind, left.blamed) == ({1, 2}, {1})


@pytest.mark.parametrize(
    "left", [b"", b"x", b"\xff" * 9000, b"\x00" * 9 + b"\x01\x00\x00\x00\x00\x00\x00\x00torn", b"\x7f" * 9000]
)
def test_whatever_stands_in_the_file_does_no_harm(tmp_path, clock, left):
    open_journal(tmp_path, clock).close()
    (tmp_path / UNDER_WAY).write_bytes(left)
    with closing(open_journal(tmp_path, clock)) as journal:
        listed(journal, "a")
        assert keys(lease(journal)) == ["a"]


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "under-way").symlink_to(tmp_path / "precious")
    marks = UnderWay(tmp_path / "under-way")
    marks.begin(1)
    marks.close()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_more_items_than_slots_are_not_noted_and_do_no_harm(tmp_path):
    marks = UnderWay(tmp_path / "marks")
    for number in range(1, SLOTS + 3):
        marks.begin(number)
    assert UnderWay(tmp_path / "marks").left_behind == frozenset(range(1, SLOTS + 1))
    marks.end(5)
    marks.begin(SLOTS + 2)
    assert UnderWay(tmp_path / "marks").left_behind == frozenset({*range(1, SLOTS + 1), SLOTS + 2} - {5})


POISONED = """
import os, sys, time
from pathlib import Path
from fakes import MemorySource, Pipeline, MemorySink, body, records
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal import under_way
under_way.LONG_S = 0.0
good = {f"good {at}": body(records(100 * at, 3)) for at in range(20)}
source = MemorySource({"s": {**{f"poison {at}": body(records(9000 + at, 1)) for at in range(2)}, **good}})
class Sink(MemorySink):
    def write(self, batch):
        done = super().write(batch)
        with open(sys.argv[2], "a") as file:
            file.writelines(event.id + "\\n" for event in batch.events)
        return done
def fetch(item):
    if item.key.startswith("poison"):
        time.sleep(0.1)  # it takes a while until memory is used up
        os.kill(os.getpid(), 9)
source.on_fetch = fetch
pipeline = Pipeline(Path(sys.argv[1]), source, {"sink": Sink()}, clock=SystemClock(), source_options={"concurrency": 8})
sys.exit(pipeline.runner().run())
"""


def test_good_records_arrive_within_three_starts_and_poison_is_set_aside_in_the_end(tmp_path):
    """Whenever it fetches one of two items that are listed first, the process is killed, as the kernel does without memory."""
    delivered, wanted = tmp_path / "delivered", {record(100 * at + number)["Id"] for at in range(20) for number in range(3)}
    wanted_at, codes = 0, []
    path = os.pathsep.join([str(Path(fakes.__file__).parent), *sys.path])
    while not codes or codes[-1] == -9:
        assert len(codes) < 20
        run = [sys.executable, "-c", POISONED, str(tmp_path / "state"), str(delivered)]
        codes.append(subprocess.run(run, env={**os.environ, "PYTHONPATH": path}, timeout=60, check=False).returncode)
        if not wanted_at and delivered.exists() and wanted <= set(delivered.read_text().split()):
            wanted_at = len(codes)
    assert 1 <= wanted_at <= 3
    assert codes[-1] == 1
    with closing(SqliteJournalReader(tmp_path / "state", FakeClock())) as reader:
        letters = list(reader.dead_letters())
    assert sorted(letter.item for letter in letters) == [f"poison {at}" for at in range(2)]
    assert all("died 3 times" in letter.dead_letter.reason for letter in letters)
