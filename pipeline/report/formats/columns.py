"""Which columns of an answer people are shown beside one another, and which are said once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.report.running import Answer
from ualpipe.pipeline.wording import visible

TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class ShownColumns:
    """The columns of an answer, by their places.

    Attributes:
        grouped: Those that stand in headings.
        left: Those that are shown in each row.
        numbers: Those of them that hold numbers alone.
        remarks: What is said of the others, a sentence each.
    """

    grouped: Sequence[int]
    left: Sequence[int]
    numbers: frozenset[int]
    remarks: Sequence[str]


def shown_columns(answer: Answer) -> ShownColumns:
    """Returns what is shown of an answer: no columns that are empty in all rows, and the tenant not where all rows have one."""
    columns = answer.report.columns
    names = [column.name for column in columns]
    grouped = [names.index(name) for name in answer.report.group]
    others = [at for at in range(len(columns)) if at not in grouped]
    empty = [at for at in others if all(row.values[at] in (None, "", []) for row in answer.rows)]
    tenants = {row.values[names.index(TENANT)] for row in answer.rows} if TENANT in names else set()
    same = [at for at in others if names[at] == TENANT and len(tenants) == 1 and at not in empty]
    left = [at for at in others if at not in (*empty, *same)]
    if not left:
        return ShownColumns(grouped, others, frozenset(), [])
    numbers = frozenset(at for at in left if all(_is_number(row.values[at]) for row in answer.rows))
    remarks = [f"In all rows: {columns[at].title} {visible(str(answer.rows[0].values[at]))}." for at in same]
    if empty:
        remarks.append(f"Empty in all rows: {', '.join(columns[at].title for at in empty)}.")
    return ShownColumns(grouped, left, numbers, remarks)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
