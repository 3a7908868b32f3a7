"""A journal under test, and what the checks put into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import LeaseLost
from ualpipe.pipeline.journal.contract import Journal
from ualpipe.pipeline.journal.types import (
    CommitResult,
    FetchedItem,
    LedgerItem,
    PackedChunk,
)
from ualpipe.pipeline.records.compression import compress
from ualpipe.pipeline.records.identity import identity_of
from ualpipe.pipeline.stages import WorkItem

SOURCE, STREAM, SINK = "source", "stream", "sink"
TENANT = "22222222-2222-2222-2222-222222222222"
KEEP_S = 3600.0


class MovableClock(Clock, Protocol):
    """A clock that the suite puts forward."""

    def advance(self, seconds: float) -> None:
        """Puts the clock forward."""


@dataclass(frozen=True, slots=True)
class JournalCase:
    """A journal under test.

    Attributes:
        make: Opens an empty journal on a clock.
        clock: That clock.
        reopen: Ends the process of a journal as a crash would, and opens what is left; None for a journal that keeps nothing.
    """

    make: Callable[[], Journal]
    clock: MovableClock
    reopen: Callable[[Journal], Journal] | None = None


def enter(journal: Journal, case: JournalCase, *keys: str) -> int:
    """Enters work items; returns how many are new."""
    return journal.enter(SOURCE, TENANT, [WorkItem(STREAM, key, {}, case.clock.now()) for key in keys])


def lease(journal: Journal, most: int) -> Sequence[LedgerItem]:
    """Leases items of the stream."""
    return journal.lease(SOURCE, [STREAM], most)


def enter_and_lease(journal: Journal, case: JournalCase, key: str) -> Sequence[LedgerItem]:
    """Enters an item and leases it."""
    enter(journal, case, key)
    return lease(journal, 1)


def store(journal: Journal, case: JournalCase, key: str, *ids: str) -> CommitResult:
    """Enters an item and stores records with these Ids."""
    (item,) = enter_and_lease(journal, case, key)
    return journal.commit([fetched(item, case, *ids)])[0]


def fetched(item: LedgerItem, case: JournalCase, *ids: str) -> FetchedItem:
    """Returns an item with records of these Ids, as a commit takes it."""
    return FetchedItem(item, last=chunk(case, *ids))


def chunk(case: JournalCase, *ids: str) -> PackedChunk:
    """Returns records of these Ids as a chunk."""
    return chunk_of(case, *(identity_of({"Id": f"record {one}"}, TENANT) for one in ids), ids=ids)


def told_apart(own: str, content: str, tenant: str = TENANT) -> bytes:
    """Returns the identity of a record with this Id and this content; without a tenant it comes from a file."""
    return identity_of({"Id": f"record {own}", "OrganizationId": TENANT, "Content": content}, tenant)


def chunk_of(case: JournalCase, *digests: bytes | None, ids: Sequence[str] = ()) -> PackedChunk:
    """Returns records of these identities as a chunk."""
    body = orjson.dumps([{"Id": one} for one in ids or map(str, range(len(digests)))])
    return PackedChunk("array", digests, len(body), compress(body), hashlib.sha256(body).digest(), case.clock.now().timestamp())


def is_refused(attempt: Callable[[], object]) -> bool:
    """Returns whether an attempt is refused because the lease was lost."""
    try:
        attempt()
    except LeaseLost:
        return True
    return False
