"""Reads audit records out of JSON text of any layout, as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ualpipe.pipeline.reading.envelopes import Envelopes
from ualpipe.pipeline.records.chunk import Piece
from ualpipe.pipeline.records.cutting import MAX_RECORD_BYTES
from ualpipe.pipeline.records.decoding import is_crowded
from ualpipe.pipeline.records.splitting import Found, Splitter, trimmed

_EAGER_BYTES = 64 * 1024  # of an unfinished record; a longer one is looked at again when there is half as much more of it
_NO_FACTS: dict[str, str] = {}


def pieces_of_values(parts: Iterable[bytes], envelopes: Envelopes) -> Iterator[list[Piece]]:
    """Yields the records in JSON text, those of each part together as soon as it is there.

    Args:
        parts: The text, in UTF-8.
        envelopes: Those that records may stand in.
    """
    reader = _ValuesReader(envelopes)
    for part in parts:
        if found := reader.feed(part):
            yield found
    if found := reader.end():
        yield found


class _ValuesReader:
    """Reads text part by part.

    Attributes:
        _rest: What may go on in the next part.
        _position: Where that begins in the text.
        _lines: Line ends before it.
        _wanted: So long must it be to be looked at again.
    """

    def __init__(self, envelopes: Envelopes) -> None:
        self._envelopes = envelopes
        self._splitter = Splitter(opening=envelopes.opening)
        self._rest: list[bytes] = []
        self._size = 0
        self._position = 0
        self._lines = 0
        self._wanted = 0

    def feed(self, part: bytes) -> list[Piece]:
        self._rest.append(part)
        self._size += len(part)
        if self._size < self._wanted:
            return []
        plain = self._plain_lines(part) if self._size == len(part) else []
        return plain + self._read(is_end=self._size > MAX_RECORD_BYTES)

    def _plain_lines(self, part: bytes) -> list[Piece]:
        """Takes the records off that stand one a line, which is how most of them come; up to the first line that is none."""
        pieces: list[Piece] = []
        at, is_record = 0, self._envelopes.is_record
        while (stop := part.find(b"\n", at)) >= 0:
            line = part[at:stop].rstrip(b"\r")
            if not line.startswith(b'{"') or not is_record(line):
                break
            self._lines += 1
            pieces.append(Piece(line, "", _NO_FACTS, self._lines))
            at = stop + 1
        self._position += at
        self._rest, self._size = [part[at:]], len(part) - at
        return pieces

    def end(self) -> list[Piece]:
        return self._read(is_end=True)

    def _read(self, *, is_end: bool) -> list[Piece]:
        data = b"".join(self._rest)
        pieces: list[Piece] = []
        counted = 0
        for found in self._splitter.split(data, is_end=is_end):
            self._lines += data.count(b"\n", counted, found.start)
            counted = found.start
            pieces += self._pieces(data, found)
        taken = self._splitter.taken
        self._lines += data.count(b"\n", counted, taken)
        self._position += taken
        rest = data[taken:]
        self._rest, self._size = [rest], len(rest)
        self._wanted = len(rest) * 3 // 2 if len(rest) > _EAGER_BYTES else 0
        if not taken and not is_end and is_crowded(rest):  # no record that memory should hold
            return self._read(is_end=True)
        return pieces

    def _pieces(self, data: bytes, found: Found) -> Sequence[Piece]:
        body = trimmed(data, found)
        if found.defect:
            return [self._placed(Piece(body, found.defect), found)]
        inside = self._envelopes.pieces(found.value, body)
        if inside is None:
            return [Piece(body, line=self._lines + 1)]
        return [self._placed(piece, found) for piece in inside]

    def _placed(self, piece: Piece, found: Found) -> Piece:
        line = self._lines + 1
        if not piece.defect:
            return replace(piece, line=line)
        return replace(piece, line=line, defect=f"{piece.defect}, in line {line:,}, at byte {self._position + found.start:,}")
