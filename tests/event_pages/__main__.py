"""Writes docs/events: ``PYTHONPATH=tests python -m event_pages [FOLDER]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from event_pages.shown import reports_with_samples
from event_pages.writing import written

DOCS = Path(__file__).parents[2] / "docs" / "events"


def main(folder: Path) -> None:
    """Writes all pages into a folder."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as archive:
        for name, text in written(reports_with_samples(Path(archive))).items():
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
