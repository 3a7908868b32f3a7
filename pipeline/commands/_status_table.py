"""The tables of ``ualpipe status``."""

from __future__ import annotations

from collections.abc import Sequence

from ualpipe.pipeline.wording import visible


def rich_table(titles: str, rows: Sequence[tuple[object, ...]], wrapped: str = "") -> object:
    """Returns a table for ``rich``.

    Args:
        titles: Of the columns, parted by blanks; ``_`` stands for a blank.
        rows: Its rows; columns of numbers stand to the right.
        wrapped: Title of the one column whose text may go over several lines.
    """
    from rich.table import Table  # noqa: PLC0415 - slow to import
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    for title in titles.split():
        is_number = bool(rows) and all(isinstance(row[len(table.columns)], int) for row in rows)
        how = {"overflow": "fold", "no_wrap": False} if title == wrapped else {"no_wrap": True}
        table.add_column(title.replace("_", " "), justify="right" if is_number else "left", **how)
    for row in rows:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else visible(str(value))) for value in row))
    table.add_row()
    return table
