"""Exports as CLIXML, of Export-Clixml: read by expat as it comes, without entities and document types, in bounded depth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from ualpipe.pipeline.mailbox_audit.exports.model import MOST_TEXT, RawRow, UnreadableExport

_MOST_DEPTH = 64
_MOST_TAG = 2 * 1024 * 1024  # bytes of a tag, with its attributes; those of exports have some hundred
_MOST_MEMBERS = 20_000  # of one object; a mailbox has 250
_MOST_SHARED = 5_000_000  # objects that others may refer to
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TEXTS = frozenset({"S", "G", "DT", "TS", "URI", "Version", "XD", "SBK", "C", "ToString", "D", "Db", "Sg", "BA"})
_NUMBERS = frozenset({"I16", "I32", "I64", "U16", "U32", "U64", "By", "SB"})
_MEMBERS = frozenset({"MS", "Props"})
_LISTS = frozenset({"LST", "IE", "STK", "QUE"})
_HOLDING = frozenset({"Obj", *_MEMBERS, *_LISTS, "DCT", "En", "TN", "TNRef", "T", "Objs"})


@dataclass(slots=True)
class _Frame:
    """An element that is open.

    Attributes:
        name: Name of the member that it is; empty where it is none.
        line: Where it begins.
        members: Those of an object.
        elements: Those of a list; None where the object has none.
        text: What stands in it, for elements that are values.
        value: That of an object which is more than its members: its number, or its text.
    """

    tag: str
    name: str
    ref: str
    line: int
    members: dict[str, Any] = field(default_factory=dict)
    elements: list[Any] | None = None
    text: list[str] = field(default_factory=list)
    size: int = 0
    value: Any = None


def rows_of_clixml(blocks: Iterable[bytes]) -> Iterator[RawRow]:
    """Yields the objects of an export, those before it breaks too.

    Raises:
        UnreadableExport: It is no such XML, it ends early, or it holds what no export does.
    """
    reader = _Reader()
    for block in blocks:
        yield from reader.feed(block)
    yield from reader.feed(b"", is_end=True)


class _Reader:
    """Reads CLIXML part by part."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate("utf-8")  # whatever the declaration says: the text was brought to UTF-8
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.EntityDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._open: list[_Frame] = []
        self._named = 0  # open elements that are members of an object
        self._shared: dict[str, Any] = {}
        self._rows: list[RawRow] = []
        self._fed = 0

    def feed(self, block: bytes, *, is_end: bool = False) -> Iterator[RawRow]:
        error: UnreadableExport | None = None
        try:
            self._parser.Parse(block, is_end)
            self._refuse_long_tag(len(block))
        except expat.ExpatError as exc:
            reason = expat.ErrorString(exc.code)
            error = UnreadableExport(f"damaged or cut XML: {reason}: export it again with Export-Clixml", exc.lineno)
        except UnreadableExport as exc:
            error = exc
        rows, self._rows = self._rows, []
        yield from rows
        if error is not None:
            raise error

    def _refuse_long_tag(self, size: int) -> None:
        """Refuses a tag that goes on for ever, which expat before 2.6 reads anew with each block."""
        self._fed += size
        if self._fed - self._parser.CurrentByteIndex > _MOST_TAG:
            raise UnreadableExport(f"a tag longer than {_MOST_TAG >> 20} MiB, which no export has", self._line())

    def _refuse_doctype(self, *_declared: Any) -> None:
        raise UnreadableExport("a document type or an entity, which no export of PowerShell has: refused", self._line())

    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._open and tag != "Objs":
            raise UnreadableExport("XML that is no CLIXML of PowerShell: it begins with another element than Objs", self._line())
        if len(self._open) >= _MOST_DEPTH:
            raise UnreadableExport(f"nested deeper than {_MOST_DEPTH} levels: export with a lower -Depth", self._line())
        frame = _Frame(tag, unescaped(attributes.get("N", "")), attributes.get("RefId", ""), self._line())
        self._named += bool(frame.name)
        self._open.append(frame)
        if tag in _LISTS:
            frame.elements = []

    def _characters(self, text: str) -> None:
        frame = self._open[-1]
        if frame.tag not in _HOLDING and frame.size < MOST_TEXT:
            frame.text.append(text)
            frame.size += len(text)

    def _end(self, _tag: str) -> None:
        frame = self._open.pop()
        self._named -= bool(frame.name)
        parent = self._open[-1] if self._open else None
        if parent is None or frame.tag in ("TN", "TNRef", "T"):
            return
        if frame.tag in _MEMBERS:
            parent.members.update(frame.members)
        elif frame.tag in _LISTS and not frame.name:
            parent.elements = frame.elements
        elif frame.tag == "ToString":
            parent.value = _text(frame)
        else:
            self._place(frame, parent)

    def _place(self, frame: _Frame, parent: _Frame) -> None:
        """Puts a value where it belongs: a member of an object, an element of a list, a row, or what an object is."""
        if frame.tag == "Obj" and frame.members and not self._named and not frame.name:
            self._rows.append(RawRow(frame.members, frame.line))
            return
        value = self._value(frame)
        if frame.tag == "Obj" and frame.ref and len(self._shared) < _MOST_SHARED:
            self._shared[frame.ref] = value
        if frame.name:
            if len(parent.members) < _MOST_MEMBERS:
                parent.members[frame.name.lower()] = value
        elif parent.elements is not None and parent.tag in _LISTS:
            parent.elements.append(value)
        elif parent.value is None:
            parent.value = value

    def _value(self, frame: _Frame) -> Any:
        if frame.tag == "Ref":
            return self._shared.get(frame.ref)
        if frame.tag == "Obj":
            if frame.elements is not None:
                return frame.elements
            return frame.value if frame.value is not None else {**frame.members} or None
        if frame.tag == "B":
            return _text(frame)
        if frame.tag in _NUMBERS:
            text = _text(frame)
            return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else text
        return _text(frame) if frame.tag in _TEXTS else None


def _text(frame: _Frame) -> str:
    return unescaped("".join(frame.text)[:MOST_TEXT])


def unescaped(text: str) -> str:
    """Returns a text of CLIXML with the characters for which it has ``_x000A_``."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
