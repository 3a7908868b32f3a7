"""Mailboxes of exports as rows of SQL, one for each spelling of a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from ualpipe.pipeline.report.contract import ExportedMailbox

_TRUTH = {True: "true", False: "false", None: "null"}


def mailbox_rows(mailboxes: Iterable[ExportedMailbox], literal: Callable[[str], str]) -> Iterator[str]:
    """Yields rows for VALUES; ``literal`` writes a text as SQL does."""
    for one in mailboxes:
        facts = f"{literal(one.kind)}, {_TRUTH[one.is_audited]}, {_TRUTH[one.is_passed_over]}"
        for spelling in dict.fromkeys(one.spellings):
            yield f"({literal(one.name)}, {literal(spelling)}, {facts})"


def batched(rows: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    """Yields rows so many at a time."""
    waiting = iter(rows)
    while some := list(islice(waiting, size)):
        yield some
