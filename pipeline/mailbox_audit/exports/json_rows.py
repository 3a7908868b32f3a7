"""Exports as JSON, of ConvertTo-Json: an array, or one object; each with the line that it begins on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ualpipe.pipeline.mailbox_audit.exports.kinds import kind_of
from ualpipe.pipeline.mailbox_audit.exports.model import RawRow, UnreadableExport
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json
from ualpipe.pipeline.records.scanning import BYTE_A_CHARACTER, NoEnd, bracket_end, value_end

_MOST_OBJECT_BYTES = 4 * 1024 * 1024
_WINDOW = 16 * 1024  # characters in which most objects end
_BLANK = re.compile(r"[ \t\r\n,\[\]\0]*+")
_OBJECT = re.compile(r'\{\s*+"')
_PAGES = ("value", "values", "mailboxes", "results")
_PAGE = re.compile(
    r"\s*+\{\s*+(?:\"[^\"\\]{1,200}+\"\s*+:\s*+(?:\"[^\"\\]{0,2000}+\"|[0-9]{1,20}+)\s*+,\s*+){0,10}+"
    rf"\"(?i:{'|'.join(_PAGES)})\"\s*+:\s*+\[(?=\s*+\{{)"
)
"""The begin of an object that stands around the list, as Windows PowerShell (with its count) and REST write it."""
_MOST_BROKEN = 500
_BROKEN_BYTES = 64 * 1024  # so far the end of a broken object is looked for by its brackets


def rows_of_json(data: bytes) -> Iterator[RawRow]:
    """Yields each object of an array, or behind one another; one that is broken with its defect, where the next can be found.

    Raises:
        UnreadableExport: The text ends within an object, or breaks where no other object can be found.
    """
    text = data.decode(BYTE_A_CHARACTER)
    page = _PAGE.match(text)
    at = page.end() if page else 0
    counted = broken = 0
    line = 1
    while (at := _behind_blanks(text, at)) < len(text):
        if page and text[at] != "{":  # what such an object has behind the list
            return
        line += text.count("\n", counted, at)
        counted = at
        try:
            end = _end(text, at)
        except NoEnd as exc:
            end = _behind_broken(text, at, exc, line)
            broken += 1
            if broken > _MOST_BROKEN:
                raise UnreadableExport(f"broken in more than {_MOST_BROKEN} places: not read any further", line) from None
            yield RawRow({}, line, f"no JSON: {exc}")
        else:
            yield from _rows(data[at:end], line)
        at = end


def _end(text: str, at: int) -> int:
    """Returns the position behind the value that begins at a place; looks no further than a value may reach.

    Raises:
        NoEnd: It is no JSON, or longer than that.
    """
    for size in (_WINDOW, _MOST_OBJECT_BYTES):
        try:
            return at + value_end(text[at : at + size], 0)
        except NoEnd as exc:
            if not exc.is_unfinished or at + size >= len(text):
                raise
    raise NoEnd(f"an object longer than {_MOST_OBJECT_BYTES >> 20} MiB", at, is_unfinished=True)


def _behind_blanks(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None, "it takes anything"
    return found.end()


def _behind_broken(text: str, at: int, error: NoEnd, line: int) -> int:
    """Returns where to go on behind something broken.

    Raises:
        UnreadableExport: Nowhere.
    """
    end = bracket_end(text, at, min(len(text), at + _BROKEN_BYTES)) if text[at] == "{" else None
    if end is None and (following := _OBJECT.search(text, at + 1)) is not None and not error.is_unfinished:
        end = following.start()
    if end is None:
        raise UnreadableExport(f"it ends within an object, or is no JSON ({error}): cut? Export it again", line)
    return end


def _rows(body: bytes, line: int) -> Iterator[RawRow]:
    try:
        value = read_json(body, most_bytes=_MOST_OBJECT_BYTES)
    except UnreadableJson as exc:
        yield RawRow({}, line, str(exc))
        return
    if not isinstance(value, dict):
        yield RawRow({}, line, "a value that is no object")
        return
    page = _page(value)
    for one in page if page is not None else [value]:
        yield _row(one, line) if isinstance(one, dict) else RawRow({}, line, "a value that is no object")


def _page(value: dict[str, Any]) -> list[Any] | None:
    """Returns the list in an object that stands around it, as Windows PowerShell and REST write it; None where there is none."""
    if kind_of([key.lower() for key in value]) is not None:
        return None
    return next((inner for key, inner in value.items() if key.lower() in _PAGES and isinstance(inner, list)), None)


def _row(value: dict[str, Any], line: int) -> RawRow:
    return RawRow({key.lower(): inner for key, inner in value.items()}, line)
