"""A profile, ready for use: makes the row of each event, and says to which table it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.sinks.sentinel.cutting import written_row
from ualpipe.sinks.sentinel.derived import act_of
from ualpipe.sinks.sentinel.rows import CUT_COLUMNS, compile_table
from ualpipe.sinks.sentinel.tables import Kind, ProfileName, Table, tables_of

MARK = "CutColumns"
"""Column, or member of ``AdditionalFields``, that names what was cut."""


class Profile:
    """Makes rows. Thread-safe."""

    def __init__(self, name: ProfileName) -> None:
        self._makers = {kind: (compile_table(table), mark_column(table)) for kind, table in tables_of(name).items()}
        self._only = next(iter(self._makers)) if len(self._makers) == 1 else None

    def rows(self, events: Sequence[EncodedEvent]) -> list[tuple[Kind, bytes]]:
        """Returns which table each event goes to, and its row as JSON.

        Raises:
            RecursionError: A record is nested too deep for any encoder.
        """
        return [self._row(event) for event in events]

    def _row(self, event: EncodedEvent) -> tuple[Kind, bytes]:
        record = event.decode_record() or _unreadable(event)
        kind = self._only or act_of(record).kind
        make, mark = self._makers[kind]
        return kind, written_row(make(record, event), mark)


def _unreadable(event: EncodedEvent) -> dict[str, Any]:
    """Returns what stands in the place of a record that can't be read: what is known of it, and its text."""
    known = {"Id": event.id, "CreationTime": event.time, "OrganizationId": event.tenant}
    return {**known, "UnreadableRecord": event.raw.decode("utf-8", "replace")}


def mark_column(table: Table) -> str:
    """Returns where a table names what was cut: Microsoft's own have no column for it."""
    has_own = any(column.value == CUT_COLUMNS for column in table.columns)
    return MARK if has_own else f"AdditionalFields.{MARK}"
