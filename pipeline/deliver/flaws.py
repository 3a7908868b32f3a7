"""Flaws of the records of a batch, counted: those that are alike together, a bounded number of them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ualpipe.pipeline.events import Flaw, FlawKind
from ualpipe.pipeline.journal.types import FlawCount
from ualpipe.pipeline.wording import OTHER_REASONS, shorten

MAX_REASONS = 20
"""Flaws of one batch that are told apart, of each kind; further ones are counted together."""
MAX_REASON = 200
"""Characters of a reason, and of the name of a record, that are kept."""

_FIGURES = re.compile(r"(such as \S+)|\d(?:[\d,.]*\d)?")  # an example of what is right is the same for all


def count_flaws(flaws: Iterable[Flaw]) -> list[FlawCount]:
    """Returns how many records have which flaw, with the first of them as example."""
    counts: dict[tuple[FlawKind, str], tuple[int, str]] = {}
    for flaw in flaws:
        key = flaw.kind, legible_reason(flaw.reason)
        if key not in counts and sum(kind == flaw.kind for kind, _reason in counts) >= MAX_REASONS:
            key = flaw.kind, OTHER_REASONS
        count, example = counts.get(key, (0, shorten(flaw.record, MAX_REASON)))
        counts[key] = count + 1, example
    return [FlawCount(*key, *found) for key, found in counts.items()]


def count_by_kind(flaws: Iterable[Flaw]) -> Counter[tuple[str, FlawKind]]:
    """Returns how many records of each source have a flaw of each kind."""
    return Counter((flaw.source, flaw.kind) for flaw in flaws)


def legible_reason(reason: str) -> str:
    """Returns a reason as it is counted: in one line, without figures such as lengths and places, which differ by record."""
    return shorten(_FIGURES.sub(lambda found: found[1] or "…", reason), MAX_REASON)
