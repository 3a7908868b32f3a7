"""Raw records: cut out of a stream of bytes, decoded, known by their identity."""

from ualpipe.pipeline.records.chunk import Chunk, Framing
from ualpipe.pipeline.records.cutting import CHUNK_BYTES, MAX_RECORD_BYTES, chunks_of_array, chunks_of_lines
from ualpipe.pipeline.records.decoding import BadRecord, Record

__all__ = ["CHUNK_BYTES", "MAX_RECORD_BYTES", "BadRecord", "Chunk", "Framing", "Record", "chunks_of_array", "chunks_of_lines"]
