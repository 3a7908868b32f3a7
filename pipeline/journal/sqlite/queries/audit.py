"""Compares the sums in the journal."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.schema import REMOVED_BEFORE
from ualpipe.pipeline.observe.conservation import Imbalance

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


def unbalanced(state_dir: Path, clock: Clock, since: float) -> list[Imbalance]:
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
    return [Imbalance("settlement", f"batch {batch} at sink {sink}", into, out) for sink, batch, into, out in settlements] + [
        Imbalance("item", f"work item {key}", into, out) for key, into, out in items
    ]
