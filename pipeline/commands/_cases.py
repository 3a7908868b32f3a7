"""Cases of ``ualpipe test``: records with the documents that are expected of them, in one file or in a folder of pairs."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ualpipe.pipeline.errors import ConfigError, ContentRefused
from ualpipe.pipeline.explain.document_fields import ABSENT, Difference, differences, differences_in, leaves, value_at
from ualpipe.pipeline.files import PRIVATE, refuse_unsafe, replace_file
from ualpipe.pipeline.reading import known_envelopes, pieces_of
from ualpipe.pipeline.reading.encoding import in_utf8
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.pipeline.wording import counted, did_you_mean

_KEYS = ("name", "record", "document", "fields")
_RECORD, _DOCUMENT = ".record.json", ".document.json"
_MAX_DEFECTS = 20  # more of them say that the file is something else
_BOM = b"\xef\xbb\xbf"

Entry = dict[str, Any]


@dataclass(slots=True)
class Case:
    """A record and what is expected of it.

    Attributes:
        name: The name written in it, else its place in the file.
        entry: As written: ``record`` with ``document`` (all of it; null for a filtered one) or ``fields`` (only these).
        is_changed: Whether ``expect`` gave it something else.
    """

    name: str
    entry: Entry
    is_changed: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """The audit record."""
        record: dict[str, Any] = self.entry["record"]
        return record

    @property
    def has_expectation(self) -> bool:
        """Whether anything is expected yet."""
        return "document" in self.entry or "fields" in self.entry

    def differences(self, got: Any) -> list[Difference]:
        """Returns what differs between what is expected and what came out."""
        found = differences(self.entry["document"], got) if "document" in self.entry else []
        return found + differences_in(self.entry.get("fields", {}), got)

    def expect(self, got: Any) -> None:
        """Makes what came out the expectation; where only some ``fields`` are expected, of these."""
        expected = {name: _null_if_absent(value_at(got, name)) for name in leaves(self.entry.get("fields", {}))}
        self.entry |= {"fields": expected} if "fields" in self.entry else {}
        self.entry |= {"document": got} if "document" in self.entry or "fields" not in self.entry else {}
        self.is_changed = True


def _null_if_absent(value: Any) -> Any:
    return None if value is ABSENT else value


@dataclass(slots=True)
class Cases:
    """The cases of one file or folder.

    Attributes:
        path: The file or folder.
        cases: The cases, in its order.
        write: Writes the cases that have changed.
    """

    path: Path
    cases: Sequence[Case]
    write: Callable[[], None]
    defects: list[str] = field(default_factory=list)


def read_cases(path: Path) -> Cases:
    """Reads cases.

    Raises:
        ConfigError: The file can't be read, or holds no case, or something else than cases; every defect is named.
    """
    try:
        found = _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as exc:
        raise ConfigError(f"{exc.filename or path}: can't read it: {exc.strerror}") from exc
    if found.defects:
        more = len(found.defects) - _MAX_DEFECTS
        raise ConfigError("\n".join([*found.defects[:_MAX_DEFECTS], *([f"and {more:,} more"] if more > 0 else [])]))
    if not found.cases:
        how = f"NAME{_RECORD} with NAME{_DOCUMENT}" if path.is_dir() else 'a line such as {"record": {…}, "document": {…}}'
        raise ConfigError(f"{path} has no cases: a case is {how}")
    return found


# One file


def _of_file(path: Path) -> Cases:
    body = _text_of(path)
    if body.lstrip().startswith(b"[") or (b"\n" in body.strip() and isinstance(_decoded(body), dict)):
        return _of_value(path, _decoded(body))
    lines = body.split(b"\n")
    defects: list[str] = []
    by_line: dict[int, Case] = {}
    for at, line in enumerate(lines):
        if line.strip() and (case := _case(f"{path}:{at + 1}", _decoded(line), defects)):
            by_line[at] = case

    def write() -> None:
        new = [
            orjson.dumps(by_line[at].entry) if at in by_line and by_line[at].is_changed else line for at, line in enumerate(lines)
        ]
        _replace(path, b"\n".join(new))

    return Cases(path, list(by_line.values()), write, defects)


def _text_of(path: Path) -> bytes:
    """Returns the text of a file in UTF-8, whatever wrote it."""
    return b"".join(in_utf8([path.read_bytes()])).removeprefix(_BOM)


def _record_in(path: Path) -> Any:
    """Returns the one record that a file holds, in whatever envelope, or what is wrong with it as text."""
    body = path.read_bytes()
    if isinstance(found := _decoded(body), dict) and known_envelopes().pieces(found, body) is None:
        return found
    try:
        pieces = [piece for some in pieces_of([body], known_envelopes()) for piece in some]
    except ContentRefused as exc:
        return str(exc)
    if len(pieces) != 1:
        return f"holds {counted(len(pieces), 'record')}: a case is one"
    return pieces[0].defect or _decoded(pieces[0].body)


def _of_value(path: Path, value: Any) -> Cases:
    """Returns the cases of an array, or the one case of an object over several lines."""
    defects = [f"{path}: {value}"] if isinstance(value, str) else []
    entries = [] if isinstance(value, str) else value if isinstance(value, list) else [value]
    found = [case for at, entry in enumerate(entries, 1) if (case := _case(f"{path}[{at}]", entry, defects))]
    return Cases(path, found, lambda: _replace(path, _pretty(value)), defects)


def _decoded(text: bytes) -> Any:
    """Returns decoded JSON, or what is wrong with it as text."""
    try:
        found = read_strictly(text)
    except UnreadableJson as exc:
        return f"not JSON: {exc}"
    return found if not isinstance(found, str) else "not a JSON object"


def _case(where: str, entry: Any, defects: list[str]) -> Case | None:
    found = list(_defects(entry))
    defects += [f"{where}: {defect}" for defect in found]
    return None if found else Case(str(entry.get("name") or where), entry)


def _defects(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield entry if isinstance(entry, str) else "a case is a JSON object with `record` and `document`, or `fields`"
        return
    for key in entry:
        if key not in _KEYS:
            yield f"{key}: unknown key{did_you_mean(key, _KEYS)}"
    if not isinstance(entry.get("record"), dict):
        yield "`record` is missing: the audit record, an object"
    if not isinstance(entry.get("fields", {}), dict):
        yield "`fields` are an object: names with values, null for a field that must not be there"
    if not isinstance(entry.get("document"), dict | None):
        yield "`document` is an object, or null for a record that is filtered"


# A folder of pairs


def _of_folder(folder: Path) -> Cases:
    defects: list[str] = []
    by_path: dict[Path, Case] = {}
    records = sorted(folder.glob(f"*{_RECORD}"))
    for path in records:
        name = path.name.removesuffix(_RECORD)
        entry = {"name": name, "record": _record_in(path)}
        expected = folder / f"{name}{_DOCUMENT}"
        if expected.exists():
            entry["document"] = _decoded(_text_of(expected))
        for key, file in (("record", path), ("document", expected)):
            defects += [f"{file}: {entry[key]}"] if isinstance(entry.get(key), str) else []
        if not any(isinstance(part, str) for key, part in entry.items() if key != "name") and (
            case := _case(str(path), entry, defects)
        ):
            by_path[expected] = case
    names = {path.name.removesuffix(_RECORD) for path in records}
    for path in sorted(folder.glob(f"*{_DOCUMENT}")):
        if (name := path.name.removesuffix(_DOCUMENT)) not in names:
            defects.append(f"{path}: there is no {name}{_RECORD} beside it")

    def write() -> None:
        for path, case in by_path.items():
            if case.is_changed:
                _replace(path, _pretty(case.entry["document"]))

    return Cases(folder, list(by_path.values()), write, defects)


def _pretty(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _replace(path: Path, body: bytes) -> None:
    """Writes a file whole or not at all, with the permissions that it had; a new one is for its owner alone."""
    try:
        refuse_unsafe(path)
        replace_file(path, body, stat.S_IMODE(path.stat().st_mode) if path.exists() else PRIVATE)
    except OSError as exc:
        raise ConfigError(f"{path}: can't write it: {exc.strerror}") from exc
