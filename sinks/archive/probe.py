"""What `ualpipe check` says of an archive before a run. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ualpipe.pipeline.files import exposures
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks import disk
from ualpipe.sinks.archive import duck, layout
from ualpipe.sinks.archive.upkeep.locks import who_writes


def findings(root: Path) -> Iterator[Finding]:
    """Yields whether the sink can write to an archive, and what is in its way."""
    if missing := [name for name in ("duckdb", "numpy") if find_spec(name) is None]:
        yield Finding("error", "extra reports", f"not installed: {', '.join(missing)}", duck.INSTALL)
    try:
        folder = disk.look_at(root)
        yield folder
        if folder.level == "error":
            return
        for what, action in exposures(root):
            yield Finding("warning", f"folder {root}", what, action)
        yield from _contents(root)
    except OSError as exc:
        yield Finding("error", f"folder {root}", disk.reason_of(exc), disk.ADVICE)


def _contents(root: Path) -> Iterator[Finding]:
    if not root.is_dir():
        return
    if not (root / layout.MARKER).exists() and (foreign := layout.foreign(root)):
        yield Finding("error", f"folder {root}", f"holds other files ({foreign}), and is no archive", "choose an empty folder")
    if holder := who_writes(root):
        yield Finding("warning", f"archive {root}", f"{holder} writes to it", "one pipeline writes to an archive: stop the other")
