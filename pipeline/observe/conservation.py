"""Conservation: what goes into a node of the pipeline comes out of it, and what is said where it does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Imbalance:
    """A node of the pipeline whose sums differ.

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
