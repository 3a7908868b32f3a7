"""The ``splunk_hec`` sink."""

from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig
from ualpipe.sinks.splunk_hec.sink import SplunkHecSink

__all__ = ["SplunkHecSink", "SplunkHecSinkConfig"]
