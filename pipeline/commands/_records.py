"""Finds one record in a file, which holds an object, an array, or one record a line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError, ContentUndecodable
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord, Record
from ualpipe.pipeline.wording import did_you_mean

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record in a file.

    Attributes:
        line: Its line, or its position in an array; counts from 1.
        record: The decoded record; one that is none is refused only when it is chosen.
        chunk: The text around it.
        index: Its position in the chunk.
    """

    line: int
    record: Record
    chunk: Chunk
    index: int

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
    body = body.removeprefix(_BOM)
    if not body.strip(_BLANK):
        raise ConfigError(f"{_name(path)} is empty: it should hold a record, a JSON object")
    return body


def find_record(path: str, body: bytes, *, id_: str | None, line: int | None) -> tuple[Event, str]:
    """Returns the event of one record, and a note where it is the first of several and nobody said which.

    Args:
        path: Of the file, for messages.
        body: Content of the file.
        id_: ``Id`` of the record that is wanted.
        line: Line of the record that is wanted, in an array its position; counts from 1.

    Raises:
        ConfigError: There is no such record, or it is not JSON or no object.
    """
    found = _records(path, body)
    chosen = _chosen(_name(path), found, id_, line)
    if isinstance(chosen.record, BadRecord):
        raise ConfigError(f"{_name(path)}:{chosen.line}: {chosen.record.reason}")
    note = ""
    if len(found) > 1 and id_ is None and line is None:
        note = f"{_name(path)} holds {len(found):,} records; this is the first (choose by --id or --line)"
    origin = Origin("explain", "", "explain", "explain", chosen.chunk)
    return Event(chosen.record, chosen.index, origin), note


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


def _records(path: str, body: bytes) -> list[FoundRecord]:
    whole = body.strip(_BLANK)
    if whole.startswith(b"["):
        return _of_array(path, Chunk(whole, "array"))
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip(_BLANK)]
    by_line = [_of_line(number, line) for number, line in lines]
    if isinstance(by_line[0].record, BadRecord) and len(by_line) > 1:
        return _of_array(path, Chunk(b"[" + whole + b"]", "array"))  # one record over several lines
    return by_line


def _of_line(number: int, line: bytes) -> FoundRecord:
    chunk = Chunk(line.strip(_BLANK), "lines")
    return FoundRecord(number, chunk.records[0], chunk, 0)


def _of_array(path: str, chunk: Chunk) -> list[FoundRecord]:
    try:
        records = chunk.records
    except ContentUndecodable as exc:
        raise ConfigError(f"{_name(path)}: {exc}") from exc
    if not records:
        raise ConfigError(f"{_name(path)}: the array is empty: it should hold a record, a JSON object")
    return [FoundRecord(at, record, chunk, at - 1) for at, record in enumerate(records, 1)]


def _name(path: str) -> str:
    return "stdin" if path == "-" else path
