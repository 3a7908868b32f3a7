"""The ``elasticsearch`` sink."""

from ualpipe.sinks.elasticsearch.sink import ElasticsearchSink, ElasticsearchSinkConfig

__all__ = ["ElasticsearchSink", "ElasticsearchSinkConfig"]
