"""Raw records: cut out of a stream of bytes, decoded, known by their identity."""

from ualpipe.pipeline.records.chunk import Chunk, Framing, Piece
from ualpipe.pipeline.records.cutting import CHUNK_BYTES, MAX_RECORD_BYTES, chunks_of_array, chunks_of_lines, mended
from ualpipe.pipeline.records.decoding import BadRecord, Record

__all__ = ["CHUNK_BYTES", "MAX_RECORD_BYTES", "BadRecord", "Chunk", "Framing", "Piece", "Record"]
__all__ += ["chunks_of_array", "chunks_of_lines", "mended"]
