"""Dead letters: kept with bytes and reason, found again, and sent on their way exactly once."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes import NOW, TENANT, body, change, enter, open_journal, record, records, rows, store
from ualpipe.pipeline.journal.replay import Selection
from ualpipe.pipeline.journal.types import MAX_TRACE, DeadLetter, FetchedItem, Settlement
from ualpipe.pipeline.redaction import hide
from ualpipe.pipeline.stages import WorkItem


@pytest.fixture
def journal(tmp_path, clock):
    made = open_journal(tmp_path, clock, config_version="0123456789ab")
    yield made
    made.close()


def event_letter(batch: int, position: int, sink: str | None = "siem", **changes) -> DeadLetter:
    text = body([record(position)])[1:-1]
    made = DeadLetter("sink", "SinkRejected", "mapping conflict", text, batch, position, sink, "/UserId", 3)
    return replace(made, **changes)


def settle_with(journal, *letters: DeadLetter) -> None:
    journal.settle("siem", [Settlement(letter.batch, dead=1) for letter in letters[:1]], letters)


def buried(journal, reader, key: str = "item", *, state: str = "dead", text: bytes = b"<html>"):
    item = enter(journal, key)
    journal.bury(item, DeadLetter("fetch", "ContentUndecodable", "no JSON array", text, attempts=3), state)
    return next(found for found in reader.dead_letters() if found.item == key)


def state_of(folder, key: str) -> tuple:
    return rows(folder, "SELECT state, attempts FROM item WHERE key = ?", (key,))[0]


def leased(journal) -> list[str]:
    return [item.work.key for item in journal.lease("source", ["stream"], 9)]


def test_an_event_keeps_its_bytes_its_reason_and_where_it_came_from(journal, reader):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    (found,) = reader.dead_letters()
    assert found.dead_letter == event_letter(ref.id, 1)
    assert (found.source, found.tenant, found.stream, found.item) == ("source", TENANT, "stream", "item")
    assert (found.config, found.state, found.noticed_at) == ("0123456789ab", "dead", NOW)


def test_an_event_stands_once_however_often_it_fails(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1), event_letter(ref.id, 1, reason="again"))
    settle_with(journal, event_letter(ref.id, 1))
    assert journal.count_dead_letters(0.0) == 1


def test_an_event_may_be_dead_for_one_sink_and_for_another_and_for_all(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1), event_letter(ref.id, 1, "bus"), event_letter(ref.id, 1, None))
    assert journal.count_dead_letters(0.0) == 3


def test_letters_are_found_by_id_sink_and_code(journal, reader):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0), event_letter(ref.id, 1, "bus"), event_letter(ref.id, 2, None, code="NotJson"))
    numbers = [found.id for found in reader.dead_letters()]
    assert numbers == sorted(numbers)
    assert [found.dead_letter.position for found in reader.dead_letters(numbers[1:])] == [1, 2]
    assert [found.dead_letter.position for found in reader.dead_letters(sink="bus")] == [1]
    assert [found.dead_letter.position for found in reader.dead_letters(code="NotJson")] == [2]
    assert reader.dead_letters([99]) == []
    assert reader.dead_letters(numbers[:1], sink="bus") == []
    assert reader.dead_letters(sink="' OR 1=1 --") == []


def test_only_letters_since_an_instant_are_counted(journal, clock):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0))
    clock.advance(100)
    settle_with(journal, event_letter(ref.id, 1))
    assert journal.count_dead_letters(0.0) == 2
    assert journal.count_dead_letters(clock.now().timestamp()) == 1


def test_a_work_item_given_up_is_named_in_the_ledger_and_not_fetched_again(journal, reader, tmp_path):
    found = buried(journal, reader)
    assert (found.dead_letter.body, found.dead_letter.batch, found.dead_letter.attempts) == (b"<html>", None, 3)
    assert state_of(tmp_path, "item") == ("dead", 1)
    assert leased(journal) == []


# --- sent again ------------------------------------------------------------------------------------------------------


def test_an_event_refused_by_one_sink_goes_to_that_sink_alone(journal, reader, changes):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    (found,) = reader.dead_letters()
    assert changes.requeue(found)
    (again,) = journal.unsettled("siem")
    stored = journal.read(again)
    assert stored.origin.chunk.records == [record(1)]
    assert stored.duplicates == frozenset()
    assert (stored.origin.tenant, stored.origin.item) == (TENANT, "item")
    assert again not in journal.unsettled("bus")
    assert journal.count_dead_letters(0.0) == 0


def test_an_event_refused_by_a_transform_goes_to_all_sinks(journal, reader, changes):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1, None))
    (found,) = reader.dead_letters()
    changes.requeue(found)
    assert [len(journal.unsettled(sink)) for sink in ("siem", "bus")] == [1, 2]


def test_what_a_transform_refuses_on_its_way_to_one_sink_goes_to_that_sink_alone(journal, reader, changes):
    """The others had it before: it was sent again for one sink, and then no transform took it."""
    store(journal, "item", records(0, 3))
    (ref,) = journal.unsettled("siem")
    settle_with(journal, event_letter(ref.id, 1))
    changes.requeue(next(iter(reader.dead_letters())))
    (again,) = journal.unsettled("siem")
    journal.settle("siem", [Settlement(again.id, dead=1)], [event_letter(again.id, 0, None, stage="transform")])
    (letter,) = reader.dead_letters()
    assert letter.dead_letter.sink == "siem"
    changes.requeue(letter)
    assert journal.unsettled("other") == [ref]


def test_the_same_letter_can_not_be_sent_twice(journal, reader, changes):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    (found,) = reader.dead_letters()
    assert changes.requeue(found)
    changes.requeue(found)
    assert len(journal.unsettled("siem")) == 1


def test_the_bytes_of_a_letter_that_was_sent_again_go_with_the_batch_it_came_in(journal, clock, reader, changes, tmp_path):
    """Else letters that were sent again long ago would take room for ever."""
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1, body=b'{"Id": "%s"}' % random.Random(1).randbytes(2500).hex().encode()))
    changes.requeue(reader.dead_letters()[0])
    kept = "SELECT length(body) FROM dead_letter"
    assert rows(tmp_path, kept)[0][0] > 2000
    clock.advance(100)
    journal.prune(["siem"], 50.0)
    assert rows(tmp_path, kept)[0][0] < 50


def test_a_letter_that_fails_again_is_a_letter_again(journal, reader, changes):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    changes.requeue(reader.dead_letters()[0])
    (again,) = journal.unsettled("siem")
    settle_with(journal, event_letter(again.id, 0))
    assert [found.dead_letter.batch for found in reader.dead_letters()] == [again.id]


def test_a_record_over_several_lines_is_one_record_when_sent_again(journal, reader, changes):
    (ref,) = store(journal, "item", records(0, 1)).batches
    settle_with(journal, event_letter(ref.id, 0, body=b'{\r\n  "Id": "a",\n  "v": [\n1]\n}'))
    changes.requeue(reader.dead_letters()[0])
    (again,) = journal.unsettled("siem")
    assert journal.read(again).origin.chunk.records == [{"Id": "a", "v": [1]}]


def test_a_record_with_a_line_break_inside_a_string_is_sent_again_as_it_was(journal, reader, changes):
    (ref,) = store(journal, "item", records(0, 1)).batches
    settle_with(journal, event_letter(ref.id, 0, body=b'{"Id": "a", "v": "x\ny\rz"}'))
    changes.requeue(reader.dead_letters()[0])
    (again,) = journal.unsettled("siem")
    assert journal.read(again).origin.chunk.records == [{"Id": "a", "v": "x\ny\rz"}]


def test_a_work_item_is_fetched_again_from_the_start(journal, reader, changes, tmp_path):
    found = buried(journal, reader)
    assert changes.requeue(found)
    assert state_of(tmp_path, "item") == ("listed", 0)
    assert leased(journal) == ["item"]
    assert journal.count_dead_letters(0.0) == 0


@pytest.mark.parametrize(("age", "is_sent"), [(-1, False), (1, True)])
def test_a_work_item_that_expired_meanwhile_stays_dead(journal, age, is_sent, reader, changes, tmp_path):
    journal.enter("source", TENANT, [WorkItem("stream", "item", {}, NOW, NOW + timedelta(hours=age))])
    found = buried(journal, reader)
    assert changes.requeue(found) is is_sent
    assert journal.count_dead_letters(0.0) == (0 if is_sent else 1)
    assert state_of(tmp_path, "item")[0] == ("listed" if is_sent else "dead")


def test_a_work_item_that_the_ledger_has_forgotten_can_not_be_sent_again(journal, reader, changes, tmp_path):
    """Its dead letter was discarded, so nothing kept it; whoever still has it in hand is told."""
    found = buried(journal, reader)
    changes.discard(found)
    change(tmp_path, "DELETE FROM item")
    assert reader.is_lost(found)
    assert not changes.requeue(found)


# --- traces ----------------------------------------------------------------------------------------------------------

TRACE = 'Traceback (most recent call last):\n  File "mapping.py", line 7, in apply\nKeyError: "Operation"\n'


def test_the_traceback_of_an_unexpected_failure_is_kept_with_the_letter(journal, reader):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0, None, trace=TRACE), event_letter(ref.id, 1))
    assert [found.dead_letter.trace for found in reader.dead_letters()] == [TRACE, ""]
    assert reader.dead_letters()[0].dead_letter == event_letter(ref.id, 0, None, trace=TRACE)


def test_a_work_item_may_have_a_traceback_too(journal, reader):
    whole, rest = enter(journal, "whole"), enter(journal, "rest")
    letter = DeadLetter("fetch", "EngineFailed", "failed", b"", trace=TRACE)
    journal.bury(whole, letter, "dead")
    journal.commit([FetchedItem(rest, rest=letter)])
    assert [(found.item, found.dead_letter.trace) for found in reader.dead_letters()] == [("whole", TRACE), ("rest", TRACE)]


def test_of_a_long_traceback_the_end_is_kept(journal, reader, tmp_path):
    """What failed stands there."""
    (ref,) = store(journal, "item", records(0, 1)).batches
    settle_with(journal, event_letter(ref.id, 0, trace="x" * 2 * MAX_TRACE + TRACE))
    (found,) = reader.dead_letters()
    assert len(found.dead_letter.trace) == MAX_TRACE
    assert found.dead_letter.trace.endswith(TRACE)
    assert rows(tmp_path, "SELECT length(trace) FROM dead_letter_trace") == [(MAX_TRACE,)]


@pytest.mark.parametrize("before", [0, MAX_TRACE, MAX_TRACE - len(TRACE), MAX_TRACE - len(TRACE) - 30])
def test_secrets_are_blanked_in_a_traceback_wherever_it_is_cut(journal, reader, before):
    hide("planted-secret-of-a-trace")
    (ref,) = store(journal, "item", records(0, 1)).batches
    told = f"{'x' * before}planted-secret-of-a-trace Bearer planted-token.abc-123 {TRACE}{'y' * (MAX_TRACE - len(TRACE) - 20)}"
    settle_with(journal, event_letter(ref.id, 0, reason="planted-secret-of-a-trace", trace=told))
    (found,) = reader.dead_letters()
    assert not any(part in found.dead_letter.trace for part in ("secret", "planted", "of-a-trace", "abc-123"))
    assert found.dead_letter.reason == "***"


def test_an_event_that_fails_again_keeps_its_first_traceback(journal, reader, tmp_path):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0, trace=TRACE))
    settle_with(journal, event_letter(ref.id, 0, trace="another"), event_letter(ref.id, 1, trace="its own"))
    settle_with(journal, event_letter(ref.id, 1))
    assert [found.dead_letter.trace for found in reader.dead_letters()] == [TRACE, "its own"]
    assert rows(tmp_path, "SELECT count(*) FROM dead_letter_trace") == [(2,)]


@pytest.mark.parametrize("how", ["requeue", "discard"])
def test_a_traceback_goes_when_nobody_can_look_at_it_any_more(journal, reader, changes, tmp_path, how):
    """Else the tracebacks of letters that were looked after long ago would take room for ever."""
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0, trace=TRACE), event_letter(ref.id, 1, trace="stays"))
    first, _second = reader.dead_letters()
    getattr(changes, how)(first)
    assert [found.dead_letter.trace for found in reader.dead_letters()] == ["stays"]
    assert rows(tmp_path, "SELECT trace FROM dead_letter_trace") == [("stays",)]


def test_the_traceback_of_a_letter_that_a_replay_took_back_goes_with_its_batch(journal, reader, changes, clock, tmp_path):
    (ref,) = store(journal, "item", records(0, 1)).batches
    settle_with(journal, event_letter(ref.id, 0, trace=TRACE))
    changes.send_again("siem", reader.choose("siem", Selection(), is_alone=True), [])
    assert reader.dead_letters() == []
    journal.settle("siem", [Settlement(ref.id, delivered=1)], [])
    clock.advance(100)
    assert journal.prune(["siem"], 50) == 1
    assert rows(tmp_path, "SELECT count(*) FROM dead_letter_trace") == [(0,)]
