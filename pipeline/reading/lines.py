"""Lines of a stream of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Where a line is cut: no record is so large, and a file without line breaks must not fill the memory."""


def lines_of(blocks: Iterable[bytes], *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Yields lines without their end (LF or CR LF); one of more than about ``max_bytes`` in pieces."""
    rest: list[bytes] = []
    size = 0
    for block in blocks:
        first, *more = block.split(b"\n")
        rest.append(first)
        size += len(first)
        if more:
            yield b"".join(rest).removesuffix(b"\r")
            yield from (line.removesuffix(b"\r") for line in more[:-1])
            rest, size = [more[-1]], len(more[-1])
        elif size >= max_bytes:
            yield b"".join(rest)
            rest, size = [], 0
    if last := b"".join(rest):
        yield last
