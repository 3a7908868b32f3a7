"""The ``syslog`` sink."""

from ualpipe.sinks.syslog.options import SyslogSinkConfig
from ualpipe.sinks.syslog.sink import SyslogSink

__all__ = ["SyslogSink", "SyslogSinkConfig"]
