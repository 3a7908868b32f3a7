"""Shows what is wrong with records: for ``ualpipe status``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ualpipe.pipeline.commands._status_table import rich_table
from ualpipe.pipeline.journal.status import FlawStatus
from ualpipe.pipeline.wording import counted, visible

if TYPE_CHECKING:
    from rich.console import Console

MAX_SHOWN = 20
"""Flaws that are shown, the most common of each source first."""


def print_flaws(console: Console, flaws: Sequence[FlawStatus]) -> None:
    """Shows the flaws of records by source, with one of the records to look at."""
    for line, style in headlines(flaws):
        console.print(visible(line), style=style, markup=False, soft_wrap=True)
    rows = [
        (flaw.source, flaw.kind, flaw.records, _at_sinks(flaw.sinks), flaw.reason, flaw.example, flaw.last_seen)
        for flaw in flaws[:MAX_SHOWN]
    ]
    console.print(rich_table("source what records at_sinks reason for_example last_seen", rows, "reason"))
    if len(flaws) > MAX_SHOWN:
        console.print(f"{len(flaws) - MAX_SHOWN:,} more; --json shows all of them\n")


def headlines(flaws: Sequence[FlawStatus]) -> list[tuple[str, str]]:
    """Returns a line a source with its style: how many of its records could not be mapped, and how many are odd otherwise."""
    return [_headline(source, [flaw for flaw in flaws if flaw.source == source]) for source in dict.fromkeys(map(_source, flaws))]


def _headline(source: str, flaws: Sequence[FlawStatus]) -> tuple[str, str]:
    unmappable = sum(flaw.records for flaw in flaws if flaw.is_unmappable)
    suspicious = sum(flaw.records for flaw in flaws) - unmappable
    parts = [f"{counted(unmappable, 'record')} could not be mapped (event.kind: pipeline_error)"] if unmappable else []
    parts += [f"{counted(suspicious, 'record')} delivered with an odd field (tag invalid_record)"] if suspicious else []
    return f"{source}: {', '.join(parts)}", "red" if unmappable else ""


def _source(flaw: FlawStatus) -> str:
    return flaw.source


def _at_sinks(sinks: Mapping[str, int]) -> str:
    return ", ".join(f"{sink} {records:,}" for sink, records in sinks.items()) or "none"
