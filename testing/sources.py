"""What the engine relies on in a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from ualpipe.pipeline.records.decoding import BadRecord
from ualpipe.pipeline.stages import Listed, Source, WorkItem


@dataclass(frozen=True, slots=True)
class SourceCase:
    """A source under test.

    Attributes:
        make: Returns a new source of the same content.
        expected_ids: Ids of all records that it has to bring.
    """

    make: Callable[[], Source]
    expected_ids: frozenset[str]


def everything_listed_is_fetched(case: SourceCase) -> None:
    """The items of all streams together hold the expected records and no others."""
    source = case.make()
    source.open()
    try:
        found = {_id(record) for item in _items(source) for chunk in source.fetch(item) for record in chunk.records}
    finally:
        source.close()
    assert found == case.expected_ids


def the_same_item_gives_the_same_records(case: SourceCase) -> None:
    """An item that is fetched twice gives the same bytes: after a crash the engine fetches it again."""
    source = case.make()
    source.open()
    for item in _items(source):
        first, second = ([chunk.body for chunk in source.fetch(item)] for _attempt in range(2))
        assert b"".join(first) == b"".join(second)
    source.close()


def keys_are_unique_and_stable(case: SourceCase) -> None:
    """A new process lists the same items under the same keys, so that the ledger knows them."""
    listings = []
    for _process in range(2):
        source = case.make()
        source.open()
        listings.append([(item.stream, item.key) for item in _items(source)])
        source.close()
    assert len(set(listings[0])) == len(listings[0])
    assert set(listings[0]) == set(listings[1])


def each_listing_ends_with_how_far_it_reached(case: SourceCase) -> None:
    """``Listed`` comes last and is in UTC: every item from before that time has been named."""
    source = case.make()
    source.open()
    for stream in source.streams():
        last = list(source.discover(stream, None))[-1]
        assert isinstance(last, Listed)
        assert last.until.tzinfo is UTC
    source.close()


def raw_bytes_hold_the_same_records(case: SourceCase) -> None:
    """Each record's own bytes can be had from its chunk, for originals and dead letters."""
    source = case.make()
    source.open()
    for item in _items(source):
        for chunk in source.fetch(item):
            for index, record in enumerate(chunk.records):
                again = type(chunk)(b" ".join(chunk.raw(index).splitlines()), "lines").records
                assert again == [record]
    source.close()


def closing_is_safe_at_any_time(case: SourceCase) -> None:
    """The engine closes a source that it has not opened, and closes twice."""
    source = case.make()
    source.close()
    source.close()


def _items(source: Source) -> list[WorkItem]:
    return [found for stream in source.streams() for found in source.discover(stream, None) if isinstance(found, WorkItem)]


def _id(record: object) -> str:
    assert not isinstance(record, BadRecord)
    assert isinstance(record, dict)
    return str(record["Id"])


SOURCE_CHECKS: list[Callable[[SourceCase], None]] = [
    everything_listed_is_fetched,
    the_same_item_gives_the_same_records,
    keys_are_unique_and_stable,
    each_listing_ends_with_how_far_it_reached,
    raw_bytes_hold_the_same_records,
    closing_is_safe_at_any_time,
]
