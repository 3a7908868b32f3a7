"""RELP as pure functions: frames, the answers of a receiver, and what it offers.

A frame is ``TXNR SP COMMAND SP DATALEN [SP DATA] LF``. Source: "RELP - The Reliable Event Logging Protocol", librelp's relp.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ualpipe.pipeline.wording import visible

LAST_TXNR = 999_999_999
"""Behind it, transaction numbers begin again with 1; 0 is the receiver's, for what it says unasked."""
MAX_ANSWER_BYTES = 4096
"""Data of one answer: receivers say ``200 OK``, and a few lines of offers."""

OK = 200

_MAX_HEADER_BYTES = 9 + 1 + 32 + 1 + 9 + 1
_HEADER = re.compile(rb"(\d{1,9}) ([A-Za-z]{1,32}) (\d{1,9})(?: |(?=\n))")
_CODE = re.compile(rb"(\d{3})(?: |\n|\Z)")
_BEGINNING = re.compile(rb"\d{0,9}|\d{1,9} [A-Za-z]{0,32}|\d{1,9} [A-Za-z]{1,32} \d{0,9}")


class NotRelp(ValueError):
    """What came is no frame of RELP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One frame of the receiver.

    Attributes:
        txnr: Transaction number of the frame that it answers; 0 for what it says unasked.
        command: ``rsp``, or ``serverclose``.
        data: Its content.
    """

    txnr: int
    command: bytes
    data: bytes

    @property
    def code(self) -> int:
        """The code of a response: 200 is fine; 0 where there is none."""
        match = _CODE.match(self.data)
        return int(match[1]) if match else 0

    @property
    def text(self) -> str:
        """What a response says, its first line, shortened."""
        return visible(self.data.split(b"\n")[0][:200].decode("utf-8", "replace"))

    @property
    def offers(self) -> dict[str, str]:
        """What the receiver offers in its answer to ``open``."""
        lines = self.data.decode("utf-8", "replace").split("\n")[1:]
        return {name: visible(value) for name, _equals, value in (line.partition("=") for line in lines)}


def next_txnr(txnr: int) -> int:
    """Returns the transaction number that follows: a receiver ends a session in which one is left out."""
    return 1 if txnr >= LAST_TXNR else txnr + 1


def frame(txnr: int, command: bytes, data: bytes = b"") -> bytes:
    """Returns a frame."""
    return b"%d %b %d %b\n" % (txnr, command, len(data), data) if data else b"%d %b 0\n" % (txnr, command)


class Answers:
    """The frames in what a receiver sends, however it comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Answer]:
        """Takes the next bytes in; yields the frames that are whole by now.

        Raises:
            NotRelp: The bytes are no frame, or one that is too long.
        """
        self._rest += data
        while (found := self._first()) is not None:
            yield found

    def _first(self) -> Answer | None:
        match = _HEADER.match(self._rest)
        if match is None:
            if len(self._rest) > _MAX_HEADER_BYTES or not _BEGINNING.fullmatch(self._rest):
                raise NotRelp
            return None
        size, start = int(match[3]), match.end()
        if size > MAX_ANSWER_BYTES:
            raise NotRelp
        end = start + size
        if len(self._rest) <= end:
            return None
        if self._rest[end : end + 1] != b"\n":
            raise NotRelp
        answer = Answer(int(match[1]), match[2], self._rest[start:end])
        self._rest = self._rest[end + 1 :]
        return answer
