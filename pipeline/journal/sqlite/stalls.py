"""What stands still in a running pipeline, and why: noted in the journal, for whoever asks from another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.journal.sqlite.file import JournalFile, instant
from ualpipe.pipeline.redaction import blanked

_KEY = "troubles"


@dataclass(frozen=True, slots=True)
class PartHealth:
    """A part of the pipeline that stands still.

    Attributes:
        part: ``sink siem``, ``source contoso``, ``source contoso Audit.Exchange``.
        reason: Why, in plain words.
        since: RFC 3339.
    """

    part: str
    reason: str
    since: str


class HealthNotes:
    """Keeps the note up to date: for the one process that runs the pipeline."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._noted: dict[str, tuple[str, float]] | None = None

    def note(self, found: Mapping[str, str]) -> None:
        """Notes what stands still now, by part; writes only when that has changed.

        Args:
            found: The reason of each part.

        Raises:
            JournalFull: There is no room for it now.
        """
        before, now = self._noted or {}, self._file.now()
        noted = {part: (blanked(reason), before.get(part, ("", now))[1]) for part, reason in found.items()}
        if noted != self._noted:
            with self._file.transaction() as db:
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (_KEY, orjson.dumps(noted).decode()),
                )
            self._noted = noted


def read_troubles(file: JournalFile) -> list[PartHealth]:
    """Returns what stood still when the pipeline noted it last, the oldest first."""
    rows = file.rows("SELECT value FROM meta WHERE key = ?", (_KEY,))
    noted = orjson.loads(rows[0][0]) if rows else {}
    found = sorted(noted.items(), key=lambda item: (item[1][1], item[0]))
    return [
        PartHealth(part, reason, format_instant(moment) if (moment := instant(since)) else "") for part, (reason, since) in found
    ]
