"""The ``file`` sink."""

from ualpipe.sinks.file.sink import FileSink, FileSinkConfig

__all__ = ["FileSink", "FileSinkConfig"]
