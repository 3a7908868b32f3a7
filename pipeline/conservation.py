"""Conservation: what goes into a node comes out of it, is filtered, set aside, or left to do; compared while it runs.

| node | what has to be equal | where it is compared |
|---|---|---|
| item | records that the ledger counts for a work item = records in its stored batches | ``unbalanced`` |
| transform | records of a batch = events made + filtered + refused, each position once | ``disorder`` |
| delivery | records for a sink = delivered + filtered + dead + left to do | ``Share.is_conserved`` |
| settlement | the same, as it stands in the journal after all starts and stops | ``unbalanced`` |
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from ualpipe.pipeline._journal_file import JournalFile
from ualpipe.pipeline.batches import REMOVED_BEFORE
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.prepared import PreparedBatch

_INDEX = attrgetter("index")
_SETTLEMENTS = """
SELECT s.sink, s.batch, b.records - length(b.duplicates) / 4,
    s.delivered + s.filtered + s.dead + coalesce(length(s.pending), 0) / 4
FROM settlement s JOIN batch b ON b.id = s.batch WHERE s.settled_at >= ?1
    AND b.records - length(b.duplicates) / 4 != s.delivered + s.filtered + s.dead + coalesce(length(s.pending), 0) / 4
"""
# More than the ledger counts is no loss: dead letters that were sent again are batches of the same item. An item listed before
# batches were last removed may have lost some to that.
_ITEMS = """
SELECT i.key, i.records, (SELECT coalesce(sum(b.records), 0) FROM batch b WHERE b.item = i.id AND b.ready) AS stored
FROM item i WHERE i.state = 'fetched' AND i.fetched_at >= ?1 AND stored < i.records
    AND i.first_listed >= coalesce((SELECT CAST(value AS REAL) FROM meta WHERE key = ?2), 0)
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """A node whose sums differ.

    Attributes:
        node: ``item``, ``transform``, ``delivery`` or ``settlement``.
        what: The work item, or the sink and the batch.
        into: Records that went in.
        out: Records that are accounted for.
    """

    node: str
    what: str
    into: int
    out: int

    def __str__(self) -> str:
        return f"records are unaccounted for ({self.node}): {self.what}: {self.into} went in, {self.out} are accounted for"


def disorder(prepared: PreparedBatch) -> Violation | None:
    """Tells whether the transforms made something else of a batch than one event, one refusal or nothing for each record."""
    positions = set(map(_INDEX, prepared.events))
    positions.update(letter.position for letter in prepared.letters if letter.position is not None)
    named = len(prepared.events) + len(prepared.letters)
    is_whole = named + prepared.filtered == prepared.records and prepared.filtered >= 0
    is_in_range = not positions or (min(positions) >= 0 and max(positions) < prepared.ref.records)
    if is_whole and is_in_range and len(positions) == named:
        return None
    return Violation("transform", f"batch {prepared.ref.id}", prepared.records, len(positions) + prepared.filtered)


def unbalanced(state_dir: Path, clock: Clock, since: float) -> list[Violation]:
    """Compares the sums in the journal for what was fetched or settled since an instant, without holding up who writes to it.

    Args:
        state_dir: Folder of the journal.
        clock: Time for what is noted.
        since: In epoch seconds.

    Raises:
        JournalError: The journal can't be read.
    """
    with closing(JournalFile(state_dir, clock, exclusive=False)) as file:
        settlements = file.rows(_SETTLEMENTS, (since,))
        items = file.rows(_ITEMS, (since, REMOVED_BEFORE))
    return [Violation("settlement", f"batch {batch} at sink {sink}", into, out) for sink, batch, into, out in settlements] + [
        Violation("item", f"work item {key}", into, out) for key, into, out in items
    ]
