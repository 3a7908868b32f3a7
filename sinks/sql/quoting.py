"""Names and texts as PostgreSQL's SQL writes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def name(found: str) -> str:
    """Returns a name of a schema, table or column."""
    return '"' + found.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Returns a text; PostgreSQL's texts hold no NUL, for which stands what replaces it in stored values."""
    return "'" + text.replace("'", "''").replace("\0", "\N{REPLACEMENT CHARACTER}") + "'"


def beginning(text: str) -> str:
    """Returns a pattern of LIKE for texts that begin with this one."""
    return literal(text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")


def instant(value: datetime | None) -> str:
    """Returns an instant, or a null of its type."""
    return f"timestamptz {literal(value.isoformat())}" if value else "CAST(NULL AS timestamptz)"


def is_in(column: str, values: Iterable[str]) -> str:
    """Returns the condition that a column has one of some texts."""
    return f"{column} = ANY (ARRAY[{', '.join(map(literal, values))}]::text[])"
