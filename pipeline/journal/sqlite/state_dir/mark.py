"""The mark of a journal: a small file beside it that says which journal it is, and which transaction was on the disk at least.

It is never ahead of the journal: the number is written after each commit, which is synced, and without waiting for the disk.
So it outlasts a kill of the process at any moment, and after a loss of power it may lag behind, which is harmless.
"""

from __future__ import annotations

import logging
import os
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.files import open_ours, replace_file

MARK_NAME = "journal.mark"
_SHAPE = re.compile(rb"(ualpipe journal ([0-9a-f]{32}) transaction ([0-9]{20})) ([0-9a-f]{8})\n")
_LONGEST = 256  # bytes that are read of what stands in its place

_log = logging.getLogger("ualpipe.journal")


@dataclass(frozen=True, slots=True)
class Generation:
    """Which state of which journal.

    Attributes:
        journal: Id of the journal, 32 hexadecimal digits; copies of it have the same.
        transactions: How many have changed it.
    """

    journal: str
    transactions: int

    def encoded(self) -> bytes:
        """Returns the content of a mark: a line of text, always of the same length."""
        text = b"ualpipe journal %s transaction %020d" % (self.journal.encode(), self.transactions)
        return text + b" %08x\n" % zlib.crc32(text)


def read_mark(path: Path) -> Generation | None:
    """Returns what a mark says; None where it is damaged. Root may look at another user's: who has the journal has checked that.

    Raises:
        FileNotFoundError: There is none.
        OSError: It can't be read, or is no regular file.
    """
    with os.fdopen(open_ours(path, os.O_RDONLY, of_any_user=True), "rb") as file:
        found = _SHAPE.fullmatch(file.read(_LONGEST))
    if not found or zlib.crc32(found[1]) != int(found[4], 16):
        return None
    return Generation(found[2].decode(), int(found[3]))


class Mark:
    """The mark of an open journal, written after each of its transactions."""

    def __init__(self, path: Path, journal: str) -> None:
        """Opens an existing mark.

        Raises:
            OSError: It is not there, or can't be written to.
        """
        self._journal = journal
        self._fd = open_ours(path, os.O_WRONLY)

    def note(self, transactions: int) -> None:
        """Notes that so many transactions are on the disk. Never raises: they are, whether that is noted or not."""
        try:
            os.pwrite(self._fd, Generation(self._journal, transactions).encoded(), 0)
        except OSError as exc:
            _log.debug("the journal's mark can't be written: %s", exc)

    def close(self) -> None:
        """Closes the file, with what it says on the disk. Never raises; safe twice."""
        with suppress(OSError):
            os.fsync(self._fd)
            os.close(self._fd)


def make_mark(path: Path, generation: Generation) -> None:
    """Makes a mark, or puts it in the place of one, durably. Only the process that has the state directory does.

    Raises:
        OSError: It can't be written.
    """
    for left in path.parent.glob(f".{path.name}.*.new"):
        left.unlink(missing_ok=True)  # of processes that were killed here
    replace_file(path, generation.encoded())
