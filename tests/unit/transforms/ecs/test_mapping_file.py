from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ualpipe.pipeline.errors import ConfigError
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.model import SourcePath, Step, Table
from ualpipe.transforms.ecs.mapping.reader import read_tables, shipped_files

ECS, CONVERSIONS = load_ecs(), load_conversions()


def table(folder: Path, text: str) -> Table:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return read_tables([path], ECS, CONVERSIONS)[0]


def test_row_is_read_with_its_place(tmp_path: Path) -> None:
    found = table(tmp_path, "title: mine\nrecord_types: [6, 14]\nrows:\n  - {to: file.name, from: [A, B.C], note: why}\n")
    row = found.rows[0]
    assert (found.title, found.record_types) == ("mine", frozenset({"6", "14"}))
    assert (row.to, str(row.place), row.note) == ("file.name", "own.yaml:4", "why")
    assert [source.text for source in row.sources] == ["A", "B.C"]


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("A", [Step("A")]),
        ("A.B", [Step("A"), Step("B")]),
        ("A[].B", [Step("A", each=True), Step("B")]),
        ("A[Name=x y].Value", [Step("A", each=True, only=("Name", "x y")), Step("Value")]),
    ],
)
def test_path_is_cut_into_steps(tmp_path: Path, path: str, steps: list[Step]) -> None:
    row = table(tmp_path, f'rows: [{{to: message, from: "{path}"}}]').rows[0]
    assert row.sources == (SourcePath(path, tuple(steps)),)


@pytest.mark.parametrize(
    ("to", "conversion"),
    [
        ("file.name", "keyword"),
        ("file.size", "long"),
        ("file.mtime", "date"),
        ("source.ip", "ip"),
        ("message", "text"),
        ("url.full", "keyword"),
    ],
)
def test_conversion_follows_the_type_of_the_field(tmp_path: Path, to: str, conversion: str) -> None:
    row = table(tmp_path, f"rows: [{{to: {to}, from: A}}]").rows[0]
    assert row.conversion
    assert row.conversion.name == conversion


def test_field_of_the_document_is_copied_as_it_is(tmp_path: Path) -> None:
    row = table(tmp_path, "rows: [{to: related.ip, from: ecs:source.ip}]").rows[0]
    assert row.conversion
    assert (row.conversion.name, row.reads_document, row.is_array) == ("same", True, True)


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("rows: [{to: user.nam, from: A}]", '1:9  rows[0].to: ECS has no field "user.nam" (did you mean user.name?)'),
        ("rows: [{from: A}]", "1:8  rows[0]: `to` is missing: the ECS field that the row fills"),
        ("rows: [{to: user.name, frm: A}]", "1:24  rows[0].frm: unknown key (did you mean from?)"),
        ("rows: [{to: user.name, from: A, as: lowr}]", '1:33  rows[0].as: there is no conversion "lowr" (did you mean lower?)'),
        ("rows: [{to: source.ip, from: A, as: lower}]", '1:33  rows[0].as: "lower" makes keyword, but source.ip takes ip'),
        ("rows: [{to: usr, from: A, as: identity}]", '1:9  rows[0].to: ECS has no field "usr.id"'),
        ("rows: [{to: user.name}]", "1:8  rows[0]: the row has neither `from` nor `value`: it makes nothing"),
        ("rows: [{to: user.name, as: lower}]", "1:8  rows[0]: `from` is missing: the original field that the value comes from"),
        ("rows: [{to: user.name, from: A, value: b}]", "1:33  rows[0].value: a row has either `from` or `value`"),
        ("rows: [{to: user.name, value: [a]}]", "1:24  rows[0].value: user.name takes one value, not a list"),
        ("rows: [{to: event.kind, value: alarm}]", '1:25  rows[0].value: event.kind does not take "alarm" (did you mean alert?)'),
        (
            "rows: [{to: user.name, from: [5]}]",
            "1:24  rows[0].from: a source is the name of a field, such as UserId or Item.Subject",
        ),
        (
            "rows: [{to: user.name, from: 'A[x'}]",
            '1:24  rows[0].from: "A[x" is no step of a path: write Name, Name[] or Name[Key=value]',
        ),
        ("rows: [{to: user.name, from: ecs:usr.id}]", '1:24  rows[0].from: ECS has no field "usr.id" (did you mean user.id?)'),
        ("rows: [{to: user.name, from: A, when: {B|contain: x}}]", '1:40  rows[0].when.B|contain: "contain" is none of'),
        ("rows: [{to: user.name, from: A, when: {B|exists: 5}}]", "1:40  rows[0].when.B|exists: exists takes true or false"),
        ("rows: [{to: user.name, from: A, when: x}]", "1:33  rows[0].when: a mapping is needed here"),
        ("rows: {a: b}", "1:1  rows: a list is needed here"),
        ("rows: [x]", "1:8  rows[0]: a mapping is needed here"),
        ("record_types: [six]", '1:1  record_types: record types are numbers, not "six"'),
        (
            "operations: [{category: fil, type: access, names: [A]}]",
            '1:15  operations[0].category: event.category does not take "fil"',
        ),
        (
            "operations: [{category: file, type: access, names: [A], when: {ecs:user.name: x}}]",
            "1:64  operations[0].when.ecs:user.name: operations go by the original fields alone",
        ),
        (
            "operations: [{category: file, type: start, names: [A]}]",
            '1:31  operations[0].type: event.type "start" does not go with file',
        ),
        ("operations: [{category: file, type: access}]", "1:14  operations[0].names: a list of words is needed here"),
        ("rows: [a, b]]", "1:13  not YAML"),
        ("rows: [{to: user, from: A}]", '1:9  rows[0].to: ECS has no field "user": it is an object; name a field in it'),
        ("rows: [{to: user.name, from: []}]", "1:8  rows[0]: `from` is missing"),
        ("rows: [{to: user.name, from: A, as: [lower]}]", "1:33  rows[0].as: there is no conversion"),
        ("rows: [{to: event.outcome, from: A, as: outcome}]", '1:28  rows[0].from: "outcome" looks at the whole record'),
        ("rows: [{to: email.attachments, from: A}]", "1:8  rows[0]: `as` is missing: nothing is made into nested by itself"),
        ("rows: [{to: event.severity, value: high}]", '1:29  rows[0].value: event.severity takes long, which "high" is not'),
        ("rows: [{to: event.severity, value: '5'}]", 'event.severity takes long, which "5" is not; write 5'),
        ("rows: [{to: labels.tier, value: 5}]", 'labels.tier takes keyword, which 5 is not; write "5"'),
        ("rows: [{to: source.ip, value: 203.0.113.300}]", 'source.ip takes ip, which "203.0.113.300" is not'),
        ("rows: [{to: event.kind, value: {a: b}}]", "event.kind takes keyword"),
        ("rows: [{to: user.name, from: A, replaces: yep}]", "1:33  rows[0].replaces: true or false is needed here"),
        ("rows: [{to: user.name, from: A, note: [a]}]", "1:33  rows[0].note: text is needed here"),
        ("title: {a: b}", "1:1  title: text is needed here"),
        ("record_types: []", "1:1  record_types: an empty list means no record at all"),
        (
            "rows: [{to: user.name, from: A, when: {B: null}}]",
            "1:40  rows[0].when.B: a word, or a list of words, is needed here (for",
        ),
        (
            "rows: [{to: user.name, from: A, when: {B: []}}]",
            "1:40  rows[0].when.B: a word, or a list of words, is needed here (for",
        ),
        (
            "rows: [{to: user.name, from: A, when: {B: {c: d}}}]",
            "1:40  rows[0].when.B: a word, or a list of words, is needed here",
        ),
    ],
)
def test_mistake_is_named_with_its_place(tmp_path: Path, line: str, finding: str) -> None:
    with pytest.raises(ConfigError) as error:
        table(tmp_path, line)
    assert finding in str(error.value)
    assert f"{tmp_path / 'own.yaml'}:1:" in str(error.value)


def test_all_mistakes_of_all_files_are_found_in_one_run(tmp_path: Path) -> None:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text("rows:\n  - {to: x.y, from: A}\n  - {to: z, from: A}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_tables(paths, ECS, CONVERSIONS)
    places = [line.split("  ")[0] for line in str(error.value).splitlines()]
    assert places == [f"{path}:{line}:6" for path in paths for line in (2, 3)]


def test_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't read"):
        read_tables([tmp_path / "nowhere.yaml"], ECS, CONVERSIONS)


def test_empty_file_is_an_empty_table(tmp_path: Path) -> None:
    assert table(tmp_path, "").rows == ()


def test_shipped_files_are_right() -> None:
    tables = read_tables(shipped_files(), ECS, CONVERSIONS)
    assert [found.name for found in tables if found.record_types is None] == ["common.yaml"]
    assert all(found.title for found in tables)


def test_no_record_type_stands_in_two_shipped_files() -> None:
    kinds = [kind for found in read_tables(shipped_files(), ECS, CONVERSIONS) for kind in found.record_types or ()]
    assert len(kinds) == len(set(kinds))


def test_files_that_are_not_there_are_named_beside_mistakes_of_others(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("rows: [{to: x.y, from: A}]", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_tables([tmp_path / "none.yaml", bad, tmp_path], ECS, CONVERSIONS)
    assert [line.split("  ")[0] for line in str(error.value).splitlines()] == [
        f"{tmp_path}/none.yaml: can't read the mapping file: No such file or directory",
        f"{tmp_path}: can't read the mapping file: Is a directory",
        f"{bad}:1:9",
    ]


WORDS = st.sampled_from(
    ["user.name", "event.category", "event.type", "lower", "identity", "A", "A[].B", "ecs:user.name", "labels.x", "user", "",
     "A[", "outcome", "email.attachments", "event.severity", "file", "access", "A*"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(
    st.sampled_from(["to", "from", "as", "value", "when", "replaces", "note", "x"]), WORDS | VALUES, max_size=5
)
CLASSES = st.dictionaries(st.sampled_from(["category", "type", "names"]), WORDS | VALUES)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "title": VALUES,
        "record_types": VALUES,
        "rows": st.lists(ROWS | VALUES, max_size=3) | VALUES,
        "operations": st.lists(CLASSES | VALUES, max_size=2) | VALUES,
    },
)


@settings(max_examples=150, deadline=None)
@given(content=FILES | VALUES)
def test_any_file_is_either_read_or_refused_with_places(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        (found,) = read_tables([path], ECS, CONVERSIONS)
    except ConfigError as exc:
        assert all(line.startswith(f"{path}:") for line in str(exc).splitlines())  # noqa: PT017 - both ends are fine
    else:
        assert found.name == "any.yaml"
