"""The ``kafka`` sink."""

from ualpipe.sinks.kafka.options import KafkaSinkConfig
from ualpipe.sinks.kafka.sink import KafkaSink

__all__ = ["KafkaSink", "KafkaSinkConfig"]
