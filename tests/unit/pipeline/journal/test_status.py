"""The status of a pipeline is read from its journal, also beside a running one."""

import json
from datetime import datetime, timedelta

import pytest

from app_certificates import write_certificate
from fakes import NOW, TENANT, FakeClock, body, enter, record, records, store
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.drift import FIELD, RECORD_TYPE, Thing
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.journal.sqlite.queries.status import CertificateStatus, DriftStatus, SinkStatus, StreamStatus, read_status
from ualpipe.pipeline.journal.types import DeadLetter, Settlement
from ualpipe.pipeline.options import Secret
from ualpipe.pipeline.stages import Gap, Listed, WorkItem

NOW_TEXT = "2026-11-20T12:00:00.000Z"


@pytest.fixture
def status(tmp_path, journal):
    """Reads the status through a connection of its own, as the command does."""

    def read(*sinks: str, now=None, credentials=None):
        file = JournalFile(tmp_path, now or FakeClock(), exclusive=False)
        try:
            return read_status(file, list(sinks or ["siem"]), credentials=credentials)
        finally:
            file.close()

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
    journal.gaps.conclude("source", TENANT, "quiet", [], Listed(NOW))
    assert status().streams == [StreamStatus("source", "quiet", NOW_TEXT, 0, 0, 0, 0, 0, 0, None)]


def test_items_are_counted_by_what_became_of_them(journal, status):
    store(journal, "fetched", records(1, 3))
    store(journal, "again", records(2, 3))
    enter(journal, "waiting")
    for key, state in (("dead", "dead"), ("gone", "gone")):
        item = enter(journal, key)
        journal.dead_letters.bury(item, DeadLetter("fetch", "ContentGone", "no longer there", b""), state)
    (stream,) = status().streams
    assert (stream.fetched, stream.waiting, stream.dead, stream.gone) == (2, 1, 1, 1)
    assert (stream.records, stream.duplicates) == (6, 2)
    assert stream.listed_until is None


def test_streams_are_in_the_order_of_their_names(journal, status):
    store(journal, "a", records(1, 1))
    journal.gaps.conclude("another", TENANT, "z", [], Listed(NOW))
    journal.gaps.conclude("another", TENANT, "b", [], Listed(NOW))
    assert [(stream.source, stream.stream) for stream in status().streams] == [
        ("another", "b"),
        ("another", "z"),
        ("source", "stream"),
    ]


def test_the_last_error_of_a_stream_is_shown(journal, status):
    journal.ledger.postpone(enter(journal, "first"), "timed out", NOW.timestamp())
    journal.ledger.postpone(enter(journal, "second"), "connection refused", NOW.timestamp())
    assert status().streams[0].last_error == "connection refused"


def test_a_sink_s_backlog_is_what_it_has_not_settled(journal, status):
    store(journal, "a", records(1, 3))
    store(journal, "b", records(10, 4))
    assert status().sinks[0].backlog == 7
    first, _second = journal.batches.unsettled("siem")
    journal.batches.settle("siem", [Settlement(first.id, delivered=2, filtered=1)])
    (sink,) = status().sinks
    assert sink == SinkStatus("siem", delivered=2, filtered=1, dead=0, backlog=4, last_settled=NOW_TEXT)


def test_each_sink_has_counts_of_its_own(journal, status):
    store(journal, "a", records(1, 3))
    (ref,) = journal.batches.unsettled("siem")
    journal.batches.settle("siem", [Settlement(ref.id, delivered=3)])
    siem, local = status("siem", "local").sinks
    assert (siem.delivered, siem.backlog) == (3, 0)
    assert (local.delivered, local.backlog) == (0, 3)


def test_dead_letters_are_counted_by_code_until_they_are_sent_again(journal, status):
    store(journal, "a", records(1, 3))
    (ref,) = journal.batches.unsettled("siem")
    journal.batches.settle("siem", [Settlement(ref.id, delivered=1, dead=2)], [letter(ref.id, 0), letter(ref.id, 1)])
    assert status().dead_letters == {"SinkRejected": 2}
    assert not status().is_complete
    for stored in journal.dead_letters.find():
        journal.dead_letters.requeue(stored)
    assert status().dead_letters == {}
    assert status().is_complete


def test_a_letter_sent_again_is_in_the_backlog_of_its_sink_alone(journal, status):
    store(journal, "a", records(1, 1))
    (ref,) = journal.batches.unsettled("siem")
    journal.batches.settle("siem", [Settlement(ref.id, dead=1)], [letter(ref.id, 0)])
    journal.batches.settle("local", [Settlement(ref.id, delivered=1)])
    (stored,) = journal.dead_letters.find()
    journal.dead_letters.requeue(stored)
    assert [sink.backlog for sink in status("siem", "local").sinks] == [1, 0]


def test_a_gap_is_named_with_its_period(journal, status):
    journal.gaps.note("source", "stream", Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "kept for seven days only"))
    (gap,) = status().gaps
    assert (gap.source, gap.stream, gap.reason) == ("source", "stream", "kept for seven days only")
    assert (gap.start, gap.end) == ("2026-11-11T12:00:00.000Z", "2026-11-13T12:00:00.000Z")
    assert not status().is_complete


def test_drift_is_shown_by_source_with_its_times_and_counts(journal, status):
    clock = journal.drift._file.clock
    journal.drift.add({(Thing(FIELD, "6", "X"), "contoso"): 2, (Thing(FIELD, "6", "X"), "fabrikam"): 1})
    clock.advance(3600)
    journal.drift.add({(Thing(FIELD, "6", "X"), "contoso"): 5, (Thing(RECORD_TYPE, "900", ""), "contoso"): 1})
    later = "2026-11-20T13:00:00.000Z"
    assert status().drift == [
        DriftStatus("record_type", "900", "", "contoso", 1, later, later),
        DriftStatus("field", "6", "X", "contoso", 7, NOW_TEXT, later),
        DriftStatus("field", "6", "X", "fabrikam", 1, NOW_TEXT, NOW_TEXT),
    ]
    assert status().is_complete


def test_drift_of_an_earlier_run_is_known_to_the_next(tmp_path, journal):
    journal.drift.add({(Thing(FIELD, "6", "X"), "contoso"): 2, (Thing(FIELD, "6", "X"), "fabrikam"): 1})
    journal.close()
    again = SqliteJournal(tmp_path, FakeClock())
    assert again.drift.known() == {Thing(FIELD, "6", "X")}
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
            "beyond_limits",
            "certificates",
            "troubles",
        )
    }
    assert found["sinks"][0]["backlog"] == 3
    assert found["journal_bytes"] > 0


def test_what_stands_still_is_shown_with_its_reason_for_as_long_as_it_does(journal, clock, status):
    journal.troubles.note({"sink siem": "refused: connection refused"})
    clock.advance(60)
    journal.troubles.note({"sink siem": "no answer", "source contoso": "throttled"})
    assert [(found.part, found.reason) for found in status().troubles] == [
        ("sink siem", "no answer"),
        ("source contoso", "throttled"),
    ]
    first, second = (datetime.fromisoformat(found.since) for found in status().troubles)
    assert second - first == timedelta(seconds=60), "the reason may change, the trouble is the same"
    journal.troubles.note({})
    assert status().troubles == []


# --- backlog ---------------------------------------------------------------------------------------------------------


def wait_for(journal, count: int, *, created: timedelta = timedelta(hours=-9), first: int = 0) -> None:
    """Enters items that wait to be fetched and are dropped a week after they came."""
    came = NOW + created
    items = [WorkItem("stream", f"waiting {at}", {}, came, came + timedelta(days=7)) for at in range(first, first + count)]
    journal.ledger.enter("source", TENANT, items)


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
    journal.ledger.enter("another", TENANT, [WorkItem("s", "x", {}, NOW)])
    assert [(source.source, source.waiting) for source in status().sources] == [("another", 1), ("source", 5)]


# --- certificates ----------------------------------------------------------------------------------------------------


def test_certificates_are_shown_with_the_days_they_last(tmp_path, journal, status):
    certificate = write_certificate(tmp_path, NOW + timedelta(days=12, hours=3))
    secret = Credential(client_id="b", client_secret=Secret("x"), certificate=None)
    found = status(credentials={"app": Credential(client_id="a", client_secret=None, certificate=certificate), "other": secret})
    assert found.certificates == [CertificateStatus("app", "2026-12-02T15:00:00.000Z", 12, "", is_urgent=True)]


@pytest.mark.parametrize(("days", "is_urgent"), [(31, False), (29, True), (-1, True)])
def test_a_certificate_is_urgent_from_thirty_days_on(tmp_path, journal, status, days, is_urgent):
    certificate = write_certificate(tmp_path, NOW + timedelta(days=days))
    (found,) = status(credentials={"app": Credential(client_id="a", client_secret=None, certificate=certificate)}).certificates
    assert (found.days, found.is_urgent) == (days, is_urgent)


def test_a_certificate_that_can_not_be_read_says_why(tmp_path, journal, status):
    certificate = Certificate(pfx=tmp_path / "missing.pfx", private_key=None, public=None, passphrase=None)
    (found,) = status(credentials={"app": Credential(client_id="a", client_secret=None, certificate=certificate)}).certificates
    assert (found.expires, found.days, found.is_urgent) == (None, None, True)
    assert "missing.pfx: can't be read" in found.problem
