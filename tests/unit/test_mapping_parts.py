"""What recurs in documents is looked up, and yet each document is its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes import record
from ualpipe.transforms._conversions import load_conversions
from ualpipe.transforms._ecs_fields import load_ecs
from ualpipe.transforms._mapping import Family
from ualpipe.transforms._mapping_code import compile_family
from ualpipe.transforms._mapping_file import read_tables
from ualpipe.transforms._mapping_layers import assemble
from ualpipe.transforms._mapping_parts import divide
from ualpipe.transforms._mapping_run import run
from ualpipe.transforms._originals import make_originals, shipped_shapes
from ualpipe.transforms.ecs import EcsTransformConfig, load_mapping

Read = Callable[[str], Family]

ORIGINALS = make_originals(shipped_shapes())


@pytest.fixture
def family(tmp_path: Path) -> Read:
    """Reads rows, and operations where there are some."""

    def read(rows: str) -> Family:
        path = tmp_path / "rows.yaml"
        path.write_text(f"title: rows\n{rows}", encoding="utf-8")
        return assemble(read_tables([path], load_ecs(), load_conversions()), []).other

    return read


def homes(family: Family) -> dict[str, list[str]]:
    """Returns what each part fills, by its first field; what runs for each record under an empty name."""
    parts, rest = divide(family)
    found = {part.fields[0] if part.fields else "constants": sorted(part.filled) for part in parts}
    return found | {"": sorted({field for row in rest.rows for field in row.fields})}


def test_rows_about_operation_person_and_address_are_parts_and_others_are_not(family: Read) -> None:
    found = homes(
        family("""rows:
  - {to: event.kind, value: event}
  - {to: event.action, from: Operation}
  - {to: event.outcome, as: outcome}
  - {to: event.id, from: Id}
  - {to: user, from: UserId, as: identity}
  - {to: source, from: [ClientIP, ActorIpAddress], as: address}
  - {to: network.type, from: ecs:source.ip, as: network_type}
  - {to: file.path, as: file_path}
operations:
  - {category: file, type: access, names: [Read*]}
""")
    )
    assert found == {
        "Operation": ["event.action", "event.category", "event.kind", "event.outcome", "event.type"],
        "UserId": ["user.domain", "user.email", "user.id", "user.name"],
        "ClientIP": ["network.type", "source.address", "source.domain", "source.ip", "source.port"],
        "": ["event.id", "file.path"],
    }


@pytest.mark.parametrize(
    "rows",
    [
        "{to: user.id, from: Id}, {to: user, from: UserId, as: identity}",
        "{to: user, from: Id, as: identity}, {to: user.name, value: x}, {to: user, from: UserId, as: identity}",
        "{to: user, from: UserId, as: identity}, {to: user, from: Id, as: identity}",
        "{to: related.user, from: Id}, {to: related.user, from: UserId}",
        "{to: event.reason, from: UserId, when: {Id|exists: true}}",
        "{to: event.reason, from: [UserId, Id]}",
        "{to: event.reason, from: UserId.Name}",
        "{to: event.reason, from: 'UserId[]'}",
        "{to: event.id, from: Id}, {to: event.reason, from: ecs:event.id}",
        "{to: file.path, as: file_path, when: {UserId|exists: true}}",
    ],
)
def test_a_row_with_which_another_record_could_interfere_runs_for_each_record(family: Read, rows: str) -> None:
    found = family("rows: [" + rows + "]")
    assert "UserId" not in homes(found)
    originals = {"UserId": "alice@contoso.com", "Id": "bob@contoso.com"}
    assert compile_family(found)(originals) == run(found, originals)


def test_operations_run_for_each_record_where_rows_of_the_record_say_the_category(family: Read) -> None:
    found = family("rows: [{to: event.category, from: Id}]\noperations: [{category: file, type: access, names: [Read]}]")
    assert homes(found) == {"": ["event.category"]}
    for originals in ({"Operation": "Read"}, {"Operation": "Read", "Id": "x"}):
        assert compile_family(found)(originals) == run(found, originals)


def test_a_boolean_is_not_taken_for_the_number_that_equals_it(family: Read) -> None:
    found = family("rows: [{to: event.outcome, as: outcome}, {to: event.action, from: Operation, as: keyword}]")
    mapper = compile_family(found)
    for _again in range(2):
        for odd in (True, 1, 1.0, False, 0, None, ["x"], {"a": 1}):
            for originals in ({"Operation": "Read", "IsSuccess": odd}, {"Operation": odd, "ResultStatus": odd}):
                assert mapper(originals) == run(found, originals)


def test_documents_of_records_that_are_alike_share_nothing_that_can_be_changed() -> None:
    tables = load_mapping(EcsTransformConfig())
    originals = ORIGINALS(record(1, RecordType=6, Operation="FileAccessed", ClientIP="203.0.113.7", UserType=2))
    mapper = compile_family(tables.families["6"])
    first = mapper(originals)
    expected = copy.deepcopy(first)
    spoil(first)
    assert mapper(originals) == expected


def spoil(node: Any) -> None:
    """Changes each object and list of a document."""
    for inner in list(node.values() if isinstance(node, dict) else node):
        if isinstance(inner, dict | list):
            spoil(inner)
    node.clear()
    if isinstance(node, dict):
        node["spoiled"] = True
    else:
        node.append("spoiled")


def test_what_is_too_long_to_be_remembered_is_mapped_all_the_same(family: Read) -> None:
    found = family("rows: [{to: user, from: UserId, as: identity}]")
    originals = {"UserId": "a" * 300 + "@contoso.com"}
    mapper = compile_family(found)
    assert mapper(originals) == mapper(originals) == run(found, originals)
