"""What rows mean, held by both the runner and the generated function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.fields import load_ecs
from ualpipe.transforms.ecs.mapping.compiler import compile_family, source_of
from ualpipe.transforms.ecs.mapping.interpreter import RowResult, run
from ualpipe.transforms.ecs.mapping.layers import MappingTables, assemble
from ualpipe.transforms.ecs.mapping.reader import read_tables

ECS, CONVERSIONS = load_ecs(), load_conversions()
Record = dict[str, Any]
Map = Callable[..., Record]


def tables(folder: Path, shipped: str, *own: str) -> MappingTables:
    paths = []
    for index, text in enumerate([shipped, *own]):
        path = folder / f"{index}.yaml"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return assemble(read_tables(paths[1:], ECS, CONVERSIONS), read_tables(paths[:1], ECS, CONVERSIONS))


@pytest.fixture
def mapped(tmp_path: Path) -> Map:
    def map_by(originals: Record, shipped: str, *own: str) -> Record:
        made = tables(tmp_path, shipped, *own)
        family = made.families.get(originals.get("RecordType", ""), made.other)
        document = compile_family(family)(originals)
        assert run(family, originals) == document
        return document

    return map_by


def rows(*lines: str) -> str:
    return "rows:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


def test_first_source_that_is_there_is_taken(mapped: Map) -> None:
    text = rows("to: user.name, from: [A, B, C]")
    assert mapped({"B": "b", "C": "c"}, text) == {"user": {"name": "b"}}


def test_source_that_is_there_but_can_not_be_converted_is_not_replaced(mapped: Map) -> None:
    text = rows("to: source.ip, from: [A, B]")
    assert mapped({"A": "no address", "B": "203.0.113.7"}, text) == {}


def test_first_row_that_makes_a_value_wins(mapped: Map) -> None:
    text = rows("to: source.ip, from: A", "to: source.ip, from: B", "to: source.ip, from: C")
    assert mapped({"A": "no address", "B": "203.0.113.7", "C": "203.0.113.8"}, text) == {"source": {"ip": "203.0.113.7"}}


def test_rows_for_a_list_add_up_and_nothing_stands_twice(mapped: Map) -> None:
    text = rows("to: related.user, from: A", "to: related.user, from: B", "to: related.user, value: [c, a]")
    assert mapped({"A": "a", "B": ["b", "a", "b"]}, text) == {"related": {"user": ["a", "b", "c"]}}


def test_list_becomes_one_value_only_where_there_is_one(mapped: Map) -> None:
    text = rows("to: user.name, from: A", "to: file.name, from: B")
    assert mapped({"A": ["x", "x"], "B": ["x", "y"]}, text) == {"user": {"name": "x"}}


def test_paths_run_through_objects_and_lists(mapped: Map) -> None:
    text = rows(
        "to: user.name, from: A.B",
        'to: related.user, from: "L[].M[].N"',
        'to: file.name, from: "P[Name=x].Value"',
        'to: rule.name, from: "A[].B"',
    )
    record = {
        "A": {"B": "b"},
        "L": [{"M": [{"N": "1"}, {"N": "2"}]}, {"M": {"N": "3"}}, "x", {"M": 5}],
        "P": [{"Name": "y", "Value": "no"}, {"Name": "x", "Value": "yes"}],
    }
    expected = {"user": {"name": "b"}, "related": {"user": ["1", "2", "3"]}, "file": {"name": "yes"}, "rule": {"name": "b"}}
    assert mapped(record, text) == expected


def test_parts_fill_what_is_still_free(mapped: Map) -> None:
    text = rows("to: user.id, from: A", "to: user, from: B, as: identity")
    expected = {"user": {"id": "a", "name": "sana", "email": "sana@contoso.com", "domain": "contoso.com"}}
    assert mapped({"A": "a", "B": "sana@contoso.com"}, text) == expected


def test_only_the_first_row_that_makes_parts_counts(mapped: Map) -> None:
    text = rows("to: user, from: A, as: addressed", "to: user, from: B, as: addressed", "to: user, from: C, as: identity")
    record = {"A": "no address", "B": "sana@contoso.com", "C": "kofi@contoso.com"}
    assert mapped(record, text) == {"user": {"name": "sana", "email": "sana@contoso.com", "domain": "contoso.com"}}


def test_parts_of_one_value_can_stand_in_two_places(mapped: Map) -> None:
    text = rows("to: source, from: A, as: address", "to: client, from: A, as: address")
    document = mapped({"A": "203.0.113.7"}, text)
    assert document == {
        "source": {"address": "203.0.113.7", "ip": "203.0.113.7"},
        "client": {"address": "203.0.113.7", "ip": "203.0.113.7"},
    }
    assert document["source"] is not document["client"]


def test_documents_do_not_share_what_they_hold(mapped: Map, tmp_path: Path) -> None:
    text = (
        rows("to: tags, value: [a]", "to: user, from: A, as: identity")
        + "operations: [{category: file, type: access, names: [Op]}]"
    )
    mapper = compile_family(tables(tmp_path, text).other)
    first, second = (mapper({"A": "sana@contoso.com", "Operation": "Op"}) for _ in range(2))
    first["tags"].append("b")
    first["user"]["name"] = "x"
    first["event"]["category"].append("x")
    assert second["tags"] == ["a"]
    assert second["user"]["name"] == "sana"
    assert second["event"]["category"] == ["file"]


def test_rows_that_read_the_document_come_last(mapped: Map) -> None:
    text = rows("to: related.ip, from: ecs:source.ip", "to: source, from: A, as: address", "to: related.ip, from: ecs:host.ip")
    assert mapped({"A": "203.0.113.7"}, text)["related"] == {"ip": ["203.0.113.7"]}


@pytest.mark.parametrize(
    ("condition", "record", "holds"),
    [
        ("B: x", {"B": "X"}, True),
        ("B: x", {"B": "xy"}, False),
        ("B: x", {}, False),
        ("B: [x, y]", {"B": "y"}, True),
        ("B: 5", {"B": 5}, True),
        ("B: true", {"B": True}, True),
        ("B: x", {"B": ["a", "x"]}, True),
        ("B: x", {"B": {"x": 1}}, False),
        ("B|contains: x", {"B": "aXb"}, True),
        ("B|startswith: [a, b]", {"B": "Bx"}, True),
        ("B|endswith: x", {"B": "ax"}, True),
        ("B|endswith: x", {"B": "xa"}, False),
        ("B|exists: true", {"B": False}, True),
        ("B|exists: true", {}, False),
        ("B|exists: false", {}, True),
        ("B.C: x", {"B": {"C": "x"}}, True),
        ("B: x, C: y", {"B": "x", "C": "y"}, True),
        ("B: x, C: y", {"B": "x"}, False),
        ("ecs:event.kind: event", {}, True),
    ],
)
def test_conditions_decide_whether_a_row_counts(mapped: Map, condition: str, record: Record, holds: bool) -> None:
    text = rows(
        "to: event.kind, value: event",
        f"to: user.name, value: made, when: {{{condition}}}",
        f"to: tags, from: A, when: {{{condition}}}",
    )
    document = mapped({"A": "a", **record}, text)
    assert document.get("user") == ({"name": "made"} if holds else None)
    assert document.get("tags") == (["a"] if holds else None)


OPERATIONS = """
operations:
  - {category: file, type: [access], names: [FileRead]}
  - {category: [iam], type: [group, change], names: ["Add * to group", "*Member*"]}
  - {category: iam, type: creation, names: ["Add member to group"]}
"""


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("FileRead", {"category": ["file"], "type": ["access"]}),
        ("fileread", {"category": ["file"], "type": ["access"]}),
        ("Add owner to group.", {"category": ["iam"], "type": ["group", "change"]}),
        ("Add member to group. ", {"category": ["iam"], "type": ["creation"]}),
        ("NewMemberSeen", {"category": ["iam"], "type": ["group", "change"]}),
        ("FileReadTwice", None),
        (["FileRead"], None),
    ],
)
def test_operation_is_classed_by_name_before_pattern(mapped: Map, operation: Any, expected: Record | None) -> None:
    assert mapped({"Operation": operation}, OPERATIONS).get("event") == expected


def test_category_of_a_row_outweighs_the_operation(mapped: Map) -> None:
    text = rows("to: event.category, value: [email], when: {A: x}") + OPERATIONS
    assert mapped({"Operation": "FileRead", "A": "x"}, text)["event"] == {"category": ["email"]}
    assert mapped({"Operation": "FileRead"}, text)["event"] == {"category": ["file"], "type": ["access"]}


def test_own_rows_of_lists_add_to_the_operation(mapped: Map) -> None:
    shipped = rows("to: event.category, value: [email], when: {A: x}") + OPERATIONS
    own = rows("to: event.category, value: [web]", "to: event.type, value: [info], when: {B: y}")
    assert mapped({"Operation": "FileRead"}, shipped, own)["event"] == {"category": ["file", "web"], "type": ["access"]}
    assert mapped({"Operation": "FileRead", "A": "x"}, shipped, own)["event"] == {"category": ["email", "web"]}
    assert mapped({"Operation": "FileRead", "B": "y"}, shipped, own)["event"]["type"] == ["access", "info"]
    assert mapped({"Operation": "Other"}, shipped, own)["event"] == {"category": ["web"]}


def test_own_rows_can_replace_what_the_operation_says(mapped: Map) -> None:
    own = rows("to: event.category, value: [web], when: {A: x}, replaces: true")
    assert mapped({"Operation": "FileRead", "A": "x"}, OPERATIONS, own)["event"] == {"category": ["web"], "type": ["access"]}
    assert mapped({"Operation": "FileRead"}, OPERATIONS, own)["event"] == {"type": ["access"]}
    both = rows("to: event.category, replaces: true", "to: event.type, replaces: true")
    assert mapped({"Operation": "FileRead"}, OPERATIONS, both) == {}


CONDITIONAL = """
operations:
  - {category: iam, type: [user, change], names: ["*"], when: {"T[].ID": User}}
  - {category: configuration, type: change, names: ["*"], when: {Flag|exists: true}}
"""


def test_operations_may_have_conditions(mapped: Map) -> None:
    shipped = "rows: []" + CONDITIONAL
    assert mapped({"Operation": "X", "T": [{"ID": "User"}]}, shipped)["event"]["category"] == ["iam"]
    assert mapped({"Operation": "X", "T": [{"ID": "Y"}], "Flag": 1}, shipped)["event"]["category"] == ["configuration"]
    assert mapped({"Operation": "X"}, shipped) == {}


def test_of_several_sources_the_first_address_counts(mapped: Map) -> None:
    shipped = rows("to: source, from: [A, B, C], as: address", "to: client, from: [A, B, C], as: address")
    found = mapped({"A": "CLIENT7 (10.900.1.1)", "B": ["x", "y"], "C": "203.0.113.9:443"}, shipped)["source"]
    assert found == {"address": "203.0.113.9", "ip": "203.0.113.9", "port": 443}
    assert mapped({"A": "CLIENT7", "C": "host"}, shipped)["client"] == {"address": "CLIENT7", "domain": "CLIENT7"}
    assert mapped({"A": "<null>", "C": "host"}, shipped)["client"] == {"address": "host", "domain": "host"}
    assert mapped({"A": 5, "B": "Not Available"}, shipped) == {}


def test_own_rows_come_first_and_the_last_file_is_the_strongest(mapped: Map) -> None:
    shipped = rows("to: user.name, value: ours", "to: tags, value: [ours]", "to: file.name, value: ours")
    first = rows("to: user.name, value: first", "to: tags, value: [first]")
    last = rows("to: user.name, from: Missing", "to: tags, value: [last]")
    document = mapped({}, shipped, first, last)
    assert document == {"user": {"name": "first"}, "tags": ["last", "first", "ours"], "file": {"name": "ours"}}


def test_own_row_can_replace_ours(mapped: Map) -> None:
    shipped = rows("to: tags, value: [ours]", "to: user, from: A, as: identity", "to: file.name, from: A")
    own = rows("to: tags, value: [mine], replaces: true", "to: file.name, replaces: true")
    assert mapped({"A": "S-1-5-18"}, shipped, own) == {"tags": ["mine"], "user": {"id": "S-1-5-18"}}


def test_own_row_replaces_only_its_part_of_a_conversion_of_several(mapped: Map) -> None:
    shipped = rows("to: user, from: A, as: identity", "to: source, from: B, as: address", "to: url, as: url, from: B")
    own = rows("to: user.name, value: x, when: {A: nobody}, replaces: true", "to: source.ip, replaces: true")
    identity = {"id": "sana@contoso.com", "email": "sana@contoso.com", "domain": "contoso.com"}
    found = mapped({"A": "sana@contoso.com", "B": "203.0.113.7"}, shipped, own)
    assert found == {"user": identity, "source": {"address": "203.0.113.7"}}


def test_conversion_goes_when_all_its_parts_are_replaced(mapped: Map) -> None:
    shipped = rows("to: user, from: A, as: addressed")
    own = rows("to: user, from: B, as: identity, replaces: true")
    assert mapped({"A": "sana@contoso.com"}, shipped, own) == {}


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ("to: user, as: identity, from: A", {"A": "kofi@contoso.com"}),
        ("to: user, as: mailbox_owner", {"MailboxOwnerUPN": "kofi@contoso.com"}),
        ("to: user, as: target_user, from: A", {"A": [{"ID": "User", "Type": "2"}, {"ID": "kofi@contoso.com", "Type": "5"}]}),
    ],
)
def test_part_is_replaced_in_each_kind_of_conversion(mapped: Map, row: str, record: Record) -> None:
    whole, narrowed = mapped(record, rows(row)), mapped(record, rows(row), rows("to: user.email, replaces: true"))
    assert whole["user"].pop("email") == "kofi@contoso.com"
    assert narrowed == whole


def test_own_rows_for_a_record_type_leave_others_alone(mapped: Map) -> None:
    shipped = rows("to: user.name, value: ours")
    own = "record_types: [6]\n" + rows("to: user.name, value: mine")
    assert mapped({"RecordType": "6"}, shipped, own) == {"user": {"name": "mine"}}
    assert mapped({"RecordType": "7"}, shipped, own) == {"user": {"name": "ours"}}


def test_own_operations_come_first(mapped: Map) -> None:
    own = "operations: [{category: web, type: info, names: ['File*']}]"
    assert mapped({"Operation": "FileRead"}, OPERATIONS, own)["event"]["category"] == ["web"]


def tried(folder: Path, text: str, originals: Record) -> list[RowResult]:
    found: list[RowResult] = []
    run(tables(folder, text).other, originals, found.append)
    return found


def test_runner_tells_which_row_made_which_field(tmp_path: Path) -> None:
    text = rows("to: user.name, from: [A, B]", "to: source, from: C, as: address") + OPERATIONS
    found = tried(tmp_path, text, {"B": "b", "C": "host", "Operation": "FileRead"})
    told = [(one.made, str(one.by.place), one.source.text if one.source else "", one.read) for one in found]
    assert told == [
        ({"user.name": "b"}, "0.yaml:2", "B", "b"),
        ({"source.address": "host", "source.domain": "host"}, "0.yaml:3", "C", "host"),
        ({"event.category": ["file"], "event.type": ["access"]}, "0.yaml:6", "", None),
    ]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("to: file.name, from: A", "made"),
        ("to: file.name, value: x", "made"),
        ("to: file.name, from: Missing", "absent"),
        ("to: source.ip, from: A", "unfit"),
        ("to: user, as: mailbox_owner", "unfit"),
        ("to: file.name, from: A, when: {B: x}", "condition"),
        ("to: user.name, from: A", "taken"),
        ("to: user, from: A, as: addressed", "taken"),
        ("to: related.user, from: A", "known"),
        ("to: related.user, from: B", "made"),
    ],
)
def test_runner_tells_what_became_of_each_row(tmp_path: Path, line: str, result: str) -> None:
    before = ("to: user, from: A, as: identity", "to: related.user, from: A")
    found = tried(tmp_path, rows(*before, line), {"A": "sana@contoso.com", "B": "kofi"})
    assert [one.result for one in found] == ["made", "made", result]


def test_runner_tells_what_a_stronger_row_has_taken(tmp_path: Path) -> None:
    text = rows("to: user.name, value: x", "to: user, from: A, as: identity")
    second = tried(tmp_path, text, {"A": "sana@contoso.com"})[1]
    assert (second.result, second.taken) == ("made", ("user.name",))
    assert second.made == {"user.id": "sana@contoso.com", "user.email": "sana@contoso.com", "user.domain": "contoso.com"}


def test_runner_tells_which_condition_failed_and_on_what(tmp_path: Path) -> None:
    (only,) = tried(tmp_path, rows("to: user.name, value: x, when: {A: a, B: b}"), {"A": "a", "B": "c"})
    assert only.failed is not None
    assert (only.failed.text, only.read) == ("B: b", "c")


def test_what_was_told_of_a_list_stays_when_others_add_to_it(tmp_path: Path) -> None:
    text = rows("to: related.user, from: A", "to: event.type, from: ecs:related.user") + OPERATIONS
    found = tried(tmp_path, text, {"A": ["a", "b"], "Operation": "FileRead"})
    assert [one.made.get("event.type") for one in found] == [None, ["access"], ["a", "b"]]


def test_names_in_tables_never_become_code(mapped: Map, tmp_path: Path) -> None:
    name = "A') = 1; raise SystemExit  #"
    text = f'rows: [{{to: user.name, from: "{name}"}}, {{to: file.name, value: "{name}"}}]'
    assert mapped({name: "a"}, text) == {"user": {"name": "a"}, "file": {"name": name}}
    assert repr(name) in source_of(tables(tmp_path, text).other)
