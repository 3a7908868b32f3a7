"""The tables that ship: what they say, and that they fit ECS, detection rules and the index template."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ualpipe.pipeline.options import build
from ualpipe.schemas import read_csv, read_json
from ualpipe.transforms.ecs.fields import Ecs, load_ecs
from ualpipe.transforms.ecs.index_template import index_template, indexed_shapes
from ualpipe.transforms.ecs.mapping.layers import MappingTables
from ualpipe.transforms.ecs.mapping.model import Family
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.tables import load_mapping

SHAPES = {row["field"]: row["shape"] for row in read_csv("ecs/originals.csv")}


@functools.cache
def tables() -> MappingTables:
    found: MappingTables = load_mapping(build(EcsTransformConfig, {}, Path()))
    return found


@functools.cache
def ecs() -> Ecs:
    return load_ecs()


def family(kind: int) -> Family:
    return tables().families.get(str(kind), tables().other)


@pytest.mark.parametrize(
    ("kind", "operation", "category", "type_"),
    [
        (8, "Add user.", ["iam"], ["user", "creation"]),
        (8, "Update user.", ["iam"], ["user", "change"]),
        (8, "Delete user.", ["iam"], ["user", "deletion"]),
        (8, "Add member to role.", ["iam"], ["admin", "change"]),
        (8, "Add owner to group.", ["iam"], ["group", "change"]),
        (8, "Update application \N{EN DASH} Certificates and secrets management ", ["iam"], ["change"]),
        (8, "Consent to application.", ["iam"], ["change"]),
        (8, "Set federation settings on domain.", ["configuration"], ["change"]),
        (15, "UserLoggedIn", ["authentication"], ["start"]),
        (1, "New-InboxRule", ["configuration"], ["creation"]),
        (1, "Set-Mailbox", ["configuration"], ["change"]),
        (1, "Remove-TransportRule", ["configuration"], ["deletion"]),
        (18, "Get-DlpCompliancePolicy", ["configuration"], ["access"]),
        (1, "Add-MailboxPermission", ["iam", "configuration"], ["user", "change"]),
        (1, "New-ManagementRoleAssignment", ["iam", "configuration"], ["admin", "creation"]),
        (2, "Create", ["email", "file"], ["info", "creation"]),
        (3, "HardDelete", ["email", "file"], ["info", "deletion"]),
        (50, "MailItemsAccessed", ["email", "file"], ["info", "access"]),
        (2, "SendAs", ["email"], ["info"]),
        (6, "FileDownloaded", ["file"], ["access"]),
        (6, "FileRecycled", ["file"], ["deletion"]),
        (6, "FileMalwareDetected", ["malware", "file"], ["info"]),
        (14, "AddedToGroup", ["iam"], ["group", "change"]),
        (25, "TeamCreated", ["iam"], ["group", "creation"]),
        (25, "ChatCreated", ["network"], ["info"]),
        (22, "GroupCreation", ["iam"], ["group", "creation"]),
    ],
)
def test_operation_has_its_category(kind: int, operation: str, category: list[str], type_: list[str]) -> None:
    found = family(kind).classes.find(operation, {})
    assert found
    assert (list(found.category), list(found.type)) == (category, type_)


@pytest.mark.parametrize(
    ("kind", "operation", "type_"),
    [
        (8, "Something new.", "info"),
        (15, "Test", "info"),
        (1, "Test", "info"),
        (6, "FileDreamtOf", "info"),
        (9999, "UserLoggedIn", "info"),
        (9999, "WidgetCreated", "creation"),
        (9999, "ListItemDeleted", "deletion"),
        (9999, "create widget", "creation"),
        (9999, "RemoveWidget", "deletion"),
        (9999, "GetWidget", "access"),
        (9999, "WidgetModified", "change"),
        (9999, "StartWidget", "start"),
        (9999, "WidgetStopped", "end"),
    ],
)
def test_unknown_operation_is_a_call_of_the_service_with_the_type_of_its_verb(kind: int, operation: str, type_: str) -> None:
    found = family(kind).classes.find(operation, {})
    assert found
    assert (found.category, found.type) == (("api",), (type_,))


TABLE_OF = {
    "exchange_admin": [1, 10, 18, 23],
    "exchange_mailbox": [2, 3, 19, 50, 101],
    "sharepoint": [4, 6, 7, 14, 36, 37, 54, 55, 56, 102, 205],
    "azure_ad": [8],
    "azure_ad_logon": [9, 15],
    "dlp": [11, 13, 33, 63, 99, 100, 107, 108, 263],
    "power_bi": [20, 357],
    "power_platform": [21, 30, 45, 46, 79, 187, 256, 278],
    "viva_engage": [22],
    "ediscovery": [24, 31],
    "teams": [25, 57, 59, 73],
    "threat_intelligence": [28, 29, 41, 47, 62],
    "alerts": [40],
    "labels": [43, 71, 75, 82, 83, 84, 93, 94, 95, 96, 154],
    "compliance": [38, 42, 48, 52, 68, 155, 295],
    "investigations": [64, 86, 89],
    "quarantine": [65],
    "forms": [66],
    "attack_simulation": [85, 88, 218],
    "roles": [87, 126, 302],
    "cloud_app_alerts": [78, 98],
    "planner": [188, 190, 195],
    "copilot": [261, 284, 328, 334],
    "risk_detections": [294],
    "administration": [113, 251, 310, 337],
}


@pytest.mark.parametrize(("kind", "table"), [(kind, table) for table, kinds in TABLE_OF.items() for kind in kinds])
def test_record_type_has_its_table(kind: int, table: str) -> None:
    assert family(kind).name.split("+")[0] == table


def test_no_record_type_has_two_tables() -> None:
    expected = {frozenset({table, "common", "config"}) for table in TABLE_OF} | {frozenset({"common", "config"})}
    assert {frozenset(one.name.split("+")) for one in tables()} == expected


@pytest.mark.parametrize(
    ("kind", "operation", "category", "type_"),
    [
        (20, "ViewReport", "database", "access"),
        (20, "AddGroupMembers", "iam", "group"),
        (21, "RetrieveMultiple", "database", "access"),
        (21, "Update", "database", "change"),
        (30, "CreateFlow", "configuration", "creation"),
        (45, "DeletePowerApp", "configuration", "deletion"),
        (24, "SearchExportDownloaded", "file", "access"),
        (24, "HoldCreated", "configuration", "creation"),
        (24, "CaseMemberAdded", "iam", "admin"),
        (66, "EditForm", "configuration", "change"),
        (66, "SubmitResponse", "database", "change"),
        (302, "AddRoleAssignment", "iam", "creation"),
        (126, "AddMemberToGroup", "iam", "change"),
        (311, "UpdateCopilotPlugin", "configuration", "change"),
        (190, "TaskDeleted", "api", "deletion"),
        (295, "AuditSearchCreated", "database", "access"),
        (23, "Set-CsTenantFederationConfiguration", "configuration", "change"),
    ],
)
def test_operation_of_another_workload_has_its_category(kind: int, operation: str, category: str, type_: str) -> None:
    found = family(kind).classes.find(operation, {})
    assert found
    assert category in found.category
    assert type_ in found.type


def test_constant_types_go_with_the_categories_beside_them() -> None:
    for one in tables():
        rows = [row for row in one.rows if row.conversion is None]
        categories = {word for row in rows if row.to == "event.category" for word in row.value}
        allowed = frozenset().union(*(ecs().types_of[word] for word in categories))
        assert {word for row in rows if row.to == "event.type" for word in row.value} <= allowed


def test_record_types_have_one_name_each() -> None:
    rows = read_csv("record_types.csv")
    assert len({row["id"] for row in rows}) == len(rows) > 400
    assert all(row["id"].lstrip("-").isdigit() and row["name"].isidentifier() for row in rows)


def test_shapes_are_known_and_in_order() -> None:
    rows = read_csv("ecs/originals.csv")
    assert len(SHAPES) == len(rows)
    assert {row["indexed"] for row in rows} == {"yes", "no"}
    assert {row["shape"] for row in rows} == {
        "value",
        "text",
        "record_type",
        "boolean",
        "json",
        "object",
        "pairs",
        "identities",
        "named",
        "changed",
    }


RULE_FIELDS = [
    "AADSessionId",
    "ActorContextId",
    "AppAccessContext",
    "ApplicationId",
    "AffectedItems",
    "AuthenticationType",
    "AzureActiveDirectoryEventType",
    "ClientAppId",
    "CommunicationType",
    "DeviceProperties",
    "ErrorNumber",
    "ExtendedProperties",
    "IsManagedDevice",
    "LogonError",
    "LogonType",
    "Members",
    "ModifiedProperties",
    "Name",
    "NewValue",
    "ObjectId",
    "OperationCount",
    "OperationProperties",
    "Parameters",
    "ParticipantInfo",
    "Platform",
    "RecordType",
    "SearchQueryText",
    "Site",
    "SiteUrl",
    "Target",
    "UserId",
    "UserType",
    "Actor",
]


@pytest.mark.parametrize("field", [name for name in RULE_FIELDS if name != "AADSessionId"])
def test_fields_that_detection_rules_read_are_indexed(field: str) -> None:
    assert field in template()["mappings"]["properties"]["o365"]["properties"]["audit"]["properties"]


# The index template


@functools.cache
def template() -> dict[str, Any]:
    found: dict[str, Any] = read_json("elasticsearch/index-template.json")
    return found


def fields(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, field in properties.items():
        yield prefix + name, field
        yield from fields(field.get("properties", {}), f"{prefix}{name}.")


def test_index_template_is_the_one_that_belongs_to_the_tables() -> None:
    """Renew it with: python -m ualpipe.transforms.ecs.index_template > schemas/elasticsearch/index-template.json"""
    assert template() == index_template(tables(), ecs(), indexed_shapes())


def test_index_template_covers_every_field_that_a_row_can_fill() -> None:
    known = dict(fields(template()["mappings"]["properties"]))
    wanted = {name for one in tables() for row in one.rows for name in row.fields}
    assert wanted <= known.keys()


def test_index_template_takes_what_every_server_takes() -> None:
    found = [field for _name, field in fields(template()["mappings"]["properties"])]
    kinds = {field.get("type", "object") for field in found}
    assert kinds <= {"keyword", "text", "ip", "date", "long", "geo_point", "nested", "flattened", "object", "alias"}
    parameters = {key for field in found for key in field}
    assert parameters <= {"type", "properties", "dynamic", "ignore_above", "ignore_malformed", "index", "doc_values", "path"}
    assert template()["settings"] == {}


def test_index_template_is_bounded() -> None:
    assert len(list(fields(template()["mappings"]["properties"]))) <= 900
    assert template()["mappings"]["dynamic"] is False
    assert template()["mappings"]["properties"]["o365"]["properties"]["audit"]["dynamic"] is False
    assert "ignore_malformed" not in template()["mappings"]["properties"]["@timestamp"]
