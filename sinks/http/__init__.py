"""The ``http`` sink."""

from ualpipe.sinks.http.options import HttpSinkConfig
from ualpipe.sinks.http.sink import HttpSink

__all__ = ["HttpSink", "HttpSinkConfig"]
