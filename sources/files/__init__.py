"""The ``files`` source."""

from ualpipe.sources.files.source import FilesSource

__all__ = ["FilesSource"]
