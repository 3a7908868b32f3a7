"""What a command says on stderr of records that it could not read or map: so many lines, then how many more."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TextIO

from ualpipe.pipeline.wording import visible

MOST_SAID = 20
"""Lines of a kind; an input of something else has a million."""


@dataclass(slots=True)
class Complaints:
    """Complaints, said as they come and counted, of each kind apart.

    Attributes:
        stream: Where they go.
        counts: How many there were, by kind (``not read``).
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, reason: str) -> None:
        """Counts something, and says it; not every one where there are many."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_SAID:
            print(visible(f"{kind}: {reason}"), file=self.stream)

    def end(self) -> None:
        """Says how many were not told one by one."""
        for kind, count in self.counts.items():
            if count > MOST_SAID:
                print(f"{kind}: {count - MOST_SAID:,} more", file=self.stream)
