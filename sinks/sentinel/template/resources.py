"""The resources of a deployment, which the ARM template and the Bicep file both write: tables, rule, role assignment.

Source: Azure Monitor, "Logs Ingestion API" (a rule of kind Direct brings its own endpoint), "Tables - Create Or Update".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ualpipe.sinks.sentinel.tables import ProfileName, Table, tables_of

PUBLISHER_ROLE = "3913510d-42f4-4e42-8a64-420c390055eb"
"""Monitoring Metrics Publisher, the same in every tenant."""
PARAMETERS = {
    "workspaceName": "Name of the Log Analytics workspace, which stands in the resource group of the deployment.",
    "principalId": "Object id of the app's enterprise application (its service principal), not of the app registration.",
    "location": "Region of the workspace.",
    "ruleName": "Name of the data collection rule.",
}
"""What a deployment asks for; the last two have defaults."""
TABLE_TYPE, RULE_TYPE = "Microsoft.OperationalInsights/workspaces/tables", "Microsoft.Insights/dataCollectionRules"
ROLE_TYPE, WORKSPACE_TYPE = "Microsoft.Authorization/roleAssignments", "Microsoft.OperationalInsights/workspaces"
API_VERSIONS = {TABLE_TYPE: "2022-10-01", WORKSPACE_TYPE: "2022-10-01", RULE_TYPE: "2023-03-11", ROLE_TYPE: "2022-04-01"}
DESTINATION = "workspace"


@dataclass(frozen=True, slots=True)
class Expression:
    """What is worked out at the deployment, in both languages.

    Attributes:
        arm: With its brackets.
        bicep: Without quotation marks around it.
    """

    arm: str
    bicep: str


LOCATION = Expression("[parameters('location')]", "location")
WORKSPACE = Expression(f"[resourceId('{WORKSPACE_TYPE}', parameters('workspaceName'))]", "workspace.id")
PRINCIPAL = Expression("[parameters('principalId')]", "principalId")
ROLE = Expression(
    f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{PUBLISHER_ROLE}')]",
    f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{PUBLISHER_ROLE}')",
)


def rule_name(profile: ProfileName) -> str:
    """Returns the default name of the rule; one of kind Direct has at most 30 characters."""
    return f"ualpipe-{profile.replace('_', '-')}"


def custom_tables(profile: ProfileName) -> list[Table]:
    """Returns the tables that have to be made: Microsoft's are there."""
    return [table for table in tables_of(profile).values() if table.is_custom]


def table_properties(table: Table) -> dict[str, Any]:
    """Returns the properties of a table that is made."""
    types = {"datetime": "dateTime"}  # as the API of tables writes it
    columns = [{"name": column.name, "type": types.get(column.type, column.type)} for column in table.columns]
    return {"plan": "Analytics", "schema": {"name": table.name, "columns": columns}}


def rule_properties(profile: ProfileName) -> dict[str, Any]:
    """Returns the properties of the rule: rows have their final columns already, and pass as they are."""
    tables = tables_of(profile).values()
    return {
        "streamDeclarations": {
            table.stream: {"columns": [{"name": column.name, "type": column.type} for column in table.columns]}
            for table in tables
        },
        "destinations": {"logAnalytics": [{"workspaceResourceId": WORKSPACE, "name": DESTINATION}]},
        "dataFlows": [
            {
                "streams": [table.stream],
                "destinations": [DESTINATION],
                "transformKql": "source",
                "outputStream": table.output_stream,
            }
            for table in tables
        ],
    }


def role_properties() -> dict[str, Any]:
    """Returns the properties of the role assignment."""
    return {"roleDefinitionId": ROLE, "principalId": PRINCIPAL, "principalType": "ServicePrincipal"}
