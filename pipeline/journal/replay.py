"""What is sent to a sink once more: which stored batches, and what speaks against some of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Which stored batches.

    Attributes:
        since: Received at or after this instant, in epoch seconds; None from the oldest that is kept.
        until: Received before this instant.
        source: Of this source; None for all.
    """

    since: float | None = None
    until: float | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class StoredRecords:
    """A batch that is chosen.

    Attributes:
        item: Its work item.
        records: Records in it that sinks get: those that stand in an earlier batch are not counted.
        stored_at: When it was received, in epoch seconds.
        is_settled: The sink has all of it.
        is_begun: A stop left some of it to do for this sink.
        sha256: Hash of its body; None where it has more than one record.
    """

    id: int
    item: int
    records: int
    stored_at: float
    is_settled: bool
    is_begun: bool
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes to a sink once more, oldest first.

    Attributes:
        batches: These go.
        copies: Single records that stand in these batches already: dead letters that were retried.
        under_way: Batches that a running pipeline may just be sending on; they can't be taken back to their beginning.
    """

    batches: list[StoredRecords]
    copies: list[StoredRecords]
    under_way: list[StoredRecords]

    @property
    def records(self) -> int:
        """How many records go."""
        return sum(batch.records for batch in self.batches)
