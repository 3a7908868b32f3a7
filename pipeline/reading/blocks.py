"""Blocks of bytes, as files and pipes give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

READ_BYTES = 256 * 1024


def peek(blocks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Returns at least ``size`` bytes (fewer at the end), and all blocks again: those bytes are the first of them."""
    blocks = iter(blocks)
    head = b""
    while len(head) < size and (block := next(blocks, None)) is not None:
        head += block
    return head, chain([head] if head else [], blocks)


class Bytes:
    """Blocks, read by length; what was read too much can be given back."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._back = b""

    def some(self) -> bytes:
        """Returns the next bytes, however many are at hand; none at the end."""
        if self._back:
            found, self._back = self._back, b""
            return found
        return next((block for block in self._blocks if block), b"")

    def exactly(self, size: int) -> bytes:
        """Returns so many bytes; fewer at the end."""
        found = b""
        while len(found) < size and (block := self.some()):
            found += block
        self.give_back(found[size:])
        return found[:size]

    def give_back(self, data: bytes) -> None:
        """Makes bytes the next ones again."""
        self._back = data + self._back
