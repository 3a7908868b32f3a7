"""The ``sql`` sink: events as rows of a PostgreSQL database, and the store that reads them again."""

from ualpipe.sinks.sql.options import SqlSinkConfig
from ualpipe.sinks.sql.sink import SqlSink

__all__ = ["SqlSink", "SqlSinkConfig"]
