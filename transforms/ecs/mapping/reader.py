"""Reads mapping files and checks them: unknown ECS fields, conversions and keys are found before the first record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ualpipe.pipeline.marked_yaml import MarkedYaml, Pointer
from ualpipe.pipeline.wording import did_you_mean
from ualpipe.transforms.ecs.conversions.registry import DEFAULTS, Conversion, fits, load_conversions
from ualpipe.transforms.ecs.fields import Ecs, load_ecs
from ualpipe.transforms.ecs.mapping.constants import misfit
from ualpipe.transforms.ecs.mapping.model import MappingRow, OperationClass, RowCondition, SourcePath, Table
from ualpipe.transforms.ecs.mapping.table_reader import TableReader, open_all, refuse_defects

_TABLE_KEYS = ("title", "record_types", "rows", "operations")
_ROW_KEYS = ("to", "from", "as", "value", "when", "replaces", "note")
_CLASS_LISTS = ("category", "type", "names")
_CLASS_KEYS = (*_CLASS_LISTS, "when")
_DOCUMENT = "ecs:"


def shipped_files() -> list[Path]:
    """Returns the mapping files that ship with ualpipe."""
    folder = Path(str(files("ualpipe.schemas") / "ecs" / "mapping"))
    return sorted(folder.glob("*.yaml"))


@cache
def shipped_tables() -> tuple[Table, ...]:
    """Returns the tables that ship with ualpipe, read once in a process."""
    return tuple(read_tables(shipped_files(), load_ecs(), load_conversions()))


def read_tables(paths: Sequence[Path], ecs: Ecs, conversions: Mapping[str, Conversion]) -> list[Table]:
    """Reads mapping files.

    Raises:
        ConfigError: Something in the files is wrong; every finding is named with file, line and column.
    """

    def make(path: Path, text: MarkedYaml) -> _Reader:
        return _Reader(path, text, ecs, conversions)

    readers, findings = open_all(paths, "mapping file", make)
    tables = [reader.table() for reader in readers]
    refuse_defects(readers, findings)
    return tables


class _Reader(TableReader):
    """Turns one mapping file into a table."""

    __slots__ = ()

    def table(self) -> Table:
        data = self.mapping((), self.text.data, _TABLE_KEYS)
        kinds = data.get("record_types")
        rows = [self._row(("rows", index), row) for index, row in enumerate(self.items(("rows",), data.get("rows")))]
        entries = enumerate(self.items(("operations",), data.get("operations")))
        classes = [self._operations(("operations", index), entry) for index, entry in entries]
        return Table(
            self.path.name,
            self._text(("title",), data.get("title")),
            None if kinds is None else frozenset(self.kinds(("record_types",), kinds)),
            tuple(row for row in rows if row),
            tuple(entry for entry in classes if entry),
        )

    def _row(self, at: Pointer, data: Any) -> MappingRow | None:
        data = self.mapping(at, data, _ROW_KEYS)
        to = data.get("to")
        if not isinstance(to, str):
            self.text.defect(at, "`to` is missing: the ECS field that the row fills")
            return None
        conversion = self._conversion(at, data, to)
        if not self._is_target(at, to, conversion):
            return None
        field = self.ecs.field(to)
        return MappingRow(
            to=to,
            place=self.place(at),
            sources=tuple(self._sources(at, data.get("from"), conversion)),
            conversion=conversion,
            value=self._constant(at, data, to),
            when=tuple(self.conditions((*at, "when"), data.get("when"))),
            is_array=bool(field and field.is_array and not (conversion and conversion.parts)),
            replaces=self._flag((*at, "replaces"), data.get("replaces")),
            note=self._text((*at, "note"), data.get("note")),
        )

    def _conversion(self, at: Pointer, data: Mapping[str, Any], to: str) -> Conversion | None:
        name = data.get("as")
        if name is None:
            return self._usual(at, data, to) if "from" in data else None
        if isinstance(name, str) and name in self.conversions:
            return self.conversions[name]
        self.text.defect((*at, "as"), f'there is no conversion "{name}"{did_you_mean(str(name), self.conversions)}')
        return None

    def _usual(self, at: Pointer, data: Mapping[str, Any], to: str) -> Conversion | None:
        """Returns the conversion of a row that names none."""
        field = self.ecs.field(to)
        found = self.conversions.get(self._default(data, to))
        if field and not found:
            self.text.defect(at, f"`as` is missing: nothing is made into {field.type} by itself, which {to} takes")
        return found

    def _default(self, data: Mapping[str, Any], to: str) -> str:
        field = self.ecs.field(to)
        source = data["from"][0] if isinstance(data["from"], list) and data["from"] else data["from"]
        if isinstance(source, str) and source.startswith(_DOCUMENT):
            copied = self.ecs.field(source.removeprefix(_DOCUMENT))
            if field and copied and fits(copied.type, field.type):
                return "same"
        return DEFAULTS.get(field.type, "") if field else ""

    def _is_target(self, at: Pointer, to: str, conversion: Conversion | None) -> bool:
        made = conversion.parts if conversion and conversion.parts else {"": conversion.type if conversion else ""}
        for part, kind in made.items():
            name = f"{to}.{part}" if part else to
            field = self.ecs.field(name)
            if field is None:
                self.text.defect((*at, "to"), f'ECS has no field "{name}"{self._meant(name)}')
                return False
            if conversion and kind and not fits(kind, field.type):
                self.text.defect((*at, "as"), f'"{conversion.name}" makes {kind}, but {name} takes {field.type}')
                return False
        return True

    def _meant(self, name: str) -> str:
        inside = [field for field in self.ecs.fields if field.startswith(f"{name}.")]
        if inside:
            return f": it is an object; name a field in it, such as {inside[0]}, or a conversion that makes several"
        return did_you_mean(name, self.ecs.fields)

    def _sources(self, at: Pointer, written: Any, conversion: Conversion | None) -> Iterable[SourcePath]:
        where = (*at, "from")
        is_needed = bool(conversion and conversion.takes != "record")
        if written is None or written == []:
            if is_needed:
                self.text.defect(at, "`from` is missing: the original field that the value comes from")
            return
        if conversion and not is_needed:
            self.text.defect(where, f'"{conversion.name}" looks at the whole record: leave `from` out')
        for text in written if isinstance(written, list) else [written]:
            if (source := self.source(where, text)) is not None:
                yield source

    def source(self, at: Pointer, name: Any) -> SourcePath | None:
        if not isinstance(name, str) or not name:
            self.text.defect(at, "a source is the name of a field, such as UserId or Item.Subject")
            return None
        path = name.removeprefix(_DOCUMENT)
        steps = self.steps(at, path)
        if path != name and self.ecs.field(path) is None:
            self.text.defect(at, f'ECS has no field "{path}"{did_you_mean(path, self.ecs.fields)}')
            return None
        return SourcePath(name, tuple(step for step in steps if step), "document" if path != name else "originals")

    def _constant(self, at: Pointer, data: Mapping[str, Any], to: str) -> Any:
        value = data.get("value")
        if value is None:
            if "from" not in data and "as" not in data and data.get("replaces") is not True:
                self.text.defect(at, "the row has neither `from` nor `value`: it makes nothing")
            return None
        if "from" in data or "as" in data:
            self.text.defect((*at, "value"), "a row has either `from` or `value`")
        field = self.ecs.field(to)
        for item in value if isinstance(value, list) else [value]:
            if field and (defect := misfit(to, field.type, self.conversions.get(DEFAULTS.get(field.type, "")), item)):
                self.text.defect((*at, "value"), defect)
            self._allowed((*at, "value"), to, item)
        if field and isinstance(value, list) != field.is_array:
            return self._as_list(at, to, value, is_array=field.is_array)
        return value

    def _as_list(self, at: Pointer, to: str, value: Any, *, is_array: bool) -> Any:
        if is_array:
            return [value]
        self.text.defect((*at, "value"), f"{to} takes one value, not a list")
        return None

    def _allowed(self, at: Pointer, field: str, value: Any) -> None:
        allowed = self.ecs.values.get(field)
        if allowed and isinstance(value, str) and value not in allowed:
            self.text.defect(at, f'{field} does not take "{value}"{did_you_mean(str(value), allowed)}')

    def _operations(self, at: Pointer, data: Any) -> OperationClass | None:
        data = self.mapping(at, data, _CLASS_KEYS)
        lists = {key: self._words((*at, key), data.get(key)) for key in _CLASS_LISTS}
        category, types, names = lists.values()
        for word in category:
            self._allowed((*at, "category"), "event.category", word)
        expected = frozenset().union(*(self.ecs.types_of.get(word, frozenset()) for word in category))
        for word in types:
            if word not in expected:
                self.text.defect(
                    (*at, "type"), f'event.type "{word}" does not go with {", ".join(category)}{did_you_mean(word, expected)}'
                )
        return OperationClass(
            category, types, names, self.place(at), tuple(self._originals_when((*at, "when"), data.get("when")))
        )

    def _originals_when(self, at: Pointer, data: Any) -> Iterator[RowCondition]:
        """Yields the conditions of operations, which are looked up before the rows that read the document run."""
        for condition in self.conditions(at, data):
            if condition.source.of == "document":
                self.text.defect((*at, condition.text.partition(": ")[0]), "operations go by the original fields alone")
            else:
                yield condition

    def _words(self, at: Pointer, value: Any) -> tuple[str, ...]:
        words = value if isinstance(value, list) else [value]
        if not words or not all(isinstance(word, str) and word for word in words):
            self.text.defect(at, "a list of words is needed here")
            return ()
        return tuple(words)

    def _text(self, at: Pointer, value: Any) -> str:
        if isinstance(value, dict | list):
            self.text.defect(at, "text is needed here")
        return "" if value is None else str(value)

    def _flag(self, at: Pointer, value: Any) -> bool:
        if value is not None and not isinstance(value, bool):
            self.text.defect(at, "true or false is needed here")
        return value is True
