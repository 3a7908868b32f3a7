"""The ``elasticsearch`` sink."""

from ualpipe.sinks.elasticsearch.options import ElasticsearchSinkConfig
from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink

__all__ = ["ElasticsearchSink", "ElasticsearchSinkConfig"]
