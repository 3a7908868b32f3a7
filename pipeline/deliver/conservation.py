"""Conservation: what goes into a node comes out, is filtered, set aside, or left to do. Compared while the pipeline runs.

| node | what has to be equal | where it is compared |
|---|---|---|
| item | records that the ledger counts for a work item = records in its stored batches | ``Journal.imbalances`` |
| transform | records of a batch = events made + filtered + refused + failed, each position once | ``transform_imbalance`` |
| delivery | records for a sink = delivered + filtered + dead + left to do | ``SinkBatch.is_conserved`` |
| settlement | the same, as it stands in the journal after all starts and stops | ``Journal.imbalances`` |
"""

from __future__ import annotations

from operator import attrgetter

from ualpipe.pipeline.buffer.prepare import PreparedBatch
from ualpipe.pipeline.observe.conservation import Imbalance

_INDEX = attrgetter("index")


def transform_imbalance(prepared: PreparedBatch) -> Imbalance | None:
    """Returns an imbalance where the transforms made of some record anything but one event, one dead letter or nothing."""
    positions = set(map(_INDEX, prepared.events))
    dead = [*prepared.refused, *prepared.failed]
    positions.update(one.position for one in dead if one.position is not None)
    named = len(prepared.events) + len(dead)
    is_whole = named + prepared.filtered == prepared.records and prepared.filtered >= 0
    is_in_range = not positions or (min(positions) >= 0 and max(positions) < prepared.ref.records)
    if is_whole and is_in_range and len(positions) == named:
        return None
    return Imbalance("transform", f"batch {prepared.ref.id}", prepared.records, len(positions) + prepared.filtered)
