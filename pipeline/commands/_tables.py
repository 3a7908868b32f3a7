"""Prints aligned tables: in colour and folded to the width of a terminal, else plain, a line a row."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.explain.contract import Rule
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.pipeline.wording import visible, visible_json

MAX_SHOWN = 300
"""Characters of a value that are shown on a terminal; a file gets all of them."""

MAX_PADDED = 60
"""Widest column in a file: a longer cell pushes the rest of its own row aside, not that of all rows."""

Row = Sequence[str]


class Printer:
    """Prints to stdout; ``rich`` is imported for terminals only."""

    def __init__(self, *, is_terminal: bool | None = None) -> None:
        self._is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
        self._print = _terminal() if self._is_terminal else None

    def line(self, text: str = "", style: str = "") -> None:
        """Prints a line of text; what would act on a terminal becomes visible."""
        text = visible(text)
        if self._print is None:
            print(text)
        else:
            self._print(text, style)

    def title(self, text: str) -> None:
        """Prints a heading, with a blank line above it."""
        self.line()
        self.line(text, "bold")

    def table(self, headings: Row, rows: Sequence[Row], styles: Sequence[str] = (), min_widths: Sequence[int] = ()) -> None:
        """Prints rows under headings; the first column is never folded.

        Args:
            headings: One a column.
            rows: Text, one a column.
            styles: A style a row, for terminals.
            min_widths: Of columns on terminals, in characters.
        """
        rows = [[visible(cell) for cell in row] for row in rows]
        if self._print is None:
            _print_plain([headings, *rows])
        else:
            short = [[self.short(cell) for cell in row] for row in rows]
            self._print(_rich_table(headings, short, styles, min_widths), "")

    def short(self, text: str) -> str:
        """Returns text as it fits on a terminal; whole elsewhere."""
        if not self._is_terminal or len(text) <= MAX_SHOWN:
            return text
        return f"{text[:MAX_SHOWN]}… ({len(text):,} characters)"


def shown(value: Any) -> str:
    """Returns a value as text: text as it is unless it could be taken for something else, anything else as JSON."""
    if isinstance(value, str) and value.isprintable() and value.strip() == value != "" and not _is_json(value):
        return value
    return visible_json(json.dumps(value, ensure_ascii=False, default=str))


def place_from_here(rule: Rule) -> str:
    """Returns where a rule stands; a file of the user's by its path from the working directory, where it lies below that."""
    if not rule.is_own or rule.path is None:
        return rule.place
    here = Path(os.path.relpath(rule.path))
    return f"{rule.path if '..' in here.parts else here}:{rule.line}"


def _is_json(text: str) -> bool:
    try:
        read_strictly(text)
    except UnreadableJson:
        return False
    return True


def _print_plain(rows: Sequence[Row]) -> None:
    widths = [min(max(len(row[at]) for row in rows), MAX_PADDED) for at in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _terminal() -> Callable[[Any, str], None]:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed for files
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)

    def write(thing: Any, style: str) -> None:
        console.print(Text(thing, style) if isinstance(thing, str) else thing)

    return write


def _rich_table(headings: Row, rows: Sequence[Row], styles: Sequence[str], min_widths: Sequence[int]) -> Any:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for at, heading in enumerate(headings):
        table.add_column(heading, no_wrap=at == 0, overflow="fold", min_width=dict(enumerate(min_widths)).get(at))
    for at, row in enumerate(rows):
        table.add_row(*map(Text, row), style=styles[at] if styles else "")
    return table
