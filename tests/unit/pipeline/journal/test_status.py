"""The status of a pipeline is read from its journal, also beside a running one."""

import json
import os
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from fakes import NOW, TENANT, FakeClock, body, enter, open_journal, record, records, rows, store
from ualpipe.pipeline.drift import FIELD, RECORD_TYPE, Thing
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.status import DriftStatus, SinkStatus, StreamStatus
from ualpipe.pipeline.journal.types import DeadLetter, RunNote, Settlement
from ualpipe.pipeline.redaction import hide
from ualpipe.pipeline.stages import Gap, Listed, WorkItem

NOW_TEXT = "2026-11-20T12:00:00.000Z"


@pytest.fixture
def status(tmp_path, journal):
    """Reads the status through a connection of its own, as the command does."""

    def read(*sinks: str, now=None):
        with closing(SqliteJournalReader(tmp_path, now or FakeClock())) as reader:
            return reader.status(list(sinks or ["siem"]))

    return read


def letter(batch: int, position: int, sink: str | None = "siem") -> DeadLetter:
    return DeadLetter("sink", "SinkRejected", "mapping conflict", body([record(position)])[1:-1], batch, position, sink)


def test_a_new_journal_is_empty_and_complete(status):
    found = status("siem", "local")
    assert (found.streams, found.gaps, found.dead_letters) == ([], [], {})
    assert [sink.sink for sink in found.sinks] == ["siem", "local"]
    assert found.sinks[0] == SinkStatus("siem", delivered=0, filtered=0, dead=0, backlog=0, last_settled=None)
    assert found.is_complete


def test_a_stream_that_was_listed_and_had_nothing_is_there(journal, status):
    journal.conclude_listing("source", TENANT, "quiet", {}, Listed(NOW))
    assert status().streams == [StreamStatus("source", "quiet", NOW_TEXT, 0, 0, 0, 0, 0, 0, None)]


def test_items_are_counted_by_what_became_of_them(journal, status):
    store(journal, "fetched", records(1, 3))
    store(journal, "again", records(2, 3))
    enter(journal, "waiting")
    for key, state in (("dead", "dead"), ("gone", "gone")):
        item = enter(journal, key)
        journal.bury(item, DeadLetter("fetch", "ContentGone", "no longer there", b""), state)
    (stream,) = status().streams
    assert (stream.fetched, stream.waiting, stream.dead, stream.gone) == (2, 1, 1, 1)
    assert (stream.records, stream.duplicates) == (6, 2)
    assert stream.listed_until is None


def test_streams_are_in_the_order_of_their_names(journal, status):
    store(journal, "a", records(1, 1))
    journal.conclude_listing("another", TENANT, "z", {}, Listed(NOW))
    journal.conclude_listing("another", TENANT, "b", {}, Listed(NOW))
    assert [(stream.source, stream.stream) for stream in status().streams] == [
        ("another", "b"),
        ("another", "z"),
        ("source", "stream"),
    ]


def test_the_last_error_of_a_stream_is_shown(journal, status):
    journal.postpone(enter(journal, "first"), "timed out", NOW.timestamp())
    journal.postpone(enter(journal, "second"), "connection refused", NOW.timestamp())
    assert status().streams[0].last_error == "connection refused"


def test_a_sink_s_backlog_is_what_it_has_not_settled(journal, status):
    store(journal, "a", records(1, 3))
    store(journal, "b", records(10, 4))
    assert status().sinks[0].backlog == 7
    first, _second = journal.unsettled("siem")
    journal.settle("siem", [Settlement(first.id, delivered=2, filtered=1)], [])
    (sink,) = status().sinks
    assert sink == SinkStatus("siem", delivered=2, filtered=1, dead=0, backlog=4, last_settled=NOW_TEXT)


def test_each_sink_has_counts_of_its_own(journal, status):
    store(journal, "a", records(1, 3))
    (ref,) = journal.unsettled("siem")
    journal.settle("siem", [Settlement(ref.id, delivered=3)], [])
    siem, local = status("siem", "local").sinks
    assert (siem.delivered, siem.backlog) == (3, 0)
    assert (local.delivered, local.backlog) == (0, 3)


def test_dead_letters_are_counted_by_code_until_they_are_sent_again(journal, reader, changes, status):
    store(journal, "a", records(1, 3))
    (ref,) = journal.unsettled("siem")
    journal.settle("siem", [Settlement(ref.id, delivered=1, dead=2)], [letter(ref.id, 0), letter(ref.id, 1)])
    assert status().dead_letters == {"SinkRejected": 2}
    assert not status().is_complete
    for stored in reader.dead_letters():
        changes.requeue(stored)
    assert status().dead_letters == {}
    assert status().is_complete


def test_a_letter_sent_again_is_in_the_backlog_of_its_sink_alone(journal, reader, changes, status):
    store(journal, "a", records(1, 1))
    (ref,) = journal.unsettled("siem")
    journal.settle("siem", [Settlement(ref.id, dead=1)], [letter(ref.id, 0)])
    journal.settle("local", [Settlement(ref.id, delivered=1)], [])
    (stored,) = reader.dead_letters()
    changes.requeue(stored)
    assert [sink.backlog for sink in status("siem", "local").sinks] == [1, 0]


def test_a_gap_is_named_with_its_period(journal, status):
    journal.note_gap("source", "stream", Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "kept for seven days only"))
    (gap,) = status().gaps
    assert (gap.source, gap.stream, gap.reason) == ("source", "stream", "kept for seven days only")
    assert (gap.start, gap.end) == ("2026-11-11T12:00:00.000Z", "2026-11-13T12:00:00.000Z")
    assert not status().is_complete


def test_drift_is_shown_by_source_with_its_times_and_counts(journal, clock, status):
    journal.add_drift({(Thing(FIELD, "6", "X"), "contoso"): 2, (Thing(FIELD, "6", "X"), "fabrikam"): 1})
    clock.advance(3600)
    journal.add_drift({(Thing(FIELD, "6", "X"), "contoso"): 5, (Thing(RECORD_TYPE, "900", ""), "contoso"): 1})
    later = "2026-11-20T13:00:00.000Z"
    assert status().drift == [
        DriftStatus("record_type", "900", "", "contoso", 1, later, later),
        DriftStatus("field", "6", "X", "contoso", 7, NOW_TEXT, later),
        DriftStatus("field", "6", "X", "fabrikam", 1, NOW_TEXT, NOW_TEXT),
    ]
    assert status().is_complete


def test_drift_of_an_earlier_run_is_known_to_the_next(tmp_path, journal):
    journal.add_drift({(Thing(FIELD, "6", "X"), "contoso"): 2, (Thing(FIELD, "6", "X"), "fabrikam"): 1})
    journal.close()
    again = open_journal(tmp_path, FakeClock())
    assert again.known_drift() == {Thing(FIELD, "6", "X")}
    again.close()


def test_the_status_is_json(journal, status):
    store(journal, "a", records(1, 3))
    found = json.loads(json.dumps(status().as_dict()))
    assert set(found) == {
        *(
            "sources",
            "streams",
            "duplicates",
            "sinks",
            "gaps",
            "dead_letters",
            "drift",
            "journal_bytes",
            "flaws",
            "idle_conditions",
            "beyond_limits",
            "certificates",
            "run",
            "set_back",
            "troubles",
        )
    }
    assert found["sinks"][0]["backlog"] == 3
    assert found["journal_bytes"] > 0


def test_what_stands_still_is_shown_with_its_reason_for_as_long_as_it_does(journal, clock, status):
    journal.note_standing_still({"sink siem": "refused: connection refused"})
    clock.advance(60)
    journal.note_standing_still({"sink siem": "no answer", "source contoso": "throttled"})
    assert [(found.part, found.reason) for found in status().standing_still] == [
        ("sink siem", "no answer"),
        ("source contoso", "throttled"),
    ]
    first, second = (datetime.fromisoformat(found.since) for found in status().standing_still)
    assert second - first == timedelta(seconds=60), "the reason may change, the trouble is the same"
    journal.note_standing_still({})
    assert status().standing_still == []


def test_what_stood_still_when_a_pipeline_ended_is_shown_until_the_next_one_runs(tmp_path, journal, clock, status):
    journal.note_standing_still({"sink siem": "refused"})
    journal.close()
    assert [found.part for found in status().standing_still] == ["sink siem"]
    again = open_journal(tmp_path, clock)
    again.note_standing_still({})
    assert status().standing_still == []
    again.close()


def test_what_stands_still_is_written_down_when_it_changes_only(tmp_path, clock):
    """It is noted every few seconds, and each time would wait for the disk."""
    file = JournalFile(tmp_path, clock, exclusive=True)
    journal = SqliteJournal(file)
    journal.note_standing_still({"sink siem": "refused"})
    written = file.db.total_changes
    for _look in range(3):
        clock.advance(10)
        journal.note_standing_still({"sink siem": "refused"})
    assert file.db.total_changes == written
    journal.note_standing_still({"sink siem": "no answer"})
    assert file.db.total_changes == written + 2  # and the count of transactions
    journal.close()


def test_a_secret_in_the_reason_is_blanked(tmp_path, journal, status):
    hide("planted-secret-of-a-reason")
    journal.note_standing_still({"source contoso": "refused: planted-secret-of-a-reason is wrong"})
    journal.postpone(enter(journal, "a"), "planted-secret-of-a-reason is wrong", NOW.timestamp())
    assert [found.reason for found in status().standing_still] == ["refused: *** is wrong"]
    assert [stream.last_error for stream in status().streams] == ["*** is wrong"]
    assert not any("planted" in str(row) for table in ("meta", "item") for row in rows(tmp_path, f"SELECT * FROM {table}"))


# --- backlog ---------------------------------------------------------------------------------------------------------


def wait_for(journal, count: int, *, created: timedelta = timedelta(hours=-9), first: int = 0) -> None:
    """Enters items that wait to be fetched and are dropped a week after they came."""
    came = NOW + created
    items = [WorkItem("stream", f"waiting {at}", {}, came, came + timedelta(days=7)) for at in range(first, first + count)]
    journal.enter("source", TENANT, items)


def test_a_source_without_a_backlog_says_nothing(journal, status):
    store(journal, "a", records(1, 3))
    (source,) = status().sources
    assert (source.waiting, source.clears_in_s, source.outlook, source.first_expires) == (0, 0.0, "", None)


def test_the_estimate_comes_from_what_was_fetched_of_late(journal, clock, status):
    for at in range(60):
        store(journal, f"fetched {at}", [])
        clock.advance(1)
    wait_for(journal, 600)
    (source,) = status(now=clock).sources
    assert (source.waiting, source.fetched_per_minute, source.clears_in_s) == (600, 60.0, pytest.approx(666.7, abs=0.1))
    assert source.outlook == "600 waiting, clears in about 11m"
    assert source.first_expires == "2026-11-27T03:00:00.000Z"


def test_a_backlog_that_grows_as_fast_as_it_is_fetched_does_not_clear(journal, clock, status):
    for at in range(60):
        store(journal, f"fetched {at}", [])
    clock.advance(300)
    wait_for(journal, 500, created=timedelta(seconds=200))
    (source,) = status(now=clock).sources
    assert source.clears_in_s is None
    assert source.outlook == "500 waiting, does not clear at this rate"


def test_fetching_long_ago_is_no_rate(journal, clock, status):
    store(journal, "a", records(1, 3))
    wait_for(journal, 5)
    clock.advance(3600)
    (source,) = status(now=clock).sources
    assert source.outlook == "5 waiting, nothing was fetched in the last 10m"


def test_each_source_has_an_outlook_of_its_own(journal, status):
    wait_for(journal, 5)
    journal.enter("another", TENANT, [WorkItem("s", "x", {}, NOW)])
    assert [(source.source, source.waiting) for source in status().sources] == [("another", 1), ("source", 5)]


def test_whether_a_pipeline_runs_and_of_which_release_the_last_was_is_told(journal, status):
    assert (status().run.is_running, status().run.version, status().run.since) == (True, "", None)
    journal.note_run(RunNote("1.2.3", NOW.timestamp(), os.getpid(), is_bounded=True))
    found = status().run
    assert (found.is_running, found.process, found.version, found.since) == (True, os.getpid(), "1.2.3", NOW_TEXT)
    assert found.is_bounded
    journal.close()
    found = status().run
    assert (found.is_running, found.process, found.version, found.since) == (False, None, "1.2.3", NOW_TEXT)
    assert found.last_written


def test_a_run_that_had_no_room_to_note_itself_is_not_taken_for_the_one_before(journal, status):
    journal.note_run(RunNote("1.2.3", NOW.timestamp(), process=1))
    assert (status().run.is_running, status().run.version, status().run.since) == (True, "", None)
