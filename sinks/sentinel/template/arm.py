"""Writes the deployment as an ARM template."""

from __future__ import annotations

import json
from typing import Any

from ualpipe.sinks.sentinel.tables import ProfileName
from ualpipe.sinks.sentinel.template.resources import (
    API_VERSIONS,
    LOCATION,
    PARAMETERS,
    PUBLISHER_ROLE,
    ROLE_TYPE,
    RULE_TYPE,
    TABLE_TYPE,
    Expression,
    custom_tables,
    role_properties,
    rule_name,
    rule_properties,
    table_properties,
)

_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_RULE_ID = f"resourceId('{RULE_TYPE}', parameters('ruleName'))"


def template(profile: ProfileName) -> str:
    """Returns the ARM template of a profile."""
    return json.dumps(document(profile), indent=2, default=_arm) + "\n"


def document(profile: ProfileName) -> dict[str, Any]:
    """Returns the template, decoded."""
    defaults = {"location": "[resourceGroup().location]", "ruleName": rule_name(profile)}
    parameters = {
        name: {
            "type": "string",
            **({"defaultValue": defaults[name]} if name in defaults else {}),
            "metadata": {"description": description},
        }
        for name, description in PARAMETERS.items()
    }
    rule = f"reference({_RULE_ID}, '{API_VERSIONS[RULE_TYPE]}')"
    return {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": parameters,
        "resources": [*_tables(profile), _rule(profile), _role()],
        "outputs": {
            "endpoint": {"type": "string", "value": f"[{rule}.endpoints.logsIngestion]"},
            "dcr": {"type": "string", "value": f"[{rule}.immutableId]"},
        },
    }


def _arm(value: Any) -> str:
    assert isinstance(value, Expression)
    return value.arm


def _tables(profile: ProfileName) -> list[dict[str, Any]]:
    return [
        {
            "type": TABLE_TYPE,
            "apiVersion": API_VERSIONS[TABLE_TYPE],
            "name": f"[concat(parameters('workspaceName'), '/{table.name}')]",
            "properties": table_properties(table),
        }
        for table in custom_tables(profile)
    ]


def _rule(profile: ProfileName) -> dict[str, Any]:
    return {
        "type": RULE_TYPE,
        "apiVersion": API_VERSIONS[RULE_TYPE],
        "name": "[parameters('ruleName')]",
        "location": LOCATION,
        "kind": "Direct",
        "dependsOn": [
            f"[resourceId('{TABLE_TYPE}', parameters('workspaceName'), '{table.name}')]" for table in custom_tables(profile)
        ],
        "properties": rule_properties(profile),
    }


def _role() -> dict[str, Any]:
    return {
        "type": ROLE_TYPE,
        "apiVersion": API_VERSIONS[ROLE_TYPE],
        "scope": f"[{_RULE_ID}]",
        "name": f"[guid({_RULE_ID}, parameters('principalId'), '{PUBLISHER_ROLE}')]",
        "dependsOn": [f"[{_RULE_ID}]"],
        "properties": role_properties(),
    }
