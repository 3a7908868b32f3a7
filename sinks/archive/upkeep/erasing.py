"""Everything of one tenant is removed: what `ualpipe archive erase` does, also beside a running pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.files import sync_folder
from ualpipe.pipeline.wording import did_you_mean
from ualpipe.sinks.archive import duck, layout, parts
from ualpipe.sinks.archive.layout import Partition
from ualpipe.sinks.archive.upkeep.locks import changing
from ualpipe.sinks.archive.upkeep.retention import remove_empty


@dataclass(frozen=True, slots=True)
class Found:
    """What an archive holds of a tenant.

    Attributes:
        events: How many events can be read.
        files: How many files count.
        unreadable: Files of which nobody can tell how many events they hold.
    """

    events: int
    files: int
    unreadable: int


class ArchiveEraser:
    """Removes tenants from an archive."""

    def __init__(self, root: Path) -> None:
        """Takes the folder of an archive.

        Raises:
            ConfigError: There is none.
        """
        if not (root / layout.MARKER).is_file():
            raise ConfigError(f"{root} is no archive of ualpipe: {layout.MARKER} is missing in it")
        self._root = root

    def find(self, tenant: str) -> Found:
        """Returns what there is of a tenant.

        Raises:
            ConfigError: There is nothing of it, or the extra `reports` is not installed.
        """
        partitions = self._partitions(tenant)
        connection = duck.connect(threads=1, memory=duck.WRITING_MEMORY)
        events = files = unreadable = 0
        try:
            for file in (file for partition in partitions for file in layout.files(self._root, partition)):
                files += 1
                try:
                    [(counted,)] = connection.execute(f"SELECT count(*) FROM read_parquet({duck.text(file)})").fetchall()
                    events += counted
                except duck.error():
                    unreadable += 1
        finally:
            connection.close()
        return Found(events, files, unreadable)

    def erase(self, tenant: str) -> int:
        """Removes all files of a tenant, also unfinished and merged ones; returns how many. One that is killed is run again.

        Raises:
            ConfigError: There is nothing of it, or something stays that is not ours.
            OSError: The disk refuses it.
        """
        with changing(self._root):
            partitions = self._partitions(tenant)
            removed = 0
            for partition in partitions:
                folder = partition.folder(self._root)
                for file in layout.own_files(folder):
                    parts.remove(file)
                    removed += 1
                sync_folder(folder)
                remove_empty(folder)
            sync_folder(self._root)
        if left := [folder for partition in partitions if (folder := partition.folder(self._root)).exists()]:
            raise ConfigError(f"{left[0]} holds files that ualpipe did not write: look at them, and remove them by hand")
        return removed

    def _partitions(self, tenant: str) -> Sequence[Partition]:
        found = [partition for partition in layout.partitions(self._root) if partition.tenant == tenant.lower()]
        if not found:
            known = sorted({partition.tenant for partition in layout.partitions(self._root)})
            raise ConfigError(f"nothing of tenant {tenant!r} is in {self._root}{did_you_mean(tenant, known)}")
        return found
