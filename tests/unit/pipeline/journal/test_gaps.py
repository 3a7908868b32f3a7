"""Gaps are noted at once, settled by a complete listing, and told to the sinks once."""

from datetime import timedelta

import orjson

from fakes import NOW, TENANT, FakeClock
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal
from ualpipe.pipeline.stages import Gap, Listed

START = NOW - timedelta(days=9)
GAP = Gap(START, NOW - timedelta(days=7), "older than 7 days")
GROWN = Gap(START, NOW - timedelta(days=6), "older than 7 days")


def noted(journal) -> list[tuple]:
    return journal._file.rows("SELECT source, stream, starts, ends FROM gap ORDER BY id")


def row(gap: Gap, stream: str = "s") -> tuple:
    return ("source", stream, gap.start.timestamp(), gap.end.timestamp())


def conclude(journal, *gaps: Gap, until=NOW, stream: str = "s"):
    return journal.gaps.conclude("source", TENANT, stream, gaps, until and Listed(until))


def notices(journal) -> list[dict]:
    return [orjson.loads(journal.batches.read(ref).origin.chunk.body)[0] for ref in journal.batches.unsettled("siem")]


def test_how_far_a_stream_was_listed_is_remembered(journal):
    assert journal.ledger.listed_until("source", "s") is None
    conclude(journal)
    conclude(journal, until=NOW + timedelta(hours=1), stream="t")
    conclude(journal, until=NOW + timedelta(microseconds=1500))
    assert journal.ledger.listed_until("source", "s") == NOW + timedelta(microseconds=1500)
    assert journal.ledger.listed_until("other", "s") is None


def test_a_gap_is_news_once(journal):
    assert journal.gaps.note("source", "s", GAP)
    assert not journal.gaps.note("source", "s", GAP)
    assert journal.gaps.note("source", "t", GAP)
    assert noted(journal) == [row(GAP), row(GAP, "t")]


def test_a_gap_that_grows_while_listings_fail_is_one_gap(journal):
    journal.gaps.note("source", "s", GAP)
    assert not journal.gaps.note("source", "s", GROWN)
    assert noted(journal) == [row(GROWN)]


def test_a_gap_is_not_told_before_its_end_is_certain(journal):
    journal.gaps.note("source", "s", GAP)
    assert notices(journal) == []
    conclude(journal, GROWN)
    (notice,) = notices(journal)
    assert (notice["Start"], notice["End"]) == ("2026-11-11T12:00:00.000Z", "2026-11-14T12:00:00.000Z")
    assert noted(journal) == [row(GROWN)]


def test_a_notice_says_whose_gap_it_is_and_why(journal):
    conclude(journal, GAP)
    (notice,) = notices(journal)
    assert (notice["OrganizationId"], notice["Source"], notice["Stream"]) == (TENANT, "source", "s")
    assert notice["Reason"] == "older than 7 days"


def test_the_batch_of_a_notice_is_named_and_waits_for_every_sink(journal):
    refs = conclude(journal, GAP)
    assert journal.batches.unsettled("siem") == journal.batches.unsettled("bus") == refs
    assert (refs[0].records, journal.batches.read(refs[0]).ref.bytes) == (1, refs[0].bytes)


def test_the_same_gap_found_again_is_told_once(journal):
    assert len(conclude(journal, GAP)) == 1
    assert conclude(journal, GAP) == []
    assert len(notices(journal)) == 1


def test_the_same_period_of_another_stream_is_another_gap(journal):
    conclude(journal, GAP)
    assert len(conclude(journal, GAP, stream="t")) == 1
    assert len({notice["Id"] for notice in notices(journal)}) == 2


def test_the_id_of_a_gap_is_the_same_in_a_journal_made_anew(journal, tmp_path):
    conclude(journal, GAP)
    other = SqliteJournal(tmp_path / "other", FakeClock(NOW + timedelta(days=1)))
    conclude(other, GAP)
    assert [notice["Id"] for notice in notices(journal)] == [notice["Id"] for notice in notices(other)]
    other.close()


def test_a_notice_is_not_to_be_fetched(journal):
    conclude(journal, GAP)
    assert journal.ledger.waiting("source", 9, [], ["s"]) == []


def test_a_gap_seen_by_a_wrong_clock_is_taken_back_by_the_complete_listing(journal):
    conclude(journal, until=START)
    journal.gaps.note("source", "s", GAP)
    journal.gaps.note("source", "t", GAP)
    conclude(journal)
    assert noted(journal) == [row(GAP, "t")]
    assert notices(journal) == []


def test_a_gap_that_was_told_stays_when_later_listings_find_none(journal):
    conclude(journal, until=START)
    conclude(journal, GAP)
    conclude(journal, until=NOW + timedelta(minutes=1))
    assert noted(journal) == [row(GAP)]


def test_a_source_that_does_not_say_how_far_it_listed_has_gaps_too(journal):
    assert len(conclude(journal, GAP, until=None)) == 1
    assert noted(journal) == [row(GAP)]
    assert journal.ledger.listed_until("source", "s") is None
