"""A row of an export as it was read, and the notes on what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_NOTES = 20
"""Notes of one kind that are kept one by one; others are counted."""

MOST_BYTES = 512 * 1024 * 1024
"""Of an export, unpacked: 100,000 mailboxes with every property there is."""
MOST_ROWS = 1_000_000
"""Mailboxes or accounts of one export."""
MOST_TEXT = 64 * 1024
"""Characters of a value; the longest lists of actions have some hundred."""


class UnreadableExport(ValueError):
    """The rest of a file can't be read; the message says why, and what to do.

    Attributes:
        line: Where it stops to be readable; 0 where that can't be told.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class RawRow:
    """One object of an export.

    Attributes:
        values: By the name of the column in lower case: text, bool, number, list, mapping, or None.
        line: Where it begins, from 1.
        defect: Why it can't be used; empty where it can.
    """

    values: Mapping[str, Any]
    line: int
    defect: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something about an export that its reader should know.

    Attributes:
        file: Of which file it is said.
        line: On which line; 0 where it is said of the whole file.
        text: What it is, and what to do.
        is_loss: Whether something of the file could not be judged.
    """

    file: str
    line: int
    text: str
    is_loss: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class Notes:
    """Notes in order; of one kind in one file only the first ones are kept, the others counted."""

    def __init__(self) -> None:
        self._kept: list[Note] = []
        self._counts: dict[tuple[str, str], int] = {}
        self.has_loss = False

    def add(self, file: str, line: int, text: str, *, kind: str = "", is_loss: bool = False) -> None:
        """Notes something.

        Args:
            file: Of which file.
            line: On which line; 0 for the whole.
            text: What it is.
            kind: What notes that differ in a value have in common; the text itself by default.
            is_loss: Something could not be judged for it.
        """
        self.has_loss |= is_loss
        key = file, kind or text
        self._counts[key] = count = self._counts.get(key, 0) + 1
        if count <= MOST_NOTES:
            self._kept.append(Note(file, line, text, is_loss))

    def __iter__(self) -> Any:
        yield from self._kept
        for (file, kind), count in self._counts.items():
            if count > MOST_NOTES:
                yield Note(file, 0, f"{count - MOST_NOTES:,} more times: {kind}", is_loss=False)
