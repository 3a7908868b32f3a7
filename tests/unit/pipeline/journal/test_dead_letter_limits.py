"""Limits of dead letters: named when they are passed, measured now and then, and never a reason to drop one."""

from datetime import timedelta

import pytest

from fakes import NOW, enter, open_journal, rows
from ualpipe.pipeline.config.model import DeadLetterOptions
from ualpipe.pipeline.errors import JournalFull
from ualpipe.pipeline.journal.dead_letter_limits import LOOK_AGAIN_S, DeadLetterLimits, beyond
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.dead_letters import DeadLetters
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter, DeadLetterTotals
from ualpipe.pipeline.options import build

DAY = 86400.0


def options(**values) -> DeadLetterOptions:
    return build(DeadLetterOptions, values, None)


def held(count: int = 3, size: int = 100, age_days: float = 1.0) -> DeadLetterTotals:
    return DeadLetterTotals(count, size, NOW - timedelta(days=age_days) if count else None)


@pytest.fixture
def opened(tmp_path, clock):
    """Opens the journal, with limits."""
    made = []

    def journal(**values) -> SqliteJournal:
        made.append(open_journal(tmp_path, clock, dead_letter_limits=options(**values)))
        return made[-1]

    yield journal
    for one in made:
        one.close()


@pytest.fixture
def beside(tmp_path, clock):
    """Opens the reading side of that journal, or another beside the pipeline."""
    made = []

    def opened(kind=SqliteJournalReader):
        made.append(kind(tmp_path, clock))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def bury(journal, key: str, text: bytes = b"<html>") -> None:
    journal.bury(enter(journal, key), DeadLetter("fetch", "ContentUndecodable", "no JSON array", text), "dead")


@pytest.mark.parametrize(
    ("found", "limits", "expected"),
    [
        (held(0, 0), {}, []),
        (held(), {}, []),
        (held(), {"max_size": "100B"}, []),
        (
            held(),
            {"max_size": "99B"},
            ["dead letters take 100 bytes (3 of them), the limit is 99 (journal.dead_letters.max_size)"],
        ),
        (held(), {"max_age": "24h"}, []),
        (held(age_days=30.5), {}, ["the oldest dead letter is 30.5 days old, the limit is 30 (journal.dead_letters.max_age)"]),
        (held(age_days=400, size=1 << 40), {"max_age": None, "max_size": None}, []),
    ],
)
def test_limits_that_are_passed_are_named(found, limits, expected):
    assert beyond(found, options(**limits), NOW) == expected


def test_both_limits_may_be_passed():
    assert len(beyond(held(age_days=2), options(max_age="1d", max_size="1B"), NOW)) == 2


def test_what_is_held_is_measured_as_it_is_stored(tmp_path, clock):
    file = JournalFile(tmp_path, clock, exclusive=True)
    journal = SqliteJournal(file)
    totals = DeadLetters(file, "").totals
    assert totals() == DeadLetterTotals(0, 0, None)
    bury(journal, "a", b"x" * 10_000)
    clock.advance(60)
    bury(journal, "b")
    found = totals()
    assert (found.count, found.oldest) == (2, NOW)
    assert 0 < found.bytes < 1000
    journal.close()


def test_a_limit_that_stops_pauses_fetching_until_letters_are_gone(opened, beside, clock):
    journal = opened(max_size="1B", on_limit="stop")
    journal.check_room()
    bury(journal, "a")
    clock.advance(LOOK_AGAIN_S)
    with pytest.raises(JournalFull, match=r"journal\.dead_letters\.max_size.*discard"):
        journal.check_room()
    for stored in beside().dead_letters():
        beside(SqliteJournalChanges).discard(stored)
    clock.advance(LOOK_AGAIN_S)
    journal.check_room()


def test_a_limit_that_warns_lets_fetching_go_on(opened):
    journal = opened(max_size="1B")
    bury(journal, "a")
    journal.check_room()
    assert "max_size" in journal.limits_passed()


def test_a_journal_without_limits_measures_nothing(tmp_path, clock):
    def measure():
        raise AssertionError("measured")

    limits = DeadLetterLimits(measure, None, clock)
    assert (limits.beyond(now=True), limits.stop()) == ("", "")


def test_letters_grow_too_old_by_time_alone(opened, clock):
    journal = opened(max_age="1d")
    bury(journal, "a")
    assert journal.limits_passed() == ""
    clock.advance(2 * DAY)
    assert "2.0 days old" in journal.limits_passed()


def test_letters_are_measured_now_and_then_or_when_asked(opened):
    journal = opened(max_size="1B")
    assert journal.limits_passed() == ""
    bury(journal, "a")
    assert journal.limits_passed() == ""
    assert journal.limits_passed(now=True) != ""


def test_the_status_names_the_limits_that_are_passed(opened, beside, clock):
    bury(opened(), "a")
    clock.advance(2 * DAY)
    reader = beside()
    assert reader.status([]).beyond_limits == []
    (found,) = reader.status([], options(max_age="1d")).beyond_limits
    assert "2.0 days old" in found


def test_a_discarded_letter_leaves_its_reason_and_no_bytes(tmp_path, clock, beside):
    file = JournalFile(tmp_path, clock, exclusive=True)
    journal = SqliteJournal(file)
    bury(journal, "a", b"secret" * 100)
    reader = beside()
    (stored,) = reader.dead_letters()
    beside(SqliteJournalChanges).discard(stored)
    assert reader.dead_letters() == []
    state, reason, packed = rows(tmp_path, "SELECT state, reason, body FROM dead_letter")[0]
    assert (state, reason, file.unpack(packed)) == ("discarded", "no JSON array", b"")
    journal.close()


def test_a_letter_sent_again_meanwhile_is_not_discarded(opened, beside, tmp_path):
    bury(opened(), "a", b"precious")
    (stored,) = beside().dead_letters()
    changes = beside(SqliteJournalChanges)
    changes.requeue(stored)
    before = rows(tmp_path, "SELECT * FROM dead_letter")
    changes.discard(stored)
    assert rows(tmp_path, "SELECT * FROM dead_letter") == before
    assert rows(tmp_path, "SELECT state FROM dead_letter") == [("retried",)]
