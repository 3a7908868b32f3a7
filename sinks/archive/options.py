"""Options of the ``archive`` sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.options import Duration, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSinkConfig:
    """Options of the ``archive`` sink."""

    path: Path = option(
        "Folder of the archive, made where it is missing, readable by the owner only. One pipeline writes to it; any number of "
        "programs may read it meanwhile.",
        examples=["./archive"],
    )
    keep: Duration | None = option(
        "How long events are kept, by the time of the act; a day's files are removed as a whole. null keeps them for ever.",
        default=None,
    )
    compact: int = option("So many small files of a tenant's day are merged into one.", default=16, minimum=2, maximum=1000)
