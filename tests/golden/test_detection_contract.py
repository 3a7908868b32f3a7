"""The names that detection rules read, each met by one record and not by another: a mapping that loses one blinds rules."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import fakes
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

ORIGIN = Origin("files", "", "contract", "contract", Chunk(b"", "lines", []))
SIGN_IN = {"RecordType": 15, "Workload": "AzureActiveDirectory", "Operation": "UserLoggedIn", "ResultStatus": "Success"}
FAILED = {**SIGN_IN, "Operation": "UserLoginFailed"}
CHANGE = {"RecordType": 8, "Workload": "AzureActiveDirectory", "Operation": "Add member to role."}
CMDLET = {"RecordType": 1, "Workload": "Exchange", "Operation": "Set-InboxRule", "ResultStatus": "True"}
MAIL = {"RecordType": 50, "Workload": "Exchange", "Operation": "MailItemsAccessed"}
TEAMS = {"RecordType": 25, "Workload": "MicrosoftTeams", "Operation": "TeamsTenantSettingChanged"}
ALERT = {
    "RecordType": 40,
    "Workload": "SecurityComplianceCenter",
    "Operation": "AlertTriggered",
    "UserId": "SecurityComplianceAlerts",
}
FILE = {"RecordType": 6, "Workload": "SharePoint", "Operation": "FileDownloaded"}
AUDIT = "o365.audit."


class Case(NamedTuple):
    """One name.

    Attributes:
        name: Dotted, as rules write it.
        meets: Fields of a record for which the name has the value.
        value: What a rule compares with.
        passes: Fields of a record of the same kind for which it has not.
    """

    name: str
    meets: dict[str, Any]
    value: Any
    passes: dict[str, Any]


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def change(name: str, old: str, new: str) -> list[dict[str, str]]:
    return [{"Name": name, "OldValue": old, "NewValue": new}]


ECS = [
    Case("event.action", FILE, "FileDownloaded", {**FILE, "Operation": "FileAccessed"}),
    Case("event.action", CHANGE, "Add member to role.", {**CHANGE, "Operation": "Update user."}),
    Case("event.provider", SIGN_IN, "AzureActiveDirectory", FILE),
    Case("event.outcome", FAILED, "failure", SIGN_IN),
    Case("event.outcome", CMDLET, "success", {**CMDLET, "ResultStatus": "False"}),
    Case("event.category", SIGN_IN, "authentication", FILE),
    Case("event.category", CHANGE, "iam", SIGN_IN),
    Case("event.category", FILE, "file", CHANGE),
    Case("event.code", CMDLET, "ExchangeAdmin", MAIL),
    Case("event.code", {"RecordType": 15}, "AzureActiveDirectoryStsLogon", {"RecordType": 8}),
    Case("source.ip", {**SIGN_IN, "ClientIP": "[2001:db8::1]:443"}, "2001:db8::1", {**SIGN_IN, "ClientIP": "not an address"}),
    Case("user.id", {"UserId": "sana@contoso.com"}, "sana@contoso.com", {"UserId": "Not Available"}),
    Case("user.name", {"UserId": "sana@contoso.com"}, "sana", {"UserId": "S-1-5-18"}),
    Case("user.domain", {"UserId": "sana@contoso.com"}, "contoso.com", {"UserId": "app@sharepoint"}),
    Case("user.email", {"UserId": "sana@contoso.com"}, "sana@contoso.com", {"UserId": "CONTOSO\\sana"}),
    Case("related.user", {"UserId": "sana@contoso.com"}, "sana@contoso.com", {"UserId": "Not Available"}),
    Case(
        "related.user",
        {**CMDLET, "Parameters": pairs(ForwardTo="amy@fabrikam.example")},
        "amy@fabrikam.example",
        {**CMDLET, "Parameters": pairs(Name="amy")},
    ),
    Case("user_agent.original", {**SIGN_IN, "ExtendedProperties": pairs(UserAgent="curl/8")}, "curl/8", SIGN_IN),
    Case("user_agent.original", {**FILE, "UserAgent": "curl/8"}, "curl/8", {**FILE, "UserAgent": ""}),
    Case("rule.name", {**ALERT, "Name": "Mass download"}, "Mass download", ALERT),
    Case(
        "rule.name",
        {"RecordType": 13, "PolicyDetails": [{"Rules": [{"RuleName": "Cards", "Severity": "High"}]}]},
        "Cards",
        {"RecordType": 13, "PolicyDetails": []},
    ),
    Case("file.name", {**FILE, "SourceFileName": "pay.docx"}, "pay.docx", {**FILE, "SourceFileName": ""}),
    Case("file.extension", {**FILE, "SourceFileExtension": "docx"}, "docx", {**FILE, "SourceFileExtension": "pdf"}),
    Case("file.directory", {**FILE, "SourceRelativeUrl": "Shared Documents/hr"}, "Shared Documents/hr", FILE),
    Case("file.size", {**FILE, "FileSizeBytes": "1024"}, 1024, {**FILE, "FileSizeBytes": "large"}),
]
PLAIN = [
    Case("UserId", FILE, "alice@contoso.com", {"UserId": "bob@contoso.com"}),
    Case("UserType", {"UserType": 2}, "2", {"UserType": "0"}),
    Case("ApplicationId", {**SIGN_IN, "ApplicationId": "app-1"}, "app-1", SIGN_IN),
    Case("ObjectId", {**CHANGE, "ObjectId": "object-1"}, "object-1", {**CHANGE, "ObjectId": ""}),
    Case("RecordType", SIGN_IN, "15", {**SIGN_IN, "RecordType": "8"}),
    Case("ClientAppId", {**MAIL, "ClientAppId": "app-1"}, "app-1", MAIL),
    Case("LogonType", {**MAIL, "LogonType": 2}, "2", {**MAIL, "LogonType": "0"}),
    Case("LogonError", {**FAILED, "LogonError": "InvalidUserNameOrPassword"}, "InvalidUserNameOrPassword", FAILED),
    Case("ErrorNumber", {**FAILED, "ErrorNumber": 50126}, "50126", {**FAILED, "ErrorNumber": "0"}),
    Case("AzureActiveDirectoryEventType", {**CHANGE, "AzureActiveDirectoryEventType": 1}, "1", SIGN_IN),
    Case("Actor.Type", {**CHANGE, "Actor": [{"ID": "a", "Type": 5}]}, "5", {**CHANGE, "Actor": [{"ID": "a", "Type": 2}]}),
    Case("Target.ID", {**CHANGE, "Target": [{"ID": "Role", "Type": 2}]}, "Role", {**CHANGE, "Target": []}),
    Case("Target.Type", {**CHANGE, "Target": [{"ID": "a", "Type": 2}]}, "2", {**CHANGE, "Target": [{"ID": "a", "Type": "5"}]}),
    Case(
        "ExtendedProperties.RequestType", {**SIGN_IN, "ExtendedProperties": pairs(RequestType="Cmsi:Cmsi")}, "Cmsi:Cmsi", SIGN_IN
    ),
    Case(
        "ExtendedProperties.ResultStatusDetail",
        {**SIGN_IN, "ExtendedProperties": pairs(ResultStatusDetail="Redirect")},
        "Redirect",
        SIGN_IN,
    ),
    Case(
        "DeviceProperties.Value", {**SIGN_IN, "DeviceProperties": pairs(OS="Linux")}, "Linux", {**SIGN_IN, "DeviceProperties": []}
    ),
    Case("OperationProperties.Name", {**MAIL, "OperationProperties": pairs(MailAccessType="Sync")}, "MailAccessType", MAIL),
    Case("OperationProperties.Value", {**MAIL, "OperationProperties": pairs(MailAccessType="Sync")}, "Sync", MAIL),
    Case("OperationCount", {**MAIL, "OperationCount": 12}, 12, {**MAIL, "OperationCount": 1}),
    Case(
        "CommunicationType", {**TEAMS, "CommunicationType": "OneOnOne"}, "OneOnOne", {**TEAMS, "CommunicationType": "GroupChat"}
    ),
    Case(
        "Members.UPN", {**TEAMS, "Members": [{"UPN": "amy@fabrikam.example"}]}, "amy@fabrikam.example", {**TEAMS, "Members": []}
    ),
    Case("Name", {**TEAMS, "Name": "Allow guests"}, "Allow guests", TEAMS),
    Case("NewValue", {**TEAMS, "NewValue": "True"}, "True", {**TEAMS, "NewValue": "False"}),
    Case("AffectedItems.Subject", {**MAIL, "RecordType": 3, "AffectedItems": [{"Subject": "Invoice"}]}, "Invoice", MAIL),
    Case("SearchQueryText", {**FILE, "SearchQueryText": "password"}, "password", FILE),
    Case(
        "AppAccessContext.AADSessionId",
        {**FILE, "AppAccessContext": {"AADSessionId": "s-1"}},
        "s-1",
        {**FILE, "AppAccessContext": {}},
    ),
    Case("AuthenticationType", {**FILE, "AuthenticationType": "OAuth"}, "OAuth", FILE),
    Case("IsManagedDevice", {**FILE, "IsManagedDevice": "False"}, False, {**FILE, "IsManagedDevice": True}),
    Case("Platform", {**FILE, "Platform": "WinDesktop"}, "WinDesktop", {**FILE, "Platform": 0}),
    Case("Site", {**FILE, "Site": "site-1"}, "site-1", FILE),
    Case("SiteUrl", {**FILE, "SiteUrl": "https://contoso.sharepoint.com/"}, "https://contoso.sharepoint.com/", FILE),
]
PARAMETERS = [
    "ForwardTo",
    "ForwardAsAttachmentTo",
    "ForwardingAddress",
    "ForwardingSmtpAddress",
    "RedirectTo",
    "RedirectToRecipients",
    "RedirectMessageTo",
    "BlindCopyTo",
    "DeleteMessage",
    "MoveToFolder",
    "SubjectContainsWords",
    "BodyContainsWords",
    "WithinSizeRangeMinimum",
    "AccessRights",
    "GrantSendOnBehalfTo",
    "AllowFederatedUsers",
    "AllowGuestUser",
    "Enabled",
]
CHANGES = [
    "ShareWithGuests",
    "ShareUsingAnonymousLinks",
    "IsPublic",
    "AllowGuestUser",
    "AllowFederatedUsers",
    "AllowTeamsConsumer",
]
GUESTS = ("HasForeignTenantUsers", "HasGuestUsers", "HasOtherGuestUsers")


def _named() -> Iterator[Case]:
    for name in PARAMETERS:
        yield Case(
            f"Parameters.{name}", {**CMDLET, "Parameters": pairs(**{name: "x"})}, "x", {**CMDLET, "Parameters": pairs(Other="x")}
        )
    for name, delivered in [("Role_DisplayName", "Role.DisplayName"), *((name, name) for name in CHANGES)]:
        same = {**CHANGE, "ModifiedProperties": change(delivered, "", "")}
        changed = {**CHANGE, "ModifiedProperties": change(delivered, "False", "True")}
        yield Case(f"ModifiedProperties.{name}.NewValue", changed, "True", same)
        yield Case(f"ModifiedProperties.{name}.OldValue", changed, "False", same)
    for name in GUESTS:
        yield Case(
            f"ParticipantInfo.{name}",
            {**TEAMS, "ParticipantInfo": {name: True}},
            True,
            {**TEAMS, "ParticipantInfo": {name: False}},
        )


CASES = [*ECS, *(case._replace(name=AUDIT + case.name) for case in (*PLAIN, *_named()))]


@functools.cache
def transform() -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    made.open()
    return made


def found(fields: dict[str, Any], name: str) -> list[Any]:
    """Returns what a rule finds at a name in the document of a record with these fields."""
    document = transform().apply(Event(fakes.record(1, **fields), 0, ORIGIN)).document
    return list(at(document, name.split(".")))


def at(node: Any, steps: Sequence[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from at(item, steps)
    elif not steps:
        yield node
    elif isinstance(node, dict) and steps[0] in node:
        yield from at(node[steps[0]], steps[1:])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rule_finds_the_value_where_it_is_and_only_there(case: Case) -> None:
    hits = found(case.meets, case.name)
    assert case.value in hits
    assert all(type(hit) is type(case.value) for hit in hits)
    assert case.value not in found(case.passes, case.name)


NESTED = sorted(
    {case.name.removeprefix(AUDIT).split(".")[0] for case in CASES if case.name.startswith(AUDIT) and case.name.count(".") > 2}
)
FLAT = sorted({case.name.removeprefix(AUDIT) for case in CASES if case.name.startswith(AUDIT) and case.name.count(".") == 2})


@pytest.mark.parametrize("name", FLAT)
def test_name_of_a_plain_value_never_holds_an_object(name: str) -> None:
    for odd in ({"a": "b"}, [{"a": "b"}], ["x", {"a": "b"}]):
        assert dict not in map(type, found({name: odd}, AUDIT + name))


@pytest.mark.parametrize("name", NESTED)
def test_name_of_an_object_never_holds_a_plain_value(name: str) -> None:
    for odd in ("text", 5, ["x"], ["x", {"Name": "a", "Value": "b"}]):
        assert {type(value) for value in found({name: odd}, AUDIT + name)} <= {dict}


def test_dataset_is_the_one_that_was_configured() -> None:
    other = EcsTransform(build(EcsTransformConfig, {"dataset": "m365.audit"}, Path()), fakes.env("ecs"))
    other.open()
    document = other.apply(Event(fakes.record(1), 0, ORIGIN)).document
    assert document is not None
    assert document["data_stream"]["dataset"] == "m365.audit"
    assert found(FILE, "data_stream.dataset") == ["o365.audit"]
