"""Takes audit records out of their envelopes: what APIs, exports and other tools put around them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.reading.facts import facts_of
from ualpipe.pipeline.records.chunk import Piece
from ualpipe.pipeline.records.decoding import decode, kind_of
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.pipeline.records.splitting import COMMON_FIELDS
from ualpipe.schemas import read_yaml

MAX_DEPTH = 8
"""Envelopes inside of envelopes."""
CELL_LIMIT = 32_767
"""Characters in a cell of a spreadsheet."""

_HOLDERS = ("auditdata", "raweventdata")  # their text is a record, whatever it looks like
_LIKE_A_RECORD = 3  # fields of the common schema: what else stands in such an object belongs to it
_POWERSHELL = re.compile(r"\s*+@\{")
_POWERSHELL_FACT = re.compile(r"(?<![^;{\s])(Id|CreationTime)=([^;}]{1,100})")
_JSON_FACT = re.compile(r'"(Id|CreationTime)"\s*:\s*"([^"\\]{1,100})"')
_NESTED = re.compile(r"[\[{]")
_FACTS_LENGTH = 4096  # characters
_OTHER_POWERSHELL = ("System.Collections.Hashtable", "System.Management.Automation.PSCustomObject", "System.Object[]")
_ADVICE = "export again with ConvertTo-Json -Depth 100"
_NO_RECORD = (
    "a JSON object, but no audit record: it has none of Id, CreationTime, Operation, RecordType …, and no envelope that is known"
)


@dataclass(frozen=True, slots=True)
class Envelopes:
    """The envelopes that are known.

    Attributes:
        paths: Where records stand in them: keys, from the outside in.
        columns: Columns of CSV exports that hold records, in lower case.
        opening: Matches an envelope up to the bracket behind which its records stand.
    """

    paths: Sequence[tuple[str, ...]]
    columns: frozenset[str]
    opening: re.Pattern[bytes] = field(init=False)

    def __post_init__(self) -> None:
        keys = b"|".join(re.escape(orjson.dumps(path[0])) for path in self.paths if len(path) == 1)
        scalar = rb'(?:"[^"\\]*+"|[^\s"\[\]{},]++)'
        head = rb'\{\s*+(?:"[^"\\]*+"\s*+:\s*+' + scalar + rb"\s*+,\s*+)*+(?:" + keys + rb")\s*+:\s*+\["
        object.__setattr__(self, "opening", re.compile(head))

    def with_paths(self, paths: Sequence[str]) -> Envelopes:
        """Returns these envelopes and some more, which are looked for first."""
        if not paths:
            return self
        return Envelopes(
            (*(tuple(path.split(".")) for path in paths), *self.paths), self.columns | {path.lower() for path in paths}
        )

    def is_record(self, text: bytes) -> bool:
        """Tells whether some text is a record in no envelope, nothing more and nothing less."""
        try:
            value = read_strictly(text)
        except UnreadableJson:
            return False
        return type(value) is dict and _is_record(value)

    def pieces(self, value: Any, body: bytes) -> list[Piece] | None:
        """Returns the records in a value; None where it is a record itself.

        Args:
            value: As decoded.
            body: Its text; what stands for it where no record is in it.
        """
        if isinstance(value, dict):
            if _is_record(value):
                return None
            found = self._unwrapped(value, body, 0)
            if found is not None:
                return found
            return None if value.keys() & COMMON_FIELDS else [Piece(body, _NO_RECORD)]
        if isinstance(value, str) and (text := _json_text(value)) is not None:
            return self._of_text(text, body, {}, "", 0)
        return [Piece(body, f"a JSON {kind_of(value)}, not an object")]

    def in_cell(self, text: bytes, row: bytes, name: str, beside: Mapping[str, Any]) -> list[Piece]:
        """Returns the record in a cell of an export; or its row, with the reason and what the other cells tell.

        Args:
            text: The cell.
            row: The whole row.
            name: Of the column.
            beside: The cells of the row by their columns.
        """
        return self._of_text(text.decode("utf-8", "replace"), row, beside, name, 0)

    def _unwrapped(self, value: Mapping[str, Any], body: bytes, depth: int) -> list[Piece] | None:
        """Returns the records in an object; None where none of the paths leads to one."""
        if depth > MAX_DEPTH:
            return None
        is_like_record = len(value.keys() & COMMON_FIELDS) >= _LIKE_A_RECORD
        for path in self.paths:
            if is_like_record and path[-1].lower() not in _HOLDERS:
                continue
            found = self._at(path, value, body, depth)
            if found is not None:
                return found
        return None

    def _at(self, path: tuple[str, ...], value: Mapping[str, Any], body: bytes, depth: int) -> list[Piece] | None:
        inner: Any = value
        for key in path:
            if not isinstance(inner, Mapping) or key not in inner:
                return None
            inner = inner[key]
        name = path[-1]
        match inner:
            case dict():
                return self._of_object(inner, body, depth)
            case list():
                return self._of_list(inner, body, depth)
            case str() if name.lower() in _HOLDERS or _json_text(inner) is not None:
                return self._of_text(inner, body, value, name, depth)
            case None if name.lower() in _HOLDERS:
                return [Piece(body, f"{name} is empty", facts_of(value))]
        return None

    def _of_object(self, value: dict[str, Any], body: bytes, depth: int) -> list[Piece] | None:
        if _is_record(value):
            return [Piece(_written(value))]
        found = self._unwrapped(value, body, depth + 1)
        if found is None and len(value.keys() & COMMON_FIELDS) > 1:
            return [Piece(_written(value))]
        return found

    def _of_list(self, values: list[Any], body: bytes, depth: int) -> list[Piece] | None:
        """Returns the records of a list; None where its elements are something else."""
        pieces: list[Piece] = []
        bad = 0
        for value in values:
            found = self._of_element(value, body, depth)
            bad += found is None
            pieces += [Piece(_written(value), _NO_RECORD)] if found is None else found
        return None if bad == len(values) and values else pieces

    def _of_element(self, value: Any, body: bytes, depth: int) -> list[Piece] | None:
        if isinstance(value, dict):
            return self._of_object(value, b"" if _is_record(value) else _written(value), depth)
        if isinstance(value, str) and (text := _json_text(value)) is not None:
            return self._of_text(text, body, {}, "", depth)
        return None

    def _of_text(self, text: str, body: bytes, beside: Mapping[str, Any], name: str, depth: int) -> list[Piece]:
        encoded = text.strip().encode("utf-8", "replace")
        try:
            value = decode(encoded)
        except ContentUndecodable as exc:
            return [Piece(body, _defect_of_text(text, name, str(exc)), {**_own_facts(text), **facts_of(beside)})]
        if isinstance(value, dict):
            if _is_record(value):
                return [Piece(encoded)]
            found = self._unwrapped(value, body, depth + 1)
            return [Piece(encoded)] if found is None else found
        if isinstance(value, str) and depth < MAX_DEPTH:
            return self._of_text(value, body, beside, name, depth + 1)
        if isinstance(value, list) and (found := self._of_list(value, body, depth + 1)) is not None:
            return found
        return [Piece(body, f"{name or 'the text'} holds a JSON {kind_of(value)}, not an object", facts_of(beside))]


@functools.cache
def known_envelopes() -> Envelopes:
    """Returns the envelopes that ualpipe knows by itself."""
    table = read_yaml("envelopes.yaml")
    return Envelopes(tuple(tuple(path.split(".")) for path in table["paths"]), frozenset(map(str.lower, table["columns"])))


def _is_record(value: Mapping[str, Any]) -> bool:
    return "CreationTime" in value and ("Operation" in value or "RecordType" in value or "Workload" in value or "Id" in value)


def _json_text(value: str) -> str | None:
    """Returns text that should hold JSON, or what PowerShell made of an object; None for other text."""
    text = value.strip()
    return text if text.startswith(("{", "[", '"{')) or _POWERSHELL.match(text) else None


def _defect_of_text(text: str, name: str, reason: str) -> str:
    name = name or "the text"
    if _POWERSHELL.match(text) or text.strip() in _OTHER_POWERSHELL:
        return f"{name} was cut by PowerShell to `{text.strip()[:12]}…`: {_ADVICE}"
    if not text.strip():
        return f"{name} is empty"
    if text.lstrip().startswith("{") and not text.rstrip().endswith("}"):
        limit = ", the most that a cell of a spreadsheet holds" if len(text) in (CELL_LIMIT, CELL_LIMIT - 1) else ""
        return f"{name} is cut after {len(text):,} characters{limit}: take it from the export as it was downloaded"
    return f"{name} is {reason}"


def _own_facts(text: str) -> dict[str, str]:
    """Returns what the beginning of a cut record tells, before anything nested in it."""
    if _POWERSHELL.match(text):
        found = _POWERSHELL_FACT.findall(text[:_FACTS_LENGTH])
    else:
        found = _JSON_FACT.findall(_NESTED.split(text[1:_FACTS_LENGTH], maxsplit=1)[0])
    return facts_of({name: value.strip() for name, value in reversed(found)})


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):  # nested deeper than orjson writes
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
