"""The tables of ``ualpipe status`` and of the live view: columns fall away where a terminal has too little room for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ualpipe.pipeline.wording import visible

PADDING = 2
"""Blanks between columns."""


def rich_table(
    titles: str, rows: Sequence[tuple[object, ...]], wrapped: str = "", *, width: int | None = None, spare: str = ""
) -> object:
    """Returns a table for ``rich``.

    Args:
        titles: Of the columns, parted by blanks; ``_`` stands for a blank.
        rows: Its rows; columns of numbers stand to the right.
        wrapped: Title of the one column whose text may go over several lines.
        width: Columns of the terminal; None for no limit.
        spare: Titles of the columns that fall away where there is too little room, the first of them first.
    """
    from rich.table import Table  # noqa: PLC0415 - slow to import
    from rich.text import Text  # noqa: PLC0415

    names = titles.split()
    texts = [[_text(value) for value in row] for row in rows]
    shown = names if width is None else fitting(names, texts, width, spare.split())
    table = Table(box=None, padding=(0, PADDING, 0, 0), pad_edge=False)
    for at, title in enumerate(names):
        if title in shown:
            is_number = bool(rows) and all(isinstance(row[at], int) for row in rows)
            is_wrapped = title == wrapped
            table.add_column(
                title.replace("_", " "),
                justify="right" if is_number else "left",
                overflow="fold" if is_wrapped else "ellipsis",
                no_wrap=not is_wrapped,
            )
    for cells in texts:
        table.add_row(*(Text(cell) for title, cell in zip(names, cells, strict=True) if title in shown))
    table.add_row()
    return table


def fitting(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    spare: Sequence[str],
    titles: Mapping[str, str] | None = None,
) -> list[str]:
    """Returns the names of the columns that fit into a width.

    Args:
        names: Of all columns.
        rows: Their cells.
        width: In characters.
        spare: What falls away where there is too little room, the first first.
        titles: What stands above a column, where that is not its name.
    """
    from rich.cells import cell_len  # noqa: PLC0415

    heads = titles or {}
    sizes = {
        name: max([cell_len(heads.get(name, name)), *(cell_len(row[at]) for row in rows)]) + PADDING
        for at, name in enumerate(names)
    }
    left = list(names)
    for name in spare:
        if sum(sizes[one] for one in left) - PADDING <= width:
            break
        if name in left:
            left.remove(name)
    return left


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else visible(str(value))
