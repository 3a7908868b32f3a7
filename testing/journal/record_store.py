"""Checks of records on their way into the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ualpipe.pipeline.journal.types import (
    Conflict,
    DeadLetter,
    FetchedItem,
    PackedChunk,
)
from ualpipe.pipeline.records.compression import compress
from ualpipe.pipeline.records.identity import DIGEST_BYTES, suffix_of
from ualpipe.testing.journal.case import (
    SINK,
    SOURCE,
    STREAM,
    TENANT,
    JournalCase,
    chunk,
    chunk_of,
    enter,
    enter_and_lease,
    fetched,
    lease,
    store,
    told_apart,
)


def stored_bytes_come_back_as_they_came(case: JournalCase) -> None:
    """Records are kept byte by byte, with where they come from."""
    journal = case.make()
    result = store(journal, case, "a", "1", "2")
    (ref,) = result.batches
    stored = journal.read(ref)
    assert stored.origin.chunk.body == b'[{"Id":"1"},{"Id":"2"}]'
    assert (stored.origin.source, stored.origin.stream, stored.origin.item) == (SOURCE, STREAM, "a")
    assert (result.records, result.duplicates, result.bytes, ref.records) == (2, 0, len(stored.origin.chunk.body), 2)
    journal.close()


def an_id_seen_before_is_a_duplicate(case: JournalCase) -> None:
    """It was seen in another item, in an item of the same commit, or in the same item; a record without an Id is never one."""
    journal = case.make()
    store(journal, case, "a", "1", "2")
    enter(journal, case, "b", "c")
    results = journal.commit([fetched(item, case, *ids) for item, ids in zip(lease(journal, 2), ("23", "334"), strict=True)])
    assert [sorted(result.skipped[0]) for result in results] == [[0], [0, 1]]
    assert [result.duplicates for result in results] == [1, 2]
    assert journal.read(results[1].batches[0]).duplicates == {0, 1}
    (item,) = enter_and_lease(journal, case, "d")
    chunk = PackedChunk("lines", [None, None], 4, compress(b"x\nx\n"), hashlib.sha256(b"x\nx\n").digest(), 0.0)
    (result,) = journal.commit([FetchedItem(item, last=chunk)])
    assert result.duplicates == 0
    journal.close()


def other_content_under_a_known_id_is_no_duplicate(case: JournalCase) -> None:
    """It is a conflict: kept once, whatever comes in between; the first content under an Id stays the first."""
    journal = case.make()
    (item,) = enter_and_lease(journal, case, "a")
    first, other, third = (told_apart("1", content) for content in ("first", "other", "third"))
    (result,) = journal.commit([FetchedItem(item, last=chunk_of(case, first, other, first, other))])
    assert (sorted(result.skipped[0]), result.new_conflicts) == ([2, 3], 1)
    assert result.conflicts[0] == {at: Conflict(suffix_of(other[DIGEST_BYTES:])) for at in (1, 3)}
    assert journal.read(result.batches[0]).conflicts == result.conflicts[0]
    (item,) = enter_and_lease(journal, case, "b")
    (result,) = journal.commit([FetchedItem(item, last=chunk_of(case, third, other, first))])
    assert (sorted(result.skipped[0]), sorted(result.conflicts[0]), result.new_conflicts) == ([1, 2], [0, 1], 1)
    journal.close()


def nobody_speaks_for_a_feed(case: JournalCase) -> None:
    """A record of a feed is not set aside because of one that a file had under its Id; of all others the item says it."""
    journal = case.make()
    forged, real, longer, copied = (
        *(told_apart("1", content, tenant) for content, tenant in (("forged", ""), ("real", TENANT))),
        *(told_apart("2", content, tenant) for content, tenant in (("real", TENANT), ("forged", ""))),
    )
    again = told_apart("2", "longer")
    for key, identities, aside in (("file", (forged,), []), ("feed", (real, longer, again), [2]), ("file 2", (copied,), [0])):
        (item,) = enter_and_lease(journal, case, key)
        (result,) = journal.commit([FetchedItem(item, last=chunk_of(case, *identities), on_conflict="dead_letter")])
        assert [at for at, conflict in result.conflicts[0].items() if conflict.is_set_aside] == aside
        assert result.duplicates == 0
    (item,) = enter_and_lease(journal, case, "kept")
    (result,) = journal.commit([FetchedItem(item, last=chunk_of(case, told_apart("2", "more")), on_conflict="keep")])
    assert [conflict.is_set_aside for conflict in result.conflicts[0].values()] == [False]
    journal.close()


def where_nobody_knows_the_content_it_is_the_same(case: JournalCase) -> None:
    """Journals of earlier releases hold the digests of Ids alone."""
    journal = case.make()
    known, other = told_apart("1", "known"), told_apart("2", "other")
    (item,) = enter_and_lease(journal, case, "a")
    journal.commit([FetchedItem(item, last=chunk_of(case, known[:DIGEST_BYTES], other))])
    (item,) = enter_and_lease(journal, case, "b")
    (result,) = journal.commit([FetchedItem(item, last=chunk_of(case, known, other[:DIGEST_BYTES]))])
    assert (sorted(result.skipped[0]), result.new_conflicts) == ([0, 1], 0)
    journal.close()


def a_large_item_counts_when_it_is_whole(case: JournalCase) -> None:
    """Its chunks are staged one by one; no sink sees them before the commit."""
    journal = case.make()
    (item,) = enter_and_lease(journal, case, "a")
    staged = [journal.stage(item, chunk(case, *ids)) for ids in ("12", "23")]
    assert journal.unsettled(SINK) == []
    (result,) = journal.commit([FetchedItem(item, staged, chunk(case, "4"))])
    assert [ref.records for ref in result.batches] == [2, 2, 1]
    assert [sorted(positions) for positions in result.skipped] == [[], [0], []]
    assert list(journal.unsettled(SINK)) == list(result.batches)
    journal.close()


def staged_chunks_that_are_discarded_never_count(case: JournalCase) -> None:
    """An item that fails in its middle is fetched again from its beginning."""
    journal = case.make()
    (item,) = enter_and_lease(journal, case, "a")
    journal.discard([journal.stage(item, chunk(case, "1"))])
    journal.release(item)
    case.clock.advance(5)
    (item,) = lease(journal, 1)
    (result,) = journal.commit([fetched(item, case, "1")])
    assert (len(result.batches), result.duplicates) == (1, 0)
    assert list(journal.unsettled(SINK)) == list(result.batches)
    journal.close()


def an_item_without_records_is_fetched_all_the_same(case: JournalCase) -> None:
    """The service has empty blobs, too."""
    journal = case.make()
    (item,) = enter_and_lease(journal, case, "a")
    (result,) = journal.commit([FetchedItem(item)])
    assert (result.records, list(result.batches)) == (0, [])
    assert journal.count_waiting(SOURCE) == 0
    journal.close()


def what_could_not_be_decoded_of_an_item_is_a_dead_letter(case: JournalCase) -> None:
    """The records before it count."""
    journal = case.make()
    (item,) = enter_and_lease(journal, case, "a")
    rest = DeadLetter("fetch", "ContentUndecodable", "cut off", b"[{")
    (result,) = journal.commit([FetchedItem(item, last=chunk(case, "1"), rest=rest)])
    assert result.records == 1
    assert journal.count_dead_letters(0.0) == 1
    journal.close()


RECORD_STORE_CHECKS: list[Callable[[JournalCase], None]] = [
    stored_bytes_come_back_as_they_came,
    an_id_seen_before_is_a_duplicate,
    other_content_under_a_known_id_is_no_duplicate,
    nobody_speaks_for_a_feed,
    where_nobody_knows_the_content_it_is_the_same,
    a_large_item_counts_when_it_is_whole,
    staged_chunks_that_are_discarded_never_count,
    an_item_without_records_is_fetched_all_the_same,
    what_could_not_be_decoded_of_an_item_is_a_dead_letter,
]
