"""JSON Schema 2020-12: whether a value fits, and where it does not."""

from ualpipe.pipeline.json_schema.failure import Failure
from ualpipe.pipeline.json_schema.schema import Schema

__all__ = ["Failure", "Schema"]
