"""The ``logstash`` sink."""

from ualpipe.sinks.logstash.options import LogstashSinkConfig
from ualpipe.sinks.logstash.sink import LogstashSink

__all__ = ["LogstashSink", "LogstashSinkConfig"]
