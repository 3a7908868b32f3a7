"""Streams the bytes of files: exactly those that were listed. Bounded in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ualpipe.pipeline.errors import ContentGone

READ_BYTES = 256 * 1024

_DIGEST_BYTES = 16


def fingerprint(path: Path) -> tuple[int, str]:
    """Returns size and digest of a file's content.

    Raises:
        OSError: The file can't be read.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    size = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def read_listed(path: Path, size: int, expected: str) -> Iterator[bytes]:
    """Yields the content that a file had when its fingerprint was taken; what was appended since is left out.

    Raises:
        OSError: The file can't be read.
        ContentGone: The file holds something else by now, which shows only at the end.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    left = size
    with path.open("rb") as file:
        while left and (block := file.read(min(READ_BYTES, left))):
            digest.update(block)
            left -= len(block)
            yield block
    if digest.hexdigest() != expected:
        raise ContentGone(f"{path}: changed after it was listed; the new content is an item of its own")
