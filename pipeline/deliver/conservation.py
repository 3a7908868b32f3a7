"""Conservation: what goes into a node comes out of it, is filtered, set aside, or left to do; compared while it runs.

| node | what has to be equal | where it is compared |
|---|---|---|
| item | records that the ledger counts for a work item = records in its stored batches | ``Journal.imbalances`` |
| transform | records of a batch = events made + filtered + refused, each position once | ``transform_imbalance`` |
| delivery | records for a sink = delivered + filtered + dead + left to do | ``SinkBatch.is_conserved`` |
| settlement | the same, as it stands in the journal after all starts and stops | ``Journal.imbalances`` |
"""

from __future__ import annotations

from operator import attrgetter

from ualpipe.pipeline.buffer.prepare import PreparedBatch
from ualpipe.pipeline.observe.conservation import Imbalance

_INDEX = attrgetter("index")


def transform_imbalance(prepared: PreparedBatch) -> Imbalance | None:
    """Tells whether the transforms made something else of a batch than one event, one refusal or nothing for each record."""
    positions = set(map(_INDEX, prepared.events))
    dead = [*prepared.refused, *prepared.failed]
    positions.update(letter.position for letter in dead if letter.position is not None)
    named = len(prepared.events) + len(dead)
    is_whole = named + prepared.filtered == prepared.records and prepared.filtered >= 0
    is_in_range = not positions or (min(positions) >= 0 and max(positions) < prepared.ref.records)
    if is_whole and is_in_range and len(positions) == named:
        return None
    return Imbalance("transform", f"batch {prepared.ref.id}", prepared.records, len(positions) + prepared.filtered)
