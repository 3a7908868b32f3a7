"""New things are counted in memory, kept by whoever stores them, and told once."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.drift import FIELD, MAX_LINES, MAX_NAME, MAX_THINGS, OPERATION, OTHERS, RECORD_TYPE, Drift, Thing
from ualpipe.pipeline.errors import JournalError

FIELD_X = Thing(FIELD, "6", "X")
OPERATION_Y = Thing(OPERATION, "6", "Y")
KIND_900 = Thing(RECORD_TYPE, "900", "")


class Kept:
    """Stores counts in memory; refuses once when told to."""

    def __init__(self) -> None:
        self.counts = {}
        self.calls = 0
        self.error = None

    def add(self, counts):
        self.calls += 1
        if self.error:
            error, self.error = self.error, None
            raise error
        for key, count in counts.items():
            self.counts[key] = self.counts.get(key, 0) + count


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.DEBUG, "ualpipe.drift")

    def lines():
        found = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return found

    return lines


def test_sightings_are_counted_by_thing_and_source(kept):
    drift = Drift()
    for source in ("contoso", "contoso", "fabrikam"):
        drift.note(FIELD_X, source)
    drift.note(OPERATION_Y, "contoso")
    drift.keep(kept.add)
    assert kept.counts == {(FIELD_X, "contoso"): 2, (FIELD_X, "fabrikam"): 1, (OPERATION_Y, "contoso"): 1}


def test_nothing_new_touches_no_store(kept):
    Drift().keep(kept.add)
    assert kept.calls == 0


def test_counts_begin_anew_after_they_are_kept(kept):
    drift = Drift()
    drift.note(FIELD_X, "contoso")
    drift.keep(kept.add)
    drift.keep(kept.add)
    assert (kept.calls, kept.counts) == (1, {(FIELD_X, "contoso"): 1})


def test_a_thing_is_told_once_however_often_and_wherever_it_comes(kept, told):
    drift = Drift()
    for source in ("contoso", "fabrikam", "contoso"):
        drift.note(FIELD_X, source)
        drift.keep(kept.add)
    assert told() == [("INFO", "new in audit records: field X of record type 6")]


def test_a_new_record_type_is_a_warning_and_comes_first(kept, told):
    drift = Drift()
    drift.note(Thing(OPERATION, "900", "Y"), "contoso")
    drift.note(KIND_900, "contoso")
    drift.keep(kept.add)
    assert told() == [
        ("WARNING", "new in audit records: record type 900"),
        ("INFO", "new in audit records: operation Y of record type 900"),
    ]


def test_the_line_names_the_source(kept, caplog):
    caplog.set_level(logging.INFO, "ualpipe.drift")
    drift = Drift()
    drift.note(FIELD_X, "contoso")
    drift.keep(kept.add)
    assert caplog.records[0].source == "contoso"


def test_what_was_seen_in_an_earlier_run_is_counted_and_not_told(kept, told):
    drift = Drift()
    drift.remember([FIELD_X])
    drift.note(FIELD_X, "contoso")
    drift.keep(kept.add)
    assert told() == []
    assert kept.counts == {(FIELD_X, "contoso"): 1}


def test_many_new_things_at_once_do_not_flood_the_log(kept, told):
    drift = Drift()
    for number in range(MAX_LINES + 7):
        drift.note(Thing(FIELD, "6", f"X{number}"), "contoso")
    drift.keep(kept.add)
    lines = told()
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == ("WARNING", "new in audit records: 7 more; `ualpipe status` lists them")


def test_beyond_the_limit_things_are_counted_together(kept, told):
    drift = Drift([Thing(FIELD, "6", f"Old{number}") for number in range(MAX_THINGS - 1)])
    for name in ("A", "B", "C", "B"):
        drift.note(Thing(FIELD, "6", name), "contoso")
    drift.note(Thing(FIELD, "6", "Old7"), "contoso")
    drift.keep(kept.add)
    assert kept.counts == {
        (Thing(FIELD, "6", "A"), "contoso"): 1,
        (Thing(OTHERS, "", ""), "contoso"): 3,
        (Thing(FIELD, "6", "Old7"), "contoso"): 1,
    }
    assert ("WARNING", "new in audit records: more than 1,000 names; the rest is counted together") in told()


def test_what_can_not_be_stored_now_is_kept_and_told_the_next_time(kept, told):
    drift = Drift()
    drift.note(FIELD_X, "contoso")
    kept.error = JournalError("the disk is full")
    with pytest.raises(JournalError):
        drift.keep(kept.add)
    assert told() == []
    drift.note(FIELD_X, "contoso")
    drift.keep(kept.add)
    assert kept.counts == {(FIELD_X, "contoso"): 2}
    assert len(told()) == 1


def test_no_sighting_is_lost_between_threads(kept):
    drift = Drift()
    done = threading.Event()

    def note():
        for number in range(500):
            drift.note(Thing(FIELD, "6", f"X{number % 5}"), "contoso")

    def keep():
        while not done.is_set():
            drift.keep(kept.add)

    keeper = threading.Thread(target=keep)
    noters = [threading.Thread(target=note) for _ in range(4)]
    for thread in (keeper, *noters):
        thread.start()
    for thread in noters:
        thread.join()
    done.set()
    keeper.join()
    drift.keep(kept.add)
    assert sum(kept.counts.values()) == 2000


def test_a_long_name_is_cut(kept):
    drift = Drift()
    drift.note(Thing(FIELD, "6", "x" * 10_000), "contoso")
    drift.keep(kept.add)
    assert list(kept.counts) == [(Thing(FIELD, "6", "x" * MAX_NAME), "contoso")]


@given(st.text(st.characters()), st.text(st.characters()))
def test_every_name_becomes_one_line_of_unicode(name, number):
    kept, drift = Kept(), Drift()
    drift.note(Thing(FIELD, number, name), "contoso")
    drift.keep(kept.add)
    ((thing, _source),) = kept.counts
    for text in thing:
        assert text.isprintable()
        assert len(text) <= MAX_NAME
        text.encode()
