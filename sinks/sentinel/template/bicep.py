"""Writes the deployment as a Bicep file."""

from __future__ import annotations

from typing import Any

from ualpipe.sinks.sentinel.tables import ProfileName, Table
from ualpipe.sinks.sentinel.template.resources import (
    API_VERSIONS,
    LOCATION,
    PARAMETERS,
    PUBLISHER_ROLE,
    ROLE_TYPE,
    RULE_TYPE,
    TABLE_TYPE,
    WORKSPACE_TYPE,
    Expression,
    custom_tables,
    role_properties,
    rule_name,
    rule_properties,
    table_properties,
)

_INDENT = "  "


def template(profile: ProfileName) -> str:
    """Returns the Bicep file of a profile."""
    blocks = [_parameters(profile), _workspace(), *map(_table, custom_tables(profile)), _rule(profile), _role(), _outputs()]
    return "\n\n".join(blocks) + "\n"


def literal(value: Any, indent: str = "") -> str:
    """Returns a value as Bicep writes it: a line each for the members of objects and lists."""
    if isinstance(value, Expression):
        return value.bicep
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${") + "'"
    inner = indent + _INDENT
    if isinstance(value, dict):
        lines = [f"{inner}{_key(name)}: {literal(member, inner)}" for name, member in value.items()]
        return "\n".join(["{", *lines, f"{indent}}}"])
    return "\n".join(["[", *(f"{inner}{literal(item, inner)}" for item in value), f"{indent}]"])


def _key(name: str) -> str:
    return name if name.isidentifier() else literal(name)


def _parameters(profile: ProfileName) -> str:
    defaults = {"location": "resourceGroup().location", "ruleName": literal(rule_name(profile))}
    lines: list[str] = []
    for name, description in PARAMETERS.items():
        default = f" = {defaults[name]}" if name in defaults else ""
        lines += [f"@description({literal(description)})", f"param {name} string{default}"]
    return "\n".join(lines)


def _workspace() -> str:
    return f"resource workspace '{WORKSPACE_TYPE}@{API_VERSIONS[WORKSPACE_TYPE]}' existing = {{\n{_INDENT}name: workspaceName\n}}"


def _table(table: Table) -> str:
    body = {"parent": Expression("", "workspace"), "name": table.name, "properties": table_properties(table)}
    return f"resource {_symbol(table)} '{TABLE_TYPE}@{API_VERSIONS[TABLE_TYPE]}' = {literal(body)}"


def _symbol(table: Table) -> str:
    return f"table{table.name.replace('_', '')}"


def _rule(profile: ProfileName) -> str:
    body: dict[str, Any] = {
        "name": Expression("", "ruleName"),
        "location": LOCATION,
        "kind": "Direct",
        "properties": rule_properties(profile),
    }
    if tables := custom_tables(profile):
        body["dependsOn"] = [Expression("", _symbol(table)) for table in tables]
    return f"resource rule '{RULE_TYPE}@{API_VERSIONS[RULE_TYPE]}' = {literal(body)}"


def _role() -> str:
    body = {
        "scope": Expression("", "rule"),
        "name": Expression("", f"guid(rule.id, principalId, '{PUBLISHER_ROLE}')"),
        "properties": role_properties(),
    }
    return f"resource role '{ROLE_TYPE}@{API_VERSIONS[ROLE_TYPE]}' = {literal(body)}"


def _outputs() -> str:
    return "output endpoint string = rule.properties.endpoints.logsIngestion\noutput dcr string = rule.properties.immutableId"
