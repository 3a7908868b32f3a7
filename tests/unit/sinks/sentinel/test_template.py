"""Templates: ARM and Bicep have the columns of the profile, and what they make is what the sink writes to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ualpipe.pipeline.cli import main
from ualpipe.sinks.sentinel.tables import PROFILES, ProfileName, tables_of
from ualpipe.sinks.sentinel.template import template
from ualpipe.sinks.sentinel.template.arm import document
from ualpipe.sinks.sentinel.template.bicep import literal
from ualpipe.sinks.sentinel.template.kql import functions_of

_COLUMN = re.compile(r"name: '(\w+)'\n\s+type: '(\w+)'")


def arm(profile: ProfileName) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(template(profile, "arm"))
    return found


def resources(profile: ProfileName, kind: str) -> list[dict[str, Any]]:
    return [found for found in arm(profile)["resources"] if found["type"].endswith(kind)]


def declared(profile: ProfileName) -> dict[str, dict[str, str]]:
    (rule,) = resources(profile, "/dataCollectionRules")
    streams = rule["properties"]["streamDeclarations"]
    return {name: {one["name"]: one["type"] for one in stream["columns"]} for name, stream in streams.items()}


def bicep_blocks(profile: ProfileName) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields each table and stream of the Bicep file with its columns."""
    text = template(profile, "bicep")
    for head in re.finditer(r"(?:name: |    )'([\w-]+)'(?:\n\s+columns: \[|: \{\n\s+columns: \[)", text):
        body = text[head.end() : text.index("]", head.end())]
        yield head[1], _COLUMN.findall(body)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_rule_declares_the_columns_of_the_profile(profile: ProfileName) -> None:
    wanted = {table.stream: {one.name: one.type for one in table.columns} for table in tables_of(profile).values()}
    assert declared(profile) == wanted


@pytest.mark.parametrize("profile", PROFILES)
def test_a_table_that_is_made_has_the_columns_of_its_stream(profile: ProfileName) -> None:
    made = {
        found["properties"]["schema"]["name"]: found["properties"]["schema"]["columns"] for found in resources(profile, "tables")
    }
    assert set(made) == {table.name for table in tables_of(profile).values() if table.name.endswith("_CL")}
    for name, columns in made.items():
        assert {one["name"]: one["type"].lower() for one in columns} == declared(profile)[f"Custom-{name}"]


@pytest.mark.parametrize("profile", PROFILES)
def test_bicep_has_the_same_columns_in_the_same_order(profile: ProfileName) -> None:
    found = dict(bicep_blocks(profile))
    wanted = {name: list(columns.items()) for name, columns in declared(profile).items()}
    assert {name: found[name] for name in wanted} == wanted
    for table in resources(profile, "tables"):
        schema = table["properties"]["schema"]
        assert found[schema["name"]] == [(one["name"], one["type"]) for one in schema["columns"]]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_rule_brings_its_own_endpoint_and_passes_rows_as_they_are(profile: ProfileName) -> None:
    (rule,) = resources(profile, "/dataCollectionRules")
    assert rule["kind"] == "Direct"
    assert len(arm(profile)["parameters"]["ruleName"]["defaultValue"]) <= 30
    flows = rule["properties"]["dataFlows"]
    assert {flow["transformKql"] for flow in flows} == {"source"}
    prefix = "Microsoft" if profile == "asim" else "Custom"
    assert [flow["outputStream"] for flow in flows] == [f"{prefix}-{table.name}" for table in tables_of(profile).values()]
    assert [flow["streams"] for flow in flows] == [[table.stream] for table in tables_of(profile).values()]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_role_is_given_on_the_rule_alone(profile: ProfileName) -> None:
    (role,) = resources(profile, "roleAssignments")
    assert "3913510d-42f4-4e42-8a64-420c390055eb" in role["properties"]["roleDefinitionId"]
    assert (
        role["scope"] == role["dependsOn"][0] == "[resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName'))]"
    )
    assert set(document(profile)["outputs"]) == {"endpoint", "dcr"}


def test_a_text_is_written_as_bicep_reads_it() -> None:
    assert literal("it's \\ ${x}") == "'it\\'s \\\\ \\${x}'"
    assert literal({"a-b": ["x"]}) == "{\n  'a-b': [\n    'x'\n  ]\n}"


@pytest.mark.parametrize("profile", PROFILES)
def test_functions_are_printed_with_what_they_do(profile: ProfileName) -> None:
    text = template(profile, "kql")
    for function in functions_of(profile):
        assert f"// {function.name}: " in text
        assert function.body in text
    assert "arg_max(IngestedAt, *)" in text


@pytest.mark.parametrize("form", ["arm", "bicep", "kql"])
def test_the_command_prints_what_it_is_asked_for(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sentinel", "template", "--profile", "raw", "--format", form]) == 0
    assert capsys.readouterr().out == template("raw", form)  # type: ignore[arg-type]
