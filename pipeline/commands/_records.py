"""Finds one record in a file, which is read as the ``files`` source reads it."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError, ContentRefused
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.reading import Envelopes, pieces_of
from ualpipe.pipeline.reading.reader import chunk_of
from ualpipe.pipeline.records.chunk import Chunk, Piece
from ualpipe.pipeline.records.decoding import BadRecord, Record
from ualpipe.pipeline.wording import did_you_mean

_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record in a file.

    Attributes:
        line: Its line, or its position where several stand in a line or they stand in an array; counts from 1.
        record: The decoded record; one that is none is refused only when it is chosen.
        chunk: Its text.
    """

    line: int
    record: Record
    chunk: Chunk

    @property
    def id(self) -> str:
        """Its ``Id``; empty when it has none."""
        found = "" if isinstance(self.record, BadRecord) else self.record.get("Id", "")
        return found if isinstance(found, str) else ""


def read_body(path: str) -> bytes:
    """Returns the content of a file, or of stdin for ``-``.

    Raises:
        ConfigError: The file can't be read, or is empty.
    """
    try:
        body = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: can't read it: {exc.strerror}") from exc
    if not body.strip(_BLANK + codecs.BOM_UTF8):
        raise ConfigError(f"{_name(path)} is empty: it should hold a record, a JSON object")
    return body


def find_record(
    path: str, body: bytes, envelopes: Envelopes, *, id_: str | None, line: int | None
) -> tuple[Event, str, list[str]]:
    """Returns the event of one record, a note where it is the first of several and nobody said which, and what can't be read.

    Args:
        path: Of the file, for messages.
        body: Content of the file.
        envelopes: Those that records may stand in.
        id_: ``Id`` of the record that is wanted.
        line: Line of the record that is wanted, in an array its position; counts from 1.

    Raises:
        ConfigError: There is no such record, or it is not JSON or no object.
    """
    found = _records(path, body, envelopes)
    chosen = _chosen(_name(path), found, id_, line)
    if isinstance(chosen.record, BadRecord):
        raise ConfigError(f"{_name(path)}: {chosen.record.reason}")
    note = ""
    if len(found) > 1 and id_ is None and line is None:
        note = f"{_name(path)} holds {len(found):,} records; this is the first (choose by --id or --line)"
    origin = Origin("explain", "", "explain", "explain", chosen.chunk)
    unread = [one.record.reason for one in found if isinstance(one.record, BadRecord)]
    return Event(chosen.record, 0, origin), note, unread


def _chosen(name: str, found: list[FoundRecord], id_: str | None, line: int | None) -> FoundRecord:
    if id_ is not None:
        known = [one.id for one in found if one.id]
        return _only([one for one in found if one.id == id_], f"{name} has no record with the Id {id_}{_hint(id_, known)}")
    if line is not None:
        last = found[-1].line
        return _only([one for one in found if one.line == line], f"{name} has no record at {line}: the last is at {last}")
    return found[0]


def _only(found: list[FoundRecord], complaint: str) -> FoundRecord:
    if not found:
        raise ConfigError(complaint)
    return found[0]


def _hint(id_: str, known: Iterable[str]) -> str:
    return did_you_mean(id_, list(known))


def _records(path: str, body: bytes, envelopes: Envelopes) -> list[FoundRecord]:
    try:
        pieces = [piece for some in pieces_of([body], envelopes) for piece in some]
    except ContentRefused as exc:
        raise ConfigError(f"{_name(path)}: {exc}") from exc
    if not pieces:
        raise ConfigError(f"{_name(path)} holds no record: it should hold a JSON object")
    is_array = body.lstrip(_BLANK).startswith(b"[") or len({piece.line for piece in pieces}) < len(pieces)
    return [_found(at if is_array else piece.line, piece) for at, piece in enumerate(pieces, 1)]


def _found(line: int, piece: Piece) -> FoundRecord:
    chunk = chunk_of([piece])
    return FoundRecord(line, chunk.records[0], chunk)


def _name(path: str) -> str:
    return "stdin" if path == "-" else path
