"""A chunk: a bounded piece of a work item, whose records are decoded when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.decoding import Record, decode_line, lines_of, split_array, stream_array

Framing = Literal["array", "lines", "notice"]


@dataclass(slots=True, eq=False)
class Chunk:
    """A bounded piece of a work item: the bytes, and the records in them, decoded at the first use.

    Attributes:
        body: JSON text as received: an array of records (``array``), or one record a line (``lines``). A notice of the
            pipeline itself (``notice``) is an array of one.
        framing: How ``body`` is laid out.
    """

    body: bytes
    framing: Framing
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
            return
        try:
            yield from stream_array(self.body)
        except ContentUndecodable as exc:
            raise ContentUndecodable(str(exc), self.body) from exc

    def raw(self, index: int) -> bytes:
        """Returns the bytes of one record exactly as received."""
        if self._raw is None:
            self._raw = list(lines_of(self.body)) if self.framing == "lines" else split_array(self.body)
        return self._raw[index]

    def decode(self, index: int) -> Record:
        """Decodes one record anew from its own bytes; it is not kept."""
        return decode_line(self.raw(index))
