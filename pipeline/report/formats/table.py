"""A table for people at a terminal: beside one another what has room, else a row as lines of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest
from zoneinfo import ZoneInfo

from rich.cells import cell_len, chop_cells

from ualpipe.pipeline.report.about import in_words
from ualpipe.pipeline.report.formats.columns import ShownColumns, shown_columns
from ualpipe.pipeline.report.running import Answer
from ualpipe.pipeline.report.values import BREAKABLE, shown
from ualpipe.pipeline.wording import counted

Cells = Sequence[str]

GAP = 2
"""Blanks between columns."""
NARROWEST = 14
"""A column with text that is longer gets at least so many characters; where they have no room, rows stand as lines."""
WIDEST = 60
"""Of a column in a file: a longer cell pushes the rest of its own row aside, not that of all rows."""
MOST_CHARACTERS = 600
"""Of a cell on a terminal."""
_LABEL = 14


def write_table(answer: Answer, width: int | None) -> Iterator[str]:
    """Yields the lines of an answer.

    Args:
        answer: The answer.
        width: Characters that a terminal has in a line; None where lines may be of any length.
    """
    yield f"{answer.report.title}\n{answer.report.question}\n\n"
    for said in in_words(answer):
        for at, line in enumerate(said.lines):
            yield from _folded(said.label if at == 0 else "", line, _LABEL, width)
    yield "\n"
    if answer.rows:
        yield from _rows(answer, width)
    yield f"{_outcome(answer)}\n"


def _outcome(answer: Answer) -> str:
    if answer.rows:
        return counted(len(answer.rows), "row")
    where = "what is covered" if answer.covered.state != "unknown" else "what the store holds"
    return f"Nothing was found within {where}."


def _rows(answer: Answer, width: int | None) -> Iterator[str]:
    """Yields the rows: in a file all columns of each, on a terminal those of a group below a line that names it."""
    columns = shown_columns(answer) if width is not None else _all_columns(answer)
    zone = ZoneInfo(answer.asked.timezone)
    texts = [[shown(value, zone) for value in row.values] for row in answer.rows]
    if width is not None:
        texts = [[_short(text) for text in row] for row in texts]
    for remark in columns.remarks:
        yield from _folded("", remark, 0, width)
    yield "\n" if columns.remarks else ""
    yield from _grouped(answer, columns, texts, width)
    yield "\n"


def _all_columns(answer: Answer) -> ShownColumns:
    return replace(shown_columns(answer), grouped=[], left=range(len(answer.report.columns)), remarks=[])


def _grouped(answer: Answer, columns: ShownColumns, texts: Sequence[Cells], width: int | None) -> Iterator[str]:
    titles = [answer.report.columns[at].title for at in columns.left]
    numbers = [at in columns.numbers for at in columns.left]
    sizes = _sizes(titles, [[row[at] for at in columns.left] for row in texts], width)
    is_bounded = width is not None
    if sizes is not None:
        yield from _line(titles, sizes, numbers, is_bounded=is_bounded)
    for heading, rows in groupby(texts, key=lambda row: [row[at] for at in columns.grouped]):
        if heading:
            named = zip(columns.grouped, heading, strict=True)
            text = " · ".join(f"{answer.report.columns[at].title}: {cell}" for at, cell in named)
            yield from ("\n", *_folded("", text, 0, width))
        for row in rows:
            cells = [row[at] for at in columns.left]
            if sizes is not None:
                yield from _line(cells, sizes, numbers, is_bounded=is_bounded)
            else:
                yield from _as_lines(titles, cells, width)


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters)"


def _sizes(titles: Cells, rows: Sequence[Cells], width: int | None) -> list[int] | None:
    """Returns how wide columns are; None where they have no room beside one another.

    The widest are narrowed first, none below ``NARROWEST``.
    """
    sizes = [max(cell_len(title), *(cell_len(row[at]) for row in rows)) for at, title in enumerate(titles)]
    if width is None:
        return [min(size, WIDEST) for size in sizes]
    room = width - GAP * (len(sizes) - 1)
    while sum(sizes) > room:
        widest = max(sizes)
        if widest <= NARROWEST:
            return None
        next_widest = max([size for size in sizes if size < widest], default=0)
        count = sizes.count(widest)
        target = max(next_widest, NARROWEST, widest - -(-(sum(sizes) - room) // count))
        sizes = [target if size == widest else size for size in sizes]
    return sizes


def _line(cells: Cells, sizes: Sequence[int], numbers: Sequence[bool], *, is_bounded: bool) -> Iterator[str]:
    """Yields a row as one line or, where lines are bounded, as several where cells are longer than their column."""
    folded = [_chopped(cell, size) if is_bounded else [cell] for cell, size in zip(cells, sizes, strict=True)]
    for parts in zip_longest(*folded, fillvalue=""):
        padded = [_padded(part, size, is_number) for part, size, is_number in zip(parts, sizes, numbers, strict=True)]
        yield (" " * GAP).join(padded).rstrip() + "\n"


def _padded(text: str, size: int, is_number: bool) -> str:  # noqa: FBT001 - one of three that go together
    blanks = " " * (size - cell_len(text))
    return blanks + text if is_number else text + blanks


def _chopped(text: str, size: int) -> list[str]:
    """Returns text in lines of a size, broken between words where that is possible."""
    if cell_len(text) <= size:
        return [text]
    lines = [""]
    for word in text.split(" "):
        candidate = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(candidate) <= size:
            lines[-1] = candidate
        else:
            lines += _broken(word, size)
    return [line for line in lines if line]


def _broken(word: str, size: int) -> list[str]:
    """Returns a word in lines of a size, broken behind signs within it where that is possible."""
    lines = [""]
    for piece in BREAKABLE.split(word):
        if cell_len(lines[-1]) + cell_len(piece) <= size:
            lines[-1] += piece
        else:
            lines += chop_cells(piece, size)
    return lines


def _as_lines(titles: Cells, cells: Cells, width: int | None) -> Iterator[str]:
    """Yields a row as a line a column, those without a value left out."""
    label = min(max(map(cell_len, titles)), 24)
    for title, cell in zip(titles, cells, strict=True):
        if cell:
            yield from _folded(title, cell, label + GAP, width, indent="  ")
    yield "\n"


def _folded(label: str, text: str, size: int, width: int | None, indent: str = "") -> Iterator[str]:
    """Yields a text beside its label, on a terminal in lines of its width."""
    head = f"{indent}{label}{' ' * max(size - cell_len(label), 1 if label else 0)}"
    for line in [text] if width is None else _chopped(text, max(width - cell_len(head), NARROWEST)):
        yield f"{head}{line}".rstrip() + "\n"
        head = " " * cell_len(head)
