"""Rows of tables: what becomes of each field of a record, and that nothing of it is lost."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odd_records
from fakes import TENANT
from office_activity import OFFICE_ACTIVITY
from ualpipe.pipeline.events import EncodedEvent, Event, Origin
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces
from ualpipe.schemas import read_csv
from ualpipe.simulator.records.generator import generate
from ualpipe.sinks.sentinel import conversions
from ualpipe.sinks.sentinel.derived import act_of, derived
from ualpipe.sinks.sentinel.profile import Profile
from ualpipe.sinks.sentinel.rows import compile_table
from ualpipe.sinks.sentinel.tables import PROFILES, ProfileName, tables_of
from ualpipe.testing import encode

RESERVED = {"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}
RECORD: dict[str, Any] = {
    "Id": "00000000-0000-0000-0000-000000000001",
    "RecordType": 6,
    "CreationTime": "2026-11-20T08:00:00",
    "Operation": "FileDownloaded",
    "OrganizationId": TENANT,
    "UserType": 0,
    "UserKey": "i:0h.f|membership|1003200126@live.com",
    "Workload": "SharePoint",
    "UserId": "alice@contoso.com",
    "ClientIP": "192.0.2.7",
    "ObjectId": "https://contoso.sharepoint.com/sites/a/Documents/b.docx",
    "SiteUrl": "https://contoso.sharepoint.com/sites/a/",
    "SourceRelativeUrl": "Documents",
    "SourceFileName": "b.docx",
    "SourceFileExtension": "docx",
}


def event_of(record: dict[str, Any], outcome: str = "") -> EncodedEvent:
    chunk = Chunk(orjson.dumps([record]), "array", received=1)
    made = encode(Event(record, 0, Origin("s", TENANT, "t", "i", chunk, "2026-11-20T09:00:00Z")))
    made.has_document, made.outcome = bool(outcome), outcome
    return made


profile_of = functools.cache(Profile)


def row_of(record: dict[str, Any], profile: ProfileName = "office_activity", outcome: str = "") -> dict[str, Any]:
    [(_kind, row)] = profile_of(profile).rows([event_of(record, outcome)])
    found: dict[str, Any] = orjson.loads(row)
    return found


# --- tables --------------------------------------------------------------------------------------------------------


def test_our_table_has_each_column_of_office_activity_with_its_type() -> None:
    (table,) = tables_of("office_activity").values()
    ours = {column.name: {"boolean": "bool"}.get(column.type, column.type) for column in table.columns}
    by_the_service = {"Type", "TenantId", "SourceSystem"}
    assert {name: kind for name, kind in OFFICE_ACTIVITY.items() if name not in by_the_service}.items() <= ours.items()


@pytest.mark.parametrize("profile", PROFILES)
def test_names_of_columns_are_ones_that_a_workspace_takes(profile: ProfileName) -> None:
    for table in tables_of(profile).values():
        names = [column.name for column in table.columns]
        assert len(set(map(str.lower, names))) == len(names)
        assert all(name.isidentifier() and name[0].isalpha() and len(name) <= 45 for name in names)
        assert not RESERVED & set(names)
        assert len(names) <= 500


@pytest.mark.parametrize("profile", PROFILES)
def test_each_value_of_a_column_is_made_by_something(profile: ProfileName) -> None:
    known = {*conversions.conversions(), *derived(), "left_over", "cut_columns", ""}
    for table in tables_of(profile).values():
        assert {column.value for column in table.columns if column.value[:1] not in ("=", "?")} <= known
        assert {column.type for column in table.columns} <= conversions.conversions().keys()


# --- office_activity -----------------------------------------------------------------------------------------------


def test_a_record_stands_in_the_columns_of_office_activity() -> None:
    row = row_of({**RECORD, "CorrelationId": "c", "LogonType": 2, "InternalLogonType": "1", "Parameters": [{"Name": "a"}]})
    assert {name: row[name] for name in ("TimeGenerated", "EventTime")} == dict.fromkeys(
        ("TimeGenerated", "EventTime"), "2026-11-20T08:00:00Z"
    )
    assert (row["RecordId"], row["OfficeId"], row["SourceRecordId"]) == (RECORD["Id"],) * 3
    assert (row["RecordType"], row["UserType"], row["Logon_Type"]) == ("SharePointFileOperation", "Regular", "Delegated")
    assert (row["OfficeObjectId"], row["Site_Url"], row["OfficeWorkload"]) == (
        RECORD["ObjectId"],
        RECORD["SiteUrl"],
        "SharePoint",
    )
    assert row["InternalLogonType"] == 1
    assert row["Parameters"] == '[{"Name":"a"}]'
    assert row["AdditionalFields"] == {"CorrelationId": "c"}


def test_a_value_that_fits_no_column_is_left_over() -> None:
    row = row_of({**RECORD, "InternalLogonType": "high", "StartTime": "soon", "IsManagedDevice": "perhaps", "LoginStatus": 2**40})
    wanted = {"InternalLogonType": "high", "StartTime": "soon", "IsManagedDevice": "perhaps", "LoginStatus": 2**40}
    assert row["AdditionalFields"] == wanted
    assert not {"InternalLogonType", "Start_Time", "IsManagedDevice", "LoginStatus"} & row.keys()


def test_a_record_without_a_time_has_that_of_its_arrival() -> None:
    row = row_of({**RECORD, "CreationTime": "never"})
    assert row["TimeGenerated"] == "2026-11-20T09:00:00Z"
    assert "EventTime" not in row


def test_what_only_lacks_an_id_is_told_apart_and_other_content_under_an_id_too() -> None:
    one, other = row_of({**RECORD, "Id": "N/A"}), row_of({**RECORD, "Id": "N/A", "UserId": "bob"})
    assert one["RecordId"].startswith("raw:")
    assert one["RecordId"] != other["RecordId"]
    conflicting = event_of(RECORD)
    conflicting.conflict = "ab" * 15
    [(_kind, row)] = Profile("raw").rows([conflicting])
    assert orjson.loads(row)["RecordId"] == f"{RECORD['Id']}~{'ab' * 15}"


def test_what_is_no_record_goes_out_as_its_text() -> None:
    origin = Origin("files", TENANT, "f", "i", Chunk(packed_pieces([Piece(b'{"Id": "x')]), "pieces"))
    event = EncodedEvent(b"{}", 0, origin, id="x", time="2026-11-20T08:00:00Z")
    for profile in PROFILES:
        [(_kind, row)] = Profile(profile).rows([event])
        assert b"UnreadableRecord" in row


# --- asim ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record_type", "operation", "kind", "event_type"),
    [
        (15, "UserLoggedIn", "authentication", "Logon"),
        ("AzureActiveDirectoryStsLogon", "UserLoginFailed", "authentication", "Logon"),
        ("2", "MailboxLogin", "authentication", "Logon"),
        (6, "FileModified", "file", "FileModified"),
        (6, "FileModifiedExtended", "file", "FileModified"),
        (6, "FileVersionsAllDeleted", "file", "FileDeleted"),
        (6, "FileMalwareDetected", "audit", "Other"),
        (1, "New-InboxRule", "audit", "Create"),
        (1, "Set-Mailbox", "audit", "Set"),
        (8, "Add member to role.", "audit", "Create"),
        (8, "Disable account.", "audit", "Disable"),
        (50, "MailItemsAccessed", "audit", "Read"),
        (14, "SharingRevoked", "audit", "Delete"),
        (261, "CopilotInteraction", "audit", "Other"),
        ([], None, "audit", "Other"),
    ],
)
def test_every_operation_has_a_table(record_type: Any, operation: Any, kind: str, event_type: str) -> None:
    act = act_of({"RecordType": record_type, "Operation": operation})
    assert (act.kind, act.event_type) == (kind, event_type)


@pytest.mark.parametrize(
    ("fields", "outcome", "result"),
    [
        ({"ResultStatus": "Succeeded"}, "", "Success"),
        ({"ResultStatus": "False"}, "", "Failure"),
        ({"ResultStatus": "PartiallySucceeded"}, "success", "Partial"),
        ({"ResultStatus": "Success", "Operation": "UserLoginFailed", "RecordType": 15}, "", "Failure"),
        ({"ResultStatus": "0"}, "failure", "Failure"),
        ({"ResultStatus": "0"}, "unknown", "NA"),
        ({}, "", "Success"),
        ({"RecordType": 261, "Operation": "CopilotInteraction"}, "", "NA"),
    ],
)
def test_the_result_is_the_record_s_own(fields: dict[str, Any], outcome: str, result: str) -> None:
    row = row_of({**RECORD, **fields}, "asim", outcome)
    assert row["EventResult"] == result
    assert row["EventSeverity"] == ("Low" if result == "Failure" else "Informational")


def test_a_logon_that_failed_says_why_in_the_words_of_asim() -> None:
    logon = {**RECORD, "RecordType": 15, "Operation": "UserLoginFailed", "LogonError": "InvalidUserNameOrPassword"}
    row = row_of({**logon, "ActorIpAddress": "192.0.2.7", "ExtendedProperties": [{"Name": "UserAgent", "Value": "curl"}]}, "asim")
    assert row["EventResultDetails"] == "No such user or password"
    assert (row["TargetUsername"], row["TargetUsernameType"]) == ("alice@contoso.com", "UPN")
    assert (row["SrcIpAddr"], row["HttpUserAgent"]) == ("192.0.2.7", "curl")
    assert "ActorIpAddress" not in row["AdditionalFields"]
    assert row_of({**logon, "LogonError": "SomethingNew"}, "asim")["EventResultDetails"] == "Other"


def test_a_file_that_moves_has_both_paths() -> None:
    moved = {"Operation": "FileMoved", "DestinationRelativeUrl": "Archive", "DestinationFileName": "c.docx"}
    row = row_of({**RECORD, **moved}, "asim")
    assert (row["SrcFilePath"], row["SrcFileName"]) == (RECORD["ObjectId"], "b.docx")
    assert (row["TargetFilePath"], row["TargetFileName"]) == ("https://contoso.sharepoint.com/sites/a/Archive/c.docx", "c.docx")
    row = row_of(RECORD, "asim")
    assert (row["TargetFilePath"], row["TargetFileName"]) == (RECORD["ObjectId"], "b.docx")
    assert not {"SrcFilePath", "SrcFilePathType", "SrcFileName"} & row.keys()


@pytest.mark.parametrize(
    ("given", "address", "port"),
    [
        ("192.0.2.7", "192.0.2.7", None),
        ("192.0.2.7:443", "192.0.2.7", 443),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("192.0.2.7:99999", "192.0.2.7", None),
        (5, None, None),
    ],
)
def test_an_address_is_parted_from_its_port(given: Any, address: str | None, port: int | None) -> None:
    assert (conversions.address(given), conversions.port(given)) == (address, port)


def test_names_without_end_are_not_remembered() -> None:
    assert act_of({"RecordType": 10**400, "Operation": "FileAccessed" * 100_000}).kind == "audit"
    assert conversions.instant("2026-11-20T08:00:00" + "0" * 100_000) is None


# --- all -----------------------------------------------------------------------------------------------------------


def leaves(value: Any) -> set[str]:
    """Returns the texts and numbers in a value, those in JSON in text too."""
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    if isinstance(value, list):
        return set().union(*map(leaves, value))
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return leaves(orjson.loads(value)) | {value}
        except ValueError:
            return {value}
    return set() if value is None else {str(value).lower()}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_value_of_a_record_is_lost(profile: ProfileName) -> None:
    names = {row["name"]: row["id"] for row in read_csv("record_types.csv")}
    records = list(generate(120, start=datetime(2026, 11, 20, tzinfo=UTC), rate=1.0, tenant_id=TENANT))
    for record in records:
        row = row_of(record, profile)
        kept = leaves(row) | {names.get(str(row.get("RecordType", row.get("EventOriginalSubType"))), "")}
        kept.add(f"{row.get('SrcIpAddr')}:{row.get('SrcPortNumber')}")
        kept |= {text.removesuffix("z") for text in kept}
        kept |= {str(found["number"]) for found in read_csv("sentinel/names.csv") if found["name"].lower() in kept}
        lost = {text for text in leaves(record) if text and text not in kept}
        assert {text for text in lost if not text.startswith(("2026-", "["))} == set(), (record["Operation"], lost)


@settings(max_examples=40)
@given(text=odd_records.lines(), profile=st.sampled_from(PROFILES))
def test_any_record_makes_rows_of_columns_that_are_declared(text: bytes, profile: ProfileName) -> None:
    origin = Origin("files", TENANT, "folder", "item", Chunk(packed_pieces([Piece(text)]), "pieces"))
    event = EncodedEvent(b"{}", 0, origin)
    for kind, row in profile_of(profile).rows([event]):
        declared = {column.name for column in tables_of(profile)[kind].columns}
        assert orjson.loads(row).keys() <= declared


def test_rows_of_one_table_are_made_by_one_function() -> None:
    (table,) = tables_of("raw").values()
    make = compile_table(table)
    assert make(RECORD, event_of(RECORD))["Record"] == RECORD
