"""Which stored batches are sent to a sink once more, and what speaks against some of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Which stored batches are wanted.

    Attributes:
        since: Received at or after this instant, in epoch seconds; None from the oldest that is kept.
        until: Received before this instant.
        source: Received from this source; None for all.
    """

    since: float | None = None
    until: float | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class StoredRecords:
    """A stored batch, seen from one sink.

    Attributes:
        item: Id of its work item.
        records: Records in it that sinks get: those that stand in an earlier batch are not counted.
        stored_at: When it was received, in epoch seconds.
        is_settled: Whether the sink has all of it.
        is_begun: Whether a stop left some of it to do for the sink.
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
    """The batches that are sent to a sink once more, and those that are not, oldest first.

    Attributes:
        batches: The batches to send.
        copies: Batches of one record that stands in those already: dead letters that were retried. Not sent.
        under_way: Batches that a running pipeline may be sending now, and which can't be begun again. Not sent.
    """

    batches: list[StoredRecords]
    copies: list[StoredRecords]
    under_way: list[StoredRecords]

    @property
    def records(self) -> int:
        """How many records are sent."""
        return sum(batch.records for batch in self.batches)
