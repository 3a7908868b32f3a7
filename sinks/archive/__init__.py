"""The ``archive`` sink: events as Parquet files, a folder for each tenant's day, and the store that reads them again."""

from ualpipe.sinks.archive.options import ArchiveSinkConfig
from ualpipe.sinks.archive.sink import ArchiveSink

__all__ = ["ArchiveSink", "ArchiveSinkConfig"]
