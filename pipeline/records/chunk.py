"""A chunk: a bounded piece of a work item, whose records are decoded when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.decoding import BadRecord, Record, decode_line, lines_of, split_array, stream_array

Framing = Literal["array", "lines", "notice", "pieces"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A record, or what stands in the place of one.

    Attributes:
        body: Its bytes.
        defect: Why it is no record, and where it stands; empty for a record.
        facts: What is known of a record that can't be read: its ``Id`` and ``CreationTime``.
        line: The line of its file on which it begins; 0 where nobody counted.
    """

    body: bytes
    defect: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    line: int = field(default=0, compare=False)


def packed_pieces(pieces: Iterable[Piece]) -> bytes:
    """Returns pieces as one body: each behind a line of JSON that says how long it is, and what is wrong with it."""
    return b"".join(part for piece in pieces for part in (_head(piece), b"\n", piece.body, b"\n"))


def unpacked_pieces(body: bytes) -> Iterator[Piece]:
    """Yields the pieces of a body that ``packed_pieces`` made."""
    at = 0
    while at < len(body):
        start = body.index(b"\n", at) + 1
        head = orjson.loads(body[at : start - 1])
        at = start + head["length"] + 1
        yield Piece(body[start : at - 1], head.get("defect", ""), head.get("facts", {}))


def _head(piece: Piece) -> bytes:
    head: dict[str, Any] = {"length": len(piece.body)}
    if piece.defect:
        head["defect"] = piece.defect
    if piece.facts:
        head["facts"] = piece.facts
    return orjson.dumps(head)


@dataclass(slots=True, eq=False)
class Chunk:
    """A bounded piece of a work item: the bytes, and the records in them, decoded at the first use.

    Attributes:
        body: JSON text as received: an array of records (``array``), or one record a line (``lines``). A notice of the
            pipeline itself (``notice``) is an array of one. Where something is no record, each piece stands behind a line that
            says how long it is and what is wrong with it (``pieces``).
        framing: How ``body`` is laid out.
        start: Position of ``body`` in its work item, for the messages of who fetches it; the journal does not keep it.
        received: How many bytes of the work item it stands for; 0 for those of ``body``.
    """

    body: bytes
    framing: Framing
    start: int = 0
    received: int = 0
    _records: list[Record] | None = field(default=None, repr=False)
    _raw: list[bytes] | None = field(default=None, repr=False)

    @property
    def records(self) -> list[Record]:
        """The records, in order; a ``BadRecord`` where one is not a JSON object.

        Raises:
            ContentUndecodable: ``array`` only: the body is not an array, or not whole.
        """
        if self._records is None:
            self._records = list(self.stream())
        return self._records

    def stream(self) -> Iterator[Record]:
        """Yields the records one by one, none of them kept.

        For work on few records at a time: decoded, records take ten times their bytes.

        Raises:
            ContentUndecodable: As for ``records``; good records may have come before.
        """
        if self.framing == "lines":
            yield from map(decode_line, lines_of(self.body))
        elif self.framing == "pieces":
            yield from map(_record_of, unpacked_pieces(self.body))
        else:
            yield from self._stream_array()

    def raw(self, index: int) -> bytes:
        """Returns the bytes of one record exactly as received."""
        if self._raw is None:
            self._raw = self._split()
        return self._raw[index]

    def decode(self, index: int) -> Record:
        """Decodes one record anew from its own bytes; it is not kept."""
        return decode_line(self.raw(index))

    def _stream_array(self) -> Iterator[Record]:
        try:
            yield from stream_array(self.body)
        except ContentUndecodable as exc:
            raise ContentUndecodable(str(exc), self.body) from exc

    def _split(self) -> list[bytes]:
        if self.framing == "lines":
            return list(lines_of(self.body))
        if self.framing == "pieces":
            return [piece.body for piece in unpacked_pieces(self.body)]
        return split_array(self.body)


def _record_of(piece: Piece) -> Record:
    return BadRecord(piece.defect, piece.facts) if piece.defect else decode_line(piece.body)
