"""Which parts of a running pipeline stand still, and why: noted in the journal, for whoever asks from another process."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.journal.sqlite.file import JournalFile, instant
from ualpipe.pipeline.journal.sqlite.keys import STANDING_STILL
from ualpipe.pipeline.journal.types import StandingStill
from ualpipe.pipeline.redaction import blanked


class StandingStillNote:
    """Keeps the note up to date: for the one process that runs the pipeline."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._noted: dict[str, tuple[str, float]] | None = None

    def note(self, reasons: Mapping[str, str]) -> None:
        """Notes the parts that stand still now, with the reason of each; writes only when they have changed."""
        before, now = self._noted or {}, self._file.now()
        noted = {part: (blanked(reason), before.get(part, ("", now))[1]) for part, reason in reasons.items()}
        if noted != self._noted:
            with self._file.transaction() as db:
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (STANDING_STILL, orjson.dumps(noted).decode()),
                )
            self._noted = noted


def read_standing_still(file: JournalFile) -> list[StandingStill]:
    """Returns the parts that stood still when the pipeline noted it last, the longest first."""
    rows = file.rows("SELECT value FROM meta WHERE key = ?", (STANDING_STILL,))
    noted = orjson.loads(rows[0][0]) if rows else {}
    found = sorted(noted.items(), key=lambda item: (item[1][1], item[0]))
    return [
        StandingStill(part, reason, format_instant(moment) if (moment := instant(since)) else "")
        for part, (reason, since) in found
    ]
