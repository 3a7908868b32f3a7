"""Dead letters: kept with bytes and reason, found again, and sent on their way exactly once."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes import NOW, TENANT, body, enter, record, records, store
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.types import DeadLetter, Settlement
from ualpipe.pipeline.stages import WorkItem


@pytest.fixture
def journal(tmp_path, clock):
    made = SqliteJournal(tmp_path, clock, config_version="0123456789ab")
    yield made
    made.close()


def event_letter(batch: int, position: int, sink: str | None = "siem", **changes) -> DeadLetter:
    text = body([record(position)])[1:-1]
    made = DeadLetter("sink", "SinkRejected", "mapping conflict", text, batch, position, sink, "/UserId", 3)
    return replace(made, **changes)


def settle_with(journal, *letters: DeadLetter) -> None:
    journal.batches.settle("siem", [Settlement(letter.batch, dead=1) for letter in letters[:1]], letters)


def buried(journal, key: str = "item", *, state: str = "dead", text: bytes = b"<html>"):
    item = enter(journal, key)
    letter = DeadLetter("fetch", "ContentUndecodable", "no JSON array", text, attempts=3)
    journal.dead_letters.bury(item, letter, state)
    return next(found for found in journal.dead_letters.find() if found.item == key)


def state_of(journal, key: str) -> tuple:
    return journal._file.rows("SELECT state, attempts FROM item WHERE key = ?", (key,))[0]


def test_an_event_keeps_its_bytes_its_reason_and_where_it_came_from(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    (found,) = journal.dead_letters.find()
    assert found.letter == event_letter(ref.id, 1)
    assert (found.source, found.tenant, found.stream, found.item) == ("source", TENANT, "stream", "item")
    assert (found.config, found.state, found.noticed_at) == ("0123456789ab", "dead", NOW)


def test_an_event_stands_once_however_often_it_fails(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1), event_letter(ref.id, 1, reason="again"))
    settle_with(journal, event_letter(ref.id, 1))
    assert journal.dead_letters.count() == 1


def test_an_event_may_be_dead_for_one_sink_and_for_another_and_for_all(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1), event_letter(ref.id, 1, "bus"), event_letter(ref.id, 1, None))
    assert journal.dead_letters.count() == 3


def test_letters_are_found_by_id_sink_and_code(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0), event_letter(ref.id, 1, "bus"), event_letter(ref.id, 2, None, code="NotJson"))
    numbers = [found.id for found in journal.dead_letters.find()]
    assert numbers == sorted(numbers)
    assert [found.letter.position for found in journal.dead_letters.find(numbers[1:])] == [1, 2]
    assert [found.letter.position for found in journal.dead_letters.find(sink="bus")] == [1]
    assert [found.letter.position for found in journal.dead_letters.find(code="NotJson")] == [2]
    assert list(journal.dead_letters.find([99])) == []
    assert list(journal.dead_letters.find(numbers[:1], sink="bus")) == []
    assert list(journal.dead_letters.find(sink="' OR 1=1 --")) == []


def test_only_letters_since_an_instant_are_counted(journal, clock):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 0))
    clock.advance(100)
    settle_with(journal, event_letter(ref.id, 1))
    assert journal.dead_letters.count() == 2
    assert journal.dead_letters.count(clock.now().timestamp()) == 1


def test_a_work_item_given_up_is_named_in_the_ledger_and_not_fetched_again(journal):
    found = buried(journal)
    assert (found.letter.body, found.letter.batch, found.letter.attempts) == (b"<html>", None, 3)
    assert state_of(journal, "item") == ("dead", 1)
    assert journal.ledger.waiting("source", 9, [], ["stream"]) == []


# --- sent again ------------------------------------------------------------------------------------------------------


def test_an_event_refused_by_one_sink_goes_to_that_sink_alone(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    (found,) = journal.dead_letters.find()
    assert journal.dead_letters.requeue(found)
    (again,) = journal.batches.unsettled("siem")
    stored = journal.batches.read(again)
    assert stored.origin.chunk.records == [record(1)]
    assert stored.duplicates == frozenset()
    assert (stored.origin.tenant, stored.origin.item) == (TENANT, "item")
    assert again not in journal.batches.unsettled("bus")
    assert journal.dead_letters.count() == 0


def test_an_event_refused_by_a_transform_goes_to_all_sinks(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1, None))
    (found,) = journal.dead_letters.find()
    journal.dead_letters.requeue(found)
    assert [len(journal.batches.unsettled(sink)) for sink in ("siem", "bus")] == [1, 2]


def test_the_same_letter_can_not_be_sent_twice(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    (found,) = journal.dead_letters.find()
    assert journal.dead_letters.requeue(found)
    journal.dead_letters.requeue(found)
    assert len(journal.batches.unsettled("siem")) == 1


def test_the_bytes_of_a_letter_that_was_sent_again_go_with_the_batch_it_came_in(journal, clock):
    """Else letters that were sent again long ago would take room for ever."""
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1, body=b'{"Id": "%s"}' % random.Random(1).randbytes(2500).hex().encode()))
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    kept = "SELECT length(body) FROM dead_letter"
    assert journal._file.rows(kept)[0][0] > 2000
    clock.advance(100)
    journal.prune(["siem"], 50.0)
    assert journal._file.rows(kept)[0][0] < 50


def test_a_letter_that_fails_again_is_a_letter_again(journal):
    (ref,) = store(journal, "item", records(0, 3)).batches
    settle_with(journal, event_letter(ref.id, 1))
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    (again,) = journal.batches.unsettled("siem")
    settle_with(journal, event_letter(again.id, 0))
    assert [found.letter.batch for found in journal.dead_letters.find()] == [again.id]


def test_a_record_over_several_lines_is_one_record_when_sent_again(journal):
    (ref,) = store(journal, "item", records(0, 1)).batches
    settle_with(journal, event_letter(ref.id, 0, body=b'{\r\n  "Id": "a",\n  "v": [\n1]\n}'))
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    (again,) = journal.batches.unsettled("siem")
    assert journal.batches.read(again).origin.chunk.records == [{"Id": "a", "v": [1]}]


def test_a_record_with_a_line_break_inside_a_string_is_sent_again_as_it_was(journal):
    (ref,) = store(journal, "item", records(0, 1)).batches
    settle_with(journal, event_letter(ref.id, 0, body=b'{"Id": "a", "v": "x\ny\rz"}'))
    journal.dead_letters.requeue(next(journal.dead_letters.find()))
    (again,) = journal.batches.unsettled("siem")
    assert journal.batches.read(again).origin.chunk.records == [{"Id": "a", "v": "x\ny\rz"}]


def test_a_work_item_is_fetched_again_from_the_start(journal):
    found = buried(journal)
    assert journal.dead_letters.requeue(found)
    assert state_of(journal, "item") == ("listed", 0)
    (item,) = journal.ledger.waiting("source", 9, [], ["stream"])
    assert item.work.key == "item"
    assert journal.dead_letters.count() == 0


@pytest.mark.parametrize(("age", "is_sent"), [(-1, False), (1, True)])
def test_a_work_item_that_expired_meanwhile_stays_dead(journal, age, is_sent):
    journal.ledger.enter("source", TENANT, [WorkItem("stream", "item", {}, NOW, NOW + timedelta(hours=age))])
    found = buried(journal)
    assert journal.dead_letters.requeue(found) is is_sent
    assert journal.dead_letters.count() == (0 if is_sent else 1)
    assert state_of(journal, "item")[0] == ("listed" if is_sent else "dead")
