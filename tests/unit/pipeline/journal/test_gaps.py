"""Gaps are noted at once, settled by a complete listing, and told to the sinks once."""

from datetime import timedelta

import orjson
import pytest

from fakes import NOW, TENANT, FakeClock, open_journal, rows
from ualpipe.pipeline.journal.types import Notice, Settlement
from ualpipe.pipeline.notices import gap_notice, notice_body
from ualpipe.pipeline.stages import Gap, Listed

START = NOW - timedelta(days=9)
GAP = Gap(START, NOW - timedelta(days=7), "older than 7 days")
GROWN = Gap(START, NOW - timedelta(days=6), "older than 7 days")


@pytest.fixture
def noted(tmp_path, journal):
    """Returns the gaps in the journal."""
    return lambda: rows(tmp_path, "SELECT source, stream, starts, ends FROM gap ORDER BY id")


def row(gap: Gap, stream: str = "s") -> tuple:
    return ("source", stream, gap.start.timestamp(), gap.end.timestamp())


def conclude(journal, *gaps: Gap, until=NOW, begin=None, stream: str = "s"):
    """Ends a listing that found gaps, as a collector does."""
    made = {gap: gap_notice("source", TENANT, stream, gap) for gap in gaps}
    found = {gap: Notice(f"notice:{notice['Id']}", notice_body(notice)) for gap, notice in made.items()}
    return journal.conclude_listing("source", TENANT, stream, found, until and Listed(until, begin))


def notices(journal) -> list[dict]:
    return [orjson.loads(journal.read(ref).origin.chunk.body)[0] for ref in journal.unsettled("siem")]


def test_how_far_a_stream_was_listed_is_remembered(journal):
    assert journal.position("source", "s").listed_until is None
    conclude(journal)
    conclude(journal, until=NOW + timedelta(hours=1), stream="t")
    conclude(journal, until=NOW + timedelta(microseconds=1500))
    assert journal.position("source", "s").listed_until == NOW + timedelta(microseconds=1500)
    assert journal.position("other", "s").listed_until is None


def test_a_gap_is_news_once(journal, noted):
    assert journal.note_gap("source", "s", GAP)
    assert not journal.note_gap("source", "s", GAP)
    assert journal.note_gap("source", "t", GAP)
    assert noted() == [row(GAP), row(GAP, "t")]


def test_a_gap_that_grows_while_listings_fail_is_one_gap(journal, noted):
    journal.note_gap("source", "s", GAP)
    assert not journal.note_gap("source", "s", GROWN)
    assert noted() == [row(GROWN)]


def test_a_gap_is_not_told_before_its_end_is_certain(journal, noted):
    journal.note_gap("source", "s", GAP)
    assert notices(journal) == []
    conclude(journal, GROWN)
    (notice,) = notices(journal)
    assert (notice["Start"], notice["End"]) == ("2026-11-11T12:00:00.000Z", "2026-11-14T12:00:00.000Z")
    assert noted() == [row(GROWN)]


def test_where_the_first_listing_began_stays(journal):
    begins = [NOW - timedelta(days=1), NOW - timedelta(hours=1), None]
    for begin in begins:
        conclude(journal, begin=begin)
        assert journal.position("source", "s").begin == begins[0]
    assert journal.position("source", "t").begin is None


def test_a_notice_says_whose_gap_it_is_and_why(journal):
    (ref,) = conclude(journal, GAP)
    origin = journal.read(ref).origin
    (notice,) = notices(journal)
    assert (origin.source, origin.tenant, origin.stream, origin.chunk.framing) == ("source", TENANT, "s", "notice")
    assert (notice["OrganizationId"], notice["Source"], notice["Stream"]) == (TENANT, "source", "s")
    assert notice["Reason"] == "older than 7 days"
    assert origin.item == f"notice:{notice['Id']}"


def test_the_batch_of_a_notice_is_named_and_waits_for_every_sink(journal):
    refs = conclude(journal, GAP)
    assert journal.unsettled("siem") == journal.unsettled("bus") == refs
    assert (refs[0].records, journal.read(refs[0]).ref.bytes) == (1, refs[0].bytes)


def test_the_same_gap_found_again_is_told_once(journal):
    assert len(conclude(journal, GAP)) == 1
    assert conclude(journal, GAP) == []
    assert len(notices(journal)) == 1


def test_a_gap_whose_notice_every_sink_has_is_not_told_again(journal, clock):
    (ref,) = conclude(journal, GAP)
    journal.settle("siem", [Settlement(ref.id, delivered=1)], [])
    clock.advance(100)
    assert journal.prune(["siem"], 50) == 1
    assert conclude(journal, GAP) == []


def test_only_what_is_new_of_several_gaps_is_told(journal, noted):
    other = Gap(NOW - timedelta(days=20), NOW - timedelta(days=19), "older than 7 days")
    conclude(journal, GAP)
    assert len(conclude(journal, other, GAP)) == 1
    assert noted() == [row(GAP), row(other)]


def test_the_same_period_of_another_stream_is_another_gap(journal):
    conclude(journal, GAP)
    assert len(conclude(journal, GAP, stream="t")) == 1
    assert len({notice["Id"] for notice in notices(journal)}) == 2


def test_the_id_of_a_gap_is_the_same_in_a_journal_made_anew(journal, tmp_path):
    conclude(journal, GAP)
    other = open_journal(tmp_path / "other", FakeClock(NOW + timedelta(days=1)))
    conclude(other, GAP)
    assert [notice["Id"] for notice in notices(journal)] == [notice["Id"] for notice in notices(other)]
    other.close()


def test_a_notice_is_not_to_be_fetched(journal):
    conclude(journal, GAP)
    assert journal.lease("source", ["s"], 9) == []
    assert journal.count_waiting("source") == 0


def test_a_gap_seen_by_a_wrong_clock_is_taken_back_by_the_complete_listing(journal, noted):
    conclude(journal, until=START)
    journal.note_gap("source", "s", GAP)
    journal.note_gap("source", "t", GAP)
    conclude(journal)
    assert noted() == [row(GAP, "t")]
    assert notices(journal) == []


def test_a_gap_that_was_told_stays_when_later_listings_find_none(journal, noted):
    conclude(journal, until=START)
    conclude(journal, GAP)
    conclude(journal, until=NOW + timedelta(minutes=1))
    assert noted() == [row(GAP)]


def test_a_source_that_does_not_say_how_far_it_listed_has_gaps_too(journal, noted):
    assert len(conclude(journal, GAP, until=None)) == 1
    assert noted() == [row(GAP)]
    assert journal.position("source", "s").listed_until is None
