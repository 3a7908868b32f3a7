"""The ledger: each work item stands once, whatever is listed again; the newest goes first."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import NOW, TENANT, FakeClock, rows, store
from ualpipe.pipeline.journal.due_items import LIVE_S
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.ledger import Ledger
from ualpipe.pipeline.runtime.retry import FETCH
from ualpipe.pipeline.stages import WorkItem

EVER = 0.0


@pytest.fixture
def ledger(file) -> Ledger:
    return Ledger(file, FETCH.longest_s)


def items(*keys: str, stream: str = "s", hours: float = 0) -> list[WorkItem]:
    return [WorkItem(stream, key, {"url": f"https://contoso.example/{key}"}, NOW + timedelta(hours=hours)) for key in keys]


def due(ledger, *, most=100, exclude=(), streams=("s",), source="source", since=EVER) -> list:
    return ledger.live(source, most, list(exclude), list(streams), since=since)


def waiting(ledger, **how) -> list[str]:
    return [found.work.key for found in due(ledger, **how)]


def test_an_item_comes_back_as_it_was_entered(ledger):
    expires = datetime(2026, 11, 27, 1, 2, 3, 456000, tzinfo=UTC)
    item = WorkItem("s", "k\u00fcy", {"url": "https://contoso.example/1?a=b", "path": "x"}, NOW, expires)
    ledger.enter("source", TENANT, [item])
    (found,) = due(ledger)
    assert found.work == item
    assert (found.source, found.tenant, found.attempts) == ("source", TENANT, 0)


def test_items_listed_again_are_not_new_and_stay_as_they_are(ledger):
    assert ledger.enter("source", TENANT, items("a", "b")) == 2
    assert ledger.enter("source", TENANT, [*items("b", hours=5), *items("c")]) == 1
    assert [found.work.created for found in due(ledger)] == [NOW] * 3


def test_the_same_key_is_another_item_in_another_stream_or_source(ledger):
    assert ledger.enter("source", TENANT, [*items("a"), *items("a", stream="t")]) == 2
    assert ledger.enter("other", TENANT, items("a")) == 1


def test_the_newest_content_goes_first(ledger):
    ledger.enter("source", TENANT, [*items("old", hours=-5), *items("new", hours=1), *items("middle")])
    assert waiting(ledger) == ["new", "middle", "old"]
    assert waiting(ledger, most=1) == ["new"]


def back_fill(ledger, *, hours: float, most=100, exclude=()) -> list[str]:
    before = (NOW + timedelta(hours=hours)).timestamp()
    return [found.work.key for found in ledger.back_fill("source", most, list(exclude), ["s"], before=before)]


def lasting(key: str, created_h: float | None, lasts_h: float | None) -> WorkItem:
    created, expires = (None if hours is None else NOW + timedelta(hours=hours) for hours in (created_h, lasts_h))
    return WorkItem("s", key, {}, created, expires)


def test_of_the_rest_what_the_service_drops_first_goes_first(ledger):
    entered = [lasting("c", -9, 30), lasting("a", -2, 10), lasting("b", -5, 20), lasting("same as b, later", -4, 20)]
    ledger.enter("source", TENANT, entered)
    assert back_fill(ledger, hours=-1) == ["a", "b", "same as b, later", "c"]
    assert back_fill(ledger, hours=-1, most=2) == ["a", "b"]
    assert back_fill(ledger, hours=-1, exclude=[1, 2]) == ["b", "same as b, later"]


def test_what_does_not_say_when_it_is_dropped_goes_before(ledger):
    ledger.enter(
        "source", TENANT, [lasting("known", -2, 1), lasting("unknown", -2, None), lasting("not even since when", None, None)]
    )
    assert back_fill(ledger, hours=-1) == ["not even since when", "unknown", "known"]


def test_an_item_is_either_live_or_of_the_rest(ledger):
    ledger.enter(
        "source", TENANT, [lasting("old", -2, 1), lasting("edge", -1, 2), lasting("live", 0, 3), lasting("?", None, None)]
    )
    assert waiting(ledger, since=(NOW + timedelta(hours=-1)).timestamp()) == ["live", "edge"]
    assert back_fill(ledger, hours=-1) == ["?", "old"]
    assert ledger.count_waiting("source") == 4
    assert ledger.count_waiting("other") == 0


def plans(file, statements) -> list[list[str]]:
    """Returns how SQLite carries out each statement, in its own words."""
    return [[row[3] for row in file.rows(f"EXPLAIN QUERY PLAN {statement}")] for statement in statements]


def test_a_large_backlog_is_not_sorted_for_each_item(file, clock):
    """An index has either order: a look costs the same however much waits."""
    ledger, statements = Ledger(file), []
    file.db.set_trace_callback(statements.append)
    ledger.live("source", 3, [1, 2], ["s", "t"], since=EVER)
    ledger.live("source", 3, [1, 2], ["s", "t"], since=NOW.timestamp())
    ledger.back_fill("source", 3, [1, 2], ["s", "t"], before=NOW.timestamp())
    file.db.set_trace_callback(None)
    found = plans(file, statements)
    assert [plan[0].partition("INDEX ")[2].split()[0] for plan in found] == ["item_newest", "item_newest", "item_expiring"]
    assert not [plan for plan in found if any("TEMP B-TREE FOR ORDER BY" in step for step in plan)]


def test_a_lease_takes_these_ways_to_the_items(file):
    """So that the plans above are those of a run; and what is due next is found by an index, too."""
    journal, statements = SqliteJournal(file), []
    journal.enter("source", TENANT, items("a", "b", hours=-LIVE_S))
    file.db.set_trace_callback(statements.append)
    journal.lease("source", ["s"], 1)
    journal.next_due("source", ["s"])
    file.db.set_trace_callback(None)
    found = plans(file, [statement for statement in statements if statement.startswith("SELECT")])
    assert [plan[0].partition("INDEX ")[2].split()[0] for plan in found] == ["item_newest", "item_expiring", "item_due"]
    assert not [plan for plan in found if any("TEMP B-TREE FOR ORDER BY" in step for step in plan)]


def test_items_under_way_and_of_other_streams_and_sources_are_left_out(ledger):
    ledger.enter("source", TENANT, [*items("a", "b"), *items("c", stream="t")])
    first = next(found for found in due(ledger) if found.work.key == "a")
    assert waiting(ledger, exclude=[first.id]) == ["b"]
    assert waiting(ledger, streams=["s", "t"]) == ["a", "b", "c"]
    assert waiting(ledger, streams=[]) == []
    assert waiting(ledger, source="other") == []


def test_a_postponed_item_waits_until_it_is_due_and_remembers_its_failures(ledger, clock):
    ledger.enter("source", TENANT, items("a", "b"))
    item = due(ledger, most=1)[0]
    at = clock.now().timestamp() + 60
    ledger.postpone(item, "connection reset", at)
    assert waiting(ledger) == ["b"]
    assert ledger.next_due("source", [], ["s"]) == 0
    clock.advance(60)
    assert sorted(waiting(ledger)) == ["a", "b"]
    assert next(found for found in due(ledger) if found.work.key == item.work.key).attempts == 1


@pytest.mark.parametrize("state", ["fetched", "dead", "gone"])
def test_an_item_that_does_not_wait_any_more_is_not_postponed(file, ledger, state, tmp_path):
    ledger.enter("source", TENANT, items("a"))
    (item,) = due(ledger)
    with file.transaction() as db:
        db.execute("UPDATE item SET state = ?", (state,))
    assert not ledger.postpone(item, "connection reset", 0.0)
    assert rows(tmp_path, "SELECT state, attempts, error FROM item") == [(state, 0, None)]


def test_what_is_due_next_is_the_earliest_item(ledger, clock):
    assert ledger.next_due("source", [], ["s"]) is None
    ledger.enter("source", TENANT, items("a", "b"))
    for at, item in enumerate(due(ledger)):
        ledger.postpone(item, "down", clock.now().timestamp() + 10 * (at + 1))
    assert ledger.next_due("source", [], ["s"]) == clock.now().timestamp() + 10
    assert ledger.next_due("source", [1], ["s"]) == clock.now().timestamp() + 20
    assert ledger.next_due("source", [1, 2], ["s"]) is None
    assert ledger.next_due("source", [], []) is None


def test_what_waits_of_one_source_can_be_made_due_at_once(ledger, clock):
    for source in ("source", "other"):
        ledger.enter(source, TENANT, items("a"))
        ledger.postpone(due(ledger, source=source)[0], "down", clock.now().timestamp() + 600)
    ledger.make_due("source")
    assert waiting(ledger) == ["a"]
    assert waiting(ledger, source="other") == []
    assert due(ledger)[0].attempts == 1, "it is no new item"


def test_an_item_that_waits_takes_the_address_it_is_listed_with_now_and_is_due_at_once(ledger, clock):
    wrong = WorkItem("s", "a", {"url": "https://elsewhere.example/a"}, NOW)
    ledger.enter("source", TENANT, [wrong])
    ledger.postpone(due(ledger)[0], "a foreign host", clock.now().timestamp() + 600)
    assert ledger.enter("source", TENANT, [wrong, *items("b")]) == 1
    assert waiting(ledger) == ["b"]
    assert ledger.enter("source", TENANT, items("a")) == 0
    (found,) = [found for found in due(ledger) if found.work.key == "a"]
    assert (found.work.locator, found.attempts) == ({"url": "https://contoso.example/a"}, 1)


def test_an_item_that_was_fetched_keeps_the_address_it_was_fetched_from(file, ledger, tmp_path):
    store(SqliteJournal(file), "a", [])
    before = rows(tmp_path, "SELECT state, locator FROM item")
    ledger.enter("source", TENANT, [WorkItem("stream", "a", {"url": "https://elsewhere.example/a"}, NOW)])
    assert rows(tmp_path, "SELECT state, locator FROM item") == before
    assert before[0][0] == "fetched"


def test_a_clock_that_was_set_back_delays_no_attempt(ledger, clock):
    ledger.enter("source", TENANT, items("a"))
    clock.advance(3 * 86400)
    now = clock.now().timestamp()
    ledger.postpone(due(ledger)[0], "down", now + FETCH.longest_s)
    assert (waiting(ledger), ledger.next_due("source", [], ["s"])) == ([], now + FETCH.longest_s)
    clock.advance(-3 * 86400)
    assert (waiting(ledger), ledger.next_due("source", [], ["s"])) == (["a"], clock.now().timestamp())


def test_how_long_an_item_may_be_postponed_is_told_by_who_postpones(file, clock):
    """A longer delay of the engine must not look like a clock that was set back."""
    patient = Ledger(file, 3600.0)
    patient.enter("source", TENANT, items("a"))
    patient.postpone(due(patient)[0], "down", clock.now().timestamp() + 3600)
    assert waiting(patient) == []
    assert waiting(Ledger(file, 900.0)) == ["a"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), max_size=6), max_size=5))
def test_however_items_are_listed_each_stands_once_as_first_seen(tmp_path_factory, listings):
    file = JournalFile(tmp_path_factory.mktemp("state"), FakeClock(), exclusive=True)
    ledger = Ledger(file)
    first_seen: dict[str, int] = {}
    for listing in listings:
        fresh = {str(key): hours for key, hours in reversed(listing) if str(key) not in first_seen}
        assert ledger.enter("source", TENANT, [items(str(key), hours=hours)[0] for key, hours in listing]) == len(fresh)
        first_seen |= fresh
    found = {item.work.key: item.work.created for item in due(ledger)}
    assert found == {key: NOW + timedelta(hours=hours) for key, hours in first_seen.items()}
    assert [*found.values()] == sorted(found.values(), reverse=True)
    file.close()
