"""Turns a mapping into Python: one function per kind of record, without tables or path walking at run time.

The source text is built from our own and the user's tables, whose names and constants enter it as ``repr`` only; conversions
and tests enter by the namespace. ``interpreter`` walks the same rows, and is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ualpipe.transforms.ecs.conversions.registry import Conversion
from ualpipe.transforms.ecs.mapping import operators
from ualpipe.transforms.ecs.mapping.model import CLASS_FIELDS, Family, MappingRow, RowCondition, chosen
from ualpipe.transforms.ecs.mapping.paths import Sources, parents_of, split, variable
from ualpipe.transforms.memo import Memo, MemoGroup

Document = dict[str, Any]
Mapper = Callable[[Document], Document]

_HELPERS = ("add", "listed", "many", "member", "one_of", "picked", "preferred", "put_one", "put_parts")
_AS_IT_IS = ("keyword", "text")  # conversions that leave text alone


def compile_family(family: Family, memos: MemoGroup | None = None) -> Mapper:
    """Returns the function that maps the originals of one kind of record into an ECS document (without ``o365``).

    Args:
        family: The rows for that kind of record.
        memos: Shared by the functions of one mapping.
    """
    writer = _Writer(family, memos or MemoGroup())
    code = compile(writer.source(), f"<mapping {family.name}>", "exec")
    exec(code, writer.names)  # noqa: S102 - see above: no foreign text becomes code
    mapper: Mapper = writer.names["mapped"]
    return mapper


def source_of(family: Family) -> str:
    """Returns the source text of ``compile_family``'s function, for reading."""
    return _Writer(family, MemoGroup()).source()


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@dataclass(slots=True)
class _Writer:
    """Writes the function of one family.

    Attributes:
        memos: Shared by the functions of one mapping.
        names: The names in the function with their values.
        lines: The body of the function so far.
        constants: Fields that have the same value in all records, by the objects that they stand in.
        possible: Fields that may be filled by now.
        filled: Each field that a row may fill, with whether it is a list that rows add to.
        parents: The objects that fields stand in, outer ones first.
        solo: Objects that a single row fills and nothing reads: they are made where they are filled.
        contested: Fields for which several rows make parts: the first that makes any wins.
    """

    family: Family
    memos: MemoGroup
    names: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    constants: dict[str, dict[str, Any]] = field(default_factory=dict)
    possible: set[str] = field(default_factory=set)
    filled: dict[str, bool] = field(init=False)
    parents: list[str] = field(init=False)
    solo: set[str] = field(init=False)
    contested: set[str] = field(init=False)
    _sources: Sources = field(init=False)
    _claims: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        rows = self.family.rows
        self.filled = {name: row.is_array for row in rows for name in row.fields}
        self.parents = parents_of([*self.filled, *CLASS_FIELDS])
        self.solo = set(self._find_solo())
        making = [row.to for row in rows if row.makes_parts]
        self.contested = {name for name in making if making.count(name) > 1}
        self._sources = Sources.of(rows, self.filled)
        self.names.update({name: getattr(operators, name) for name in _HELPERS}, NOTHING={})
        self.names.update(classes=self.family.classes.known, chosen=chosen)

    def source(self) -> str:
        """Returns the text of the function."""
        rows = [row for row in self.family.rows if self._can_run(row)]
        self._rows([row for row in rows if not row.is_late])
        self._classes()
        self._rows([row for row in rows if row.is_late])
        body = ["get = originals.get", *self._beginning(), *self.lines, *self._ending(), "return document"]
        return "def mapped(originals):\n" + "".join(f"    {line}\n" for line in body)

    def _can_run(self, row: MappingRow) -> bool:
        """Returns whether any source of a row can be there; it can't where no row fills the ECS field that the source reads."""
        known = {*self.filled, *CLASS_FIELDS}
        return not row.sources or any(source.of == "originals" or source.field in known for source in row.sources)

    # Objects and lists that fields stand in

    def _find_solo(self) -> Iterator[str]:
        read = {split(source.field)[0] for row in self.family.rows for source in row.all_sources if source.of == "document"}
        for parent in self.parents:
            rows = [row for row in self.family.rows if any(name.startswith(f"{parent}.") for name in row.fields)]
            is_flat = all(split(name)[0] == parent for row in rows for name in row.fields)
            if len(rows) == 1 and is_flat and not rows[0].is_array and rows[0].conversion and parent not in (*read, "event"):
                yield parent

    def _lists(self) -> list[str]:
        return [name for name, is_array in self.filled.items() if is_array and name in self.possible]

    def _beginning(self) -> list[str]:
        objects = [*(parent for parent in reversed(self.parents) if parent not in self.solo), ""]
        return [
            *self._sources.beginning(),
            *(f"{variable(parent)} = {self._literal(parent)}" for parent in objects),
            *(f"{variable(name)} = []" for name in self._lists()),
            *(f"claimed_{variable(name)} = False" for name in sorted(self._claims)),
        ]

    def _literal(self, parent: str) -> str:
        """Returns an object as it is at the beginning: its constants, and the objects in it that have some."""
        members = [f"{name!r}: {value!r}" for name, value in self.constants.get(parent, {}).items()]
        inner = [other for other in self.parents if split(other)[0] == parent and self.constants.get(other)]
        return "{" + ", ".join(members + [f"{split(other)[1]!r}: {variable(other)}" for other in inner]) + "}"

    def _ending(self) -> list[str]:
        objects = [name for name in reversed(self.parents) if name not in self.solo and not self.constants.get(name)]
        return [f"if {variable(name)}: {self._place(name)} = {variable(name)}" for name in [*self._lists(), *objects]]

    def _place(self, name: str) -> str:
        parent, leaf = split(name)
        return f"{variable(parent)}[{leaf!r}]"

    # Rows

    def _rows(self, rows: Sequence[MappingRow]) -> None:
        for group in _groups(rows):
            if len(group) > 1:
                self._group(group)
            else:
                self._row(group[0])

    def _row(self, row: MappingRow) -> None:
        parent, leaf = split(row.to)
        if leaf in self.constants.get(parent, {}):
            return  # a stronger row fills it in any case
        if row.conversion is None and not row.when and not row.is_array and row.to not in self.possible:
            self.constants.setdefault(parent, {})[leaf] = row.value
            return
        guards = [test for test in (self._guard(row), self._sources.root_of(row)) if test]
        lines = self._constant(row) if row.conversion is None else self._converted(row, row.conversion)
        if guards:
            lines = [f"if {' and '.join(guards)}:", *_indented(lines)]
        self.lines += [f"# {str(row.place)!r} {row.to}", *lines]
        self.possible.update(row.fields)

    def _group(self, rows: Sequence[MappingRow]) -> None:
        """Writes rows that convert the same text: one look-up in a memo serves them all."""
        conversions = list({row.conversion.name: row.conversion for row in rows if row.conversion}.values())
        results = {conversion.name: f"v{index}" for index, conversion in enumerate(conversions)}
        remembered = [conversion.function for conversion in conversions if isinstance(conversion.function, Memo)]
        looked_up = f"{self._name('memo', self.memos.of(remembered))}[v]" if len(results) > 1 else self._call(conversions[0])
        texts, others = [f"{', '.join(results.values())} = {looked_up}"], []
        for row in rows:
            result = results[row.conversion.name if row.conversion else ""]
            guard = f"{guard} and " if (guard := self._guard(row)) else ""
            texts += [f"# {str(row.place)!r} {row.to}", f"if {guard}{result} is not None:", *_indented(self._stored(row, result))]
            others += [f"w = {self._of_others(row)}", f"if {guard}w is not None:"]
            others += _indented(self._stored(row, "w", is_list=row.is_array))
            self.possible.update(row.fields)
        lines = ["if type(v) is str:", *_indented(texts), "elif v is not None:", *_indented(others)]
        self.lines += [*self._read(rows[0]), *lines]

    def _guard(self, row: MappingRow) -> str:
        """Returns the test whether a row may still fill what it fills; empty where it may in any case."""
        if row.to in self.contested and row.makes_parts:
            is_first = row.to not in self._claims
            self._claims.add(row.to)
            return "" if is_first else f"not claimed_{variable(row.to)}"
        if row.to in self.possible and not row.is_array and not row.makes_parts:
            parent, leaf = split(row.to)
            return f"{leaf!r} not in {variable(parent)}"
        return ""

    def _constant(self, row: MappingRow) -> list[str]:
        if not row.is_array:
            return self._when(row, [f"{self._place(row.to)} = {row.value!r}"])
        found = variable(row.to)
        if len(row.value) > 1:
            return self._when(row, [f"add({found}, {row.value!r})"])
        return self._when(row, [f"if {row.value[0]!r} not in {found}: {found}.append({row.value[0]!r})"])

    def _when(self, row: MappingRow, lines: list[str], first: str = "") -> list[str]:
        tests = [*([first] if first else []), *map(self._test, row.when)]
        return [f"if {' and '.join(tests)}:", *_indented(lines)] if tests else lines

    def _test(self, condition: RowCondition) -> str:
        value = self._sources.expression(condition.source, self.possible)
        if condition.exists is not None:
            return f"{value} {'is not' if condition.exists else 'is'} None"
        return f"(c := {value}) is not None and {self._name('test', condition.test)}(c)"

    def _read(self, row: MappingRow) -> list[str]:
        first, *others = [self._sources.expression(source, self.possible) for source in row.sources]
        lines = [f"v = {first}", *(f"if v is None: v = {other}" for other in others)]
        if not others or not row.conversion or not row.conversion.prefers:
            return lines
        # Nearly always the first that is there will do; only then the others are looked at.
        part, convert, there = row.conversion.prefers, self._any(row.conversion), ", ".join((first, *others))
        unfit = f"type(v) is not str or {part!r} not in ({self._call(row.conversion)} or NOTHING)"
        choice = f"v = (there := ({there}))[preferred({convert}, {part!r}, there)]"
        return [*lines, f"if v is not None and ({unfit}):", f"    {choice}"]

    # Conversions

    def _converted(self, row: MappingRow, conversion: Conversion) -> list[str]:
        if conversion.takes == "record":
            return self._when(row, [f"v = {self._name(conversion.name, conversion.function)}(originals)", *self._kept(row)])
        if conversion.name == "same":
            return [*self._read(row), *self._when(row, self._stored(row), "v is not None")]
        if conversion.takes == "structure":
            return [*self._read(row), *self._when(row, [f"v = {self._call(conversion)}", *self._kept(row)], "v is not None")]
        others = self._others(row)
        if conversion.takes == "value" and conversion.name not in _AS_IT_IS:
            return [*self._read(row), *self._when(row, others, "v is not None")]
        texts = self._stored(row) if conversion.name in _AS_IT_IS else [f"v = {self._call(conversion)}", *self._kept(row)]
        by_type = ["if type(v) is str:", *_indented(texts), "elif v is not None:", *_indented(others)]
        return [*self._read(row), *(self._when(row, by_type, "v is not None") if row.when else by_type)]

    def _others(self, row: MappingRow) -> list[str]:
        """Returns lines that convert and store ``v`` where it is a list, a number or an object; few, as they rarely run."""
        parent, leaf = split(row.to)
        if row.is_array:
            return [f"add({variable(row.to)}, {self._of_others(row)})"]
        if row.makes_parts or parent in self.solo:
            return [f"v = {self._of_others(row)}", *self._kept(row)]
        return [f"put_one({variable(parent)}, {leaf!r}, {self._any(row.conversion)}, v)"] if row.conversion else []

    def _of_others(self, row: MappingRow) -> str:
        """Returns the expression that converts ``v`` where it is a list, a number or an object."""
        convert = self._any(row.conversion) if row.conversion else ""
        return f"many({convert}, [v])" if row.is_array else f"one_of({convert}, v)"

    def _kept(self, row: MappingRow, *, is_list: bool | None = None) -> list[str]:
        return ["if v is not None:", *_indented(self._stored(row, is_list=is_list))]

    def _stored(self, row: MappingRow, value: str = "v", *, is_list: bool | None = None) -> list[str]:
        """Returns lines that store a value that is there."""
        if row.is_array:
            return [self._added(row, value, is_list=is_list)]
        parent, leaf = split(row.to)
        if not row.makes_parts:
            return [
                f"{self._place(parent)} = {{{leaf!r}: {value}}}" if parent in self.solo else f"{self._place(row.to)} = {value}"
            ]
        if row.to in self.solo:
            return [f"{self._place(row.to)} = {{**{value}}}"]
        target = variable(row.to)
        taken = self.possible.union(f"{row.to}.{name}" for name in self.constants.get(row.to, {}))
        store = f"put_parts({target}, {value})" if taken.intersection(row.fields) else f"{target}.update({value})"
        return [store, f"claimed_{target} = True"] if row.to in self.contested else [store]

    def _added(self, row: MappingRow, value: str, *, is_list: bool | None) -> str:
        """Returns the line that adds to a list; it looks for equal values only where the list may hold some already."""
        found = variable(row.to)
        if row.to in self.possible or (row.conversion and row.conversion.name == "same"):
            return f"add({found}, {value})"
        makes_list = is_list if is_list is not None else bool(row.conversion and row.conversion.makes_list)
        return f"{found} += {value}" if makes_list else f"{found}.append({value})"

    def _call(self, conversion: Conversion) -> str:
        function = self._name(conversion.name, conversion.function)
        return f"{function}[v]" if isinstance(conversion.function, Memo) else f"{function}(v)"

    def _any(self, conversion: Conversion) -> str:
        name = f"any_{conversion.name}"
        self.names.setdefault(name, conversion.convert)
        return name

    def _name(self, base: str, value: Any) -> str:
        """Returns the name under which the function knows a value."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = base if base not in self.names else f"{base}_{len(self.names)}"
        self.names[name] = value
        return name

    def _classes(self) -> None:
        """Writes the look-up of the operation, for records whose rows say nothing about its category."""
        guard = " and not in_event_category" if "event.category" in self.filled else ""
        self.lines += ["# operations", "v = get('Operation')", f"if type(v) is str{guard}:"]
        self.lines.append("    v = classes[v]")
        if self.family.classes.has_conditions:
            self.lines.append("    if type(v) is tuple: v = chosen(v, originals)")
        self.lines += ["    if v is not None:", "        pass"] if not self.family.class_fields else ["    if v is not None:"]
        for name in self.family.class_fields:
            attribute = CLASS_FIELDS[name]
            if name in self.filled:
                self.possible.add(name)
                self.lines.append(f"        if not {variable(name)}: {variable(name)} += v.{attribute}")
            else:
                self.lines.append(f"        {self._place(name)} = [*v.{attribute}]")


def _groups(rows: Sequence[MappingRow]) -> Iterator[list[MappingRow]]:
    """Cuts rows into runs whose conversions have memos and take the same text, and single rows."""
    group: list[MappingRow] = []
    for row in rows:
        if group and not (_can_share(group[-1]) and _can_share(row) and group[-1].sources == row.sources):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _can_share(row: MappingRow) -> bool:
    return bool(row.conversion and isinstance(row.conversion.function, Memo) and row.sources and not row.when)
