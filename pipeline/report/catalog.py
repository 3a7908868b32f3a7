"""The reports that there are: pairs of ``NAME.sql`` and ``NAME.yaml``, ours and those of a folder of the user's beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ualpipe.pipeline import marked_yaml
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.json_schema.defects import schema_defects
from ualpipe.pipeline.marked_yaml import MarkedYaml
from ualpipe.pipeline.wording import did_you_mean, visible

EVENT_IDS, EXCLUDED = "event_ids", "excluded"
"""Columns of the SQL that are none of the report: the events behind a row, and why a row is not shown."""
MAX_SQL_BYTES = 1 << 20

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}
_COLUMN = {
    "type": "object",
    "properties": {"title": {**_TEXT, "description": "What stands above it"}, "about": {**_TEXT, "description": "What it says"}},
    "required": ["title", "about"],
    "additionalProperties": False,
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {**_TEXT, "description": "Title of the report"},
        "question": {**_TEXT, "description": "The question that it answers"},
        "columns": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _COLUMN,
            "description": "The columns of the SQL, in its order",
        },
        "group": {**_TEXTS, "description": "Columns by which pages are divided"},
        "timeline": {**_TEXT, "description": "Column of instants that the picture shows"},
        "wrong": {**_TEXTS, "description": "What makes the report wrong, a sentence each"},
        "not_answered": {**_TEXTS, "description": "What people expect here, and these records do not tell"},
    },
    "required": ["title", "question", "columns", "wrong"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """One column of a report.

    Attributes:
        name: As in the SQL.
        title: What stands above it.
        about: What it says.
        line: Where it stands in the YAML.
    """

    name: str
    title: str
    about: str
    line: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        name: What it is asked for by.
        title: Its title.
        question: What it answers.
        columns: Its columns, those of the SQL in their order.
        sql: One SELECT, over the relations of ``contract.Store``.
        sql_file: Where that stands.
        yaml_file: Where all else stands.
        group: Names of columns by which pages are divided.
        timeline: Name of the column of instants that the picture shows; empty where there is none.
        wrong: What makes it wrong, a sentence each.
        not_answered: What people expect of it that these records do not tell, a sentence each.
        is_own: It is the user's, none of ours.
        replaces: It is the user's, and stands in the place of ours of the same name.
    """

    name: str
    title: str
    question: str
    columns: Sequence[ReportColumn]
    sql: str
    sql_file: Path
    yaml_file: Path
    group: Sequence[str] = ()
    timeline: str = ""
    wrong: Sequence[str] = ()
    not_answered: Sequence[str] = ()
    is_own: bool = False
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    sql: Path
    yaml: Path
    is_own: bool
    replaces: bool = False


class Catalog:
    """The reports by name. A pair is read when it is asked for, so that a defect in one holds up no other."""

    def __init__(self, folder: Path | None = None, shipped: Path | None = None) -> None:
        """Looks at the names of files alone.

        Args:
            folder: Reports of the user's: one of the same name as ours counts in its place.
            shipped: Where ours are; in the package by default.

        Raises:
            ConfigError: The folder can't be looked at.
        """
        ours = _pairs(shipped or _our_folder(), is_own=False)
        own = _pairs(folder, is_own=True) if folder else {}
        replaced = {name: _Pair(pair.sql, pair.yaml, pair.is_own, name in ours) for name, pair in own.items()}
        self._pairs = dict(sorted((ours | replaced).items()))

    @property
    def names(self) -> Sequence[str]:
        """The names of all reports, sorted."""
        return list(self._pairs)

    @property
    def own_names(self) -> Sequence[str]:
        """The names of the user's own, sorted."""
        return [name for name, pair in self._pairs.items() if pair.is_own]

    def report(self, name: str) -> Report:
        """Returns a report.

        Raises:
            ConfigError: There is none of this name, or its files have defects: a line of the message each, with file and line.
        """
        pair = self._pairs.get(name)
        if pair is None:
            raise ConfigError(f"there is no report {name!r}{did_you_mean(name, self._pairs)}: `ualpipe report --list` names all")
        return _read(name, pair)

    def reports(self) -> Iterator[Report | ConfigError]:
        """Yields all reports by name, and in place of one whose files have defects what they are."""
        for name in self.names:
            try:
                yield self.report(name)
            except ConfigError as exc:
                yield exc


def coverage_sql(name: str) -> str:
    """Returns a question that is asked beside every report, of what makes its answer incomplete."""
    return (files("ualpipe.reports") / "coverage" / f"{name}.sql").read_text(encoding="utf-8")


def _our_folder() -> Path:
    return Path(str(files("ualpipe.reports")))


def _pairs(folder: Path, *, is_own: bool) -> dict[str, _Pair]:
    """Returns the pairs of a folder by name, those of which one file is missing too."""
    try:
        names = {path.stem for path in folder.iterdir() if path.suffix in (".sql", ".yaml") and not path.name.startswith(".")}
    except OSError as exc:
        raise ConfigError(f"{folder}: can't look for reports there: {exc.strerror}") from exc
    return {name: _Pair(folder / f"{name}.sql", folder / f"{name}.yaml", is_own) for name in names}


def _read(name: str, pair: _Pair) -> Report:
    marked = _read_yaml(pair)
    if not marked.defects:
        _check(marked)
    if marked.defects:
        raise ConfigError("\n".join(f"{pair.yaml}:{defect}" for defect in sorted(set(marked.defects))))
    found: Mapping[str, Any] = marked.data
    return Report(
        name=name,
        title=_line(found["title"]),
        question=_line(found["question"]),
        columns=[
            ReportColumn(key, _line(one["title"]), _line(one["about"]), marked.places[("columns", key)][0])
            for key, one in found["columns"].items()
        ],
        sql=_read_sql(pair),
        sql_file=pair.sql,
        yaml_file=pair.yaml,
        group=tuple(found.get("group", ())),
        timeline=found.get("timeline", ""),
        wrong=[_line(text) for text in found["wrong"]],
        not_answered=[_line(text) for text in found.get("not_answered", ())],
        is_own=pair.is_own,
        replaces=pair.replaces,
    )


def _read_yaml(pair: _Pair) -> MarkedYaml:
    try:
        return marked_yaml.load(pair.yaml, environ={})
    except FileNotFoundError as exc:
        raise ConfigError(f"{pair.yaml}: is missing: a report is {pair.sql.name} and {pair.yaml.name} beside it") from exc
    except OSError as exc:
        raise ConfigError(f"{pair.yaml}: can't be read: {exc.strerror}") from exc


def _read_sql(pair: _Pair) -> str:
    try:
        with pair.sql.open("rb") as opened:
            raw = opened.read(MAX_SQL_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except FileNotFoundError as exc:
        raise ConfigError(f"{pair.sql}: is missing: a report is {pair.sql.name} and {pair.yaml.name} beside it") from exc
    except OSError as exc:
        raise ConfigError(f"{pair.sql}: can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{pair.sql}:{line}: not UTF-8 text: save it as UTF-8") from None
    if len(raw) > MAX_SQL_BYTES:
        raise ConfigError(f"{pair.sql}: longer than {MAX_SQL_BYTES >> 10:,} KiB")
    return text


def _check(marked: MarkedYaml) -> None:
    """Notes what is wrong with the YAML of a report."""
    for pointer, message in schema_defects(_SCHEMA, marked.data, (), written=marked.written):
        marked.defect(pointer, message)
    if marked.defects:
        return
    columns = marked.data["columns"]
    for name in (EVENT_IDS, EXCLUDED):
        if name in columns:
            marked.defect(("columns", name), f"{name} is a column of every report's SQL, and not shown: remove it here")
    for at, name in enumerate(marked.data.get("group", ())):
        if name not in columns:
            marked.defect(("group", at), f"{name!r} is none of the columns{did_you_mean(name, columns)}")
    timeline = marked.data.get("timeline")
    if timeline is not None and timeline not in columns:
        marked.defect(("timeline",), f"{timeline!r} is none of the columns{did_you_mean(timeline, columns)}")


def _line(text: str) -> str:
    """Returns a text in one line: folded lines of YAML are one sentence."""
    return visible(" ".join(text.split()))
