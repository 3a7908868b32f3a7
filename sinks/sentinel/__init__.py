"""The ``sentinel`` sink."""

from ualpipe.sinks.sentinel.options import SentinelSinkConfig
from ualpipe.sinks.sentinel.sink import SentinelSink

__all__ = ["SentinelSink", "SentinelSinkConfig"]
