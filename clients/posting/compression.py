"""Compresses bodies of requests, as fast as is possible here."""

from __future__ import annotations

import zlib

try:
    from isal import igzip_lib  # ISA-L: 1.4 us an event where zlib's level 1 takes 7.2

    def gzipped(body: bytes) -> bytes:
        """Returns the body in gzip format."""
        return igzip_lib.compress(body, flag=igzip_lib.COMP_GZIP)

except ImportError:

    def gzipped(body: bytes) -> bytes:
        """Returns the body in gzip format."""
        return zlib.compress(body, 1, wbits=31)
