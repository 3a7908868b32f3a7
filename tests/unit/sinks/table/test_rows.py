"""Columns of events: whatever a record holds makes a row, and odd spellings of one thing make the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from archives.scene import events_of
from odd_records import golden
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.sinks.table.columns import COLUMNS, NAMES
from ualpipe.sinks.table.rows import columns_of

TENANT = "22222222-2222-2222-2222-222222222222"
BASE = {
    "CreationTime": "2026-11-20T10:00:00",
    "Id": "11111111-0000-4000-8000-000000000001",
    "Operation": "Update",
    "OrganizationId": TENANT,
    "RecordType": 2,
    "UserKey": "Not Available",
    "UserType": 0,
    "Version": 1,
    "Workload": "Exchange",
    "UserId": "ann@contoso.com",
}
KINDS = {"text": str, "json": str, "long": int, "boolean": bool, "instant": datetime}


def row(**fields: Any) -> dict[str, Any]:
    """Returns the row of a record; a field that is ``...`` is left out."""
    record = {name: value for name, value in {**BASE, **fields}.items() if value is not ...}
    return {name: values[0] for name, values in columns_of(events_of([record])).items()}


def bare(**fields: Any) -> dict[str, Any]:
    """Returns the row of a record that no transform made a document of."""
    raw = orjson.dumps({**BASE, **fields})
    event = EncodedEvent(raw, 0, Origin("s", TENANT, "x", "i", Chunk(raw, "lines")), action="Update", has_document=False)
    return {name: values[0] for name, values in columns_of([event]).items()}


def check_types(found: Mapping[str, Any]) -> None:
    """Compares the types of a row with those of its columns, and looks for what no store takes."""
    assert [*found] == list(NAMES)
    for column in COLUMNS:
        value = found[column.name]
        if value is None:
            assert column.name not in ("event_id", "tenant")
            continue
        assert type(value) is KINDS[column.type], column.name
        if type(value) is str:
            assert "\0" not in value
            value.encode()
        if column.type == "json" and column.name not in ("record", "document"):
            assert type(orjson.loads(value)) is list
        if type(value) is int:
            assert abs(value) < 1 << 63


HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, -(2**70), 1e308, 2.5, "",
    " ", "\0", "a\0b", "\ud83d", "x" * 70_000, [], [[]], {}, {"a": {"b": []}},
    [None, 1, "x", {}], [{"Name": None}], [{"Name": "x"}], [{"Name": {"a": 1}, "Value": [1]}], {"Name": "x", "Value": "\0\udc00"},
    [{"ID": 5, "Type": "x"}], [{"Path": 1, "FolderItems": {"InternetMessageId": []}}], "[", "{", '[{"ActionType":[]}]', "9" * 30,
)  # fmt: skip
FIELDS = sorted(
    {name for record in golden() for name in record}
    | {
        "Item",
        "AffectedItems",
        "Folders",
        "Folder",
        "DestFolder",
        "Parameters",
        "OperationProperties",
        "SendAsUserSmtp",
        "Members",
    }
)


@pytest.mark.parametrize("value", HOSTILE, ids=[repr(value)[:30] for value in HOSTILE])
def test_whatever_stands_in_its_fields_a_record_makes_a_row_of_the_right_types(value: Any) -> None:
    records = [{**BASE, name: value} for name in FIELDS]
    columns = columns_of(events_of(records))
    for number in range(len(records)):
        check_types({name: values[number] for name, values in columns.items()})


@pytest.mark.parametrize("raw", [b"no json", b"\0\xff", b"[1]", b'"x"', b'{"Id":"a\\u0000b","OrganizationId":"\\ud83d"}'])
def test_what_is_no_record_makes_a_row_too(raw: bytes) -> None:
    event = EncodedEvent(raw, 0, Origin("s", "t", "x", "i", Chunk(raw, "lines")), has_document=False)
    check_types({name: values[0] for name, values in columns_of([event]).items()})


def test_numbers_are_read_however_they_are_written() -> None:
    for spelled in (2, "2", " 2 ", 2.0, "Delegated", "DELEGATE"):
        assert row(LogonType=spelled)["logon_type"] == 2
    for spelled in (..., None, True, "two", 2.5, 2**64, [2], {"v": 2}, "²"):
        assert row(LogonType=spelled)["logon_type"] is None
    assert row(RecordType="50")["record_type"] == row(RecordType="ExchangeItemAggregated")["record_type"] == 50
    assert row(RecordType=50.0)["record_type"] == 50
    assert row(UserType="ServicePrincipal")["user_type"] == 6
    assert row(FileSizeBytes=-(2**63) - 1)["file_size"] is None
    assert row(FileSizeBytes="-9223372036854775807")["file_size"] == -(2**63) + 1


def test_booleans_are_read_however_they_are_written() -> None:
    for spelled in (True, "true", "TRUE", " True ", 1, "1"):
        assert row(ExternalAccess=spelled)["external_access"] is True
    for spelled in (False, "False", 0, "no"):
        assert row(ExternalAccess=spelled)["external_access"] is False
    for spelled in (..., None, "perhaps", 2, [True]):
        assert row(ExternalAccess=spelled)["external_access"] is None


def test_an_event_counts_at_least_once() -> None:
    assert [row(OperationCount=count)["count"] for count in (7, "7", 0, -3, None, "x")] == [7, 7, 1, 1, 1, 1]


def test_without_error_there_is_no_error_code() -> None:
    assert [row(ErrorNumber=code)["error_code"] for code in (0, "0", " 0 ", "", "50126", 50126, " 50126 ")] == [None] * 4 + [
        "50126"
    ] * 3


def test_properties_of_reading_are_found_without_case() -> None:
    found = row(
        RecordType=50, OperationProperties=[{"Name": "mailAccessType", "Value": "SYNC"}, {"Name": "IsThrottled", "Value": True}]
    )
    assert (found["access_type"], found["throttled"]) == ("Sync", True)


def test_a_mailbox_is_that_of_the_one_whose_name_was_used() -> None:
    found = row(
        Operation="SendAs",
        SendAsUserSmtp="Boss@contoso.com",
        MailboxOwnerUPN="ann@contoso.com",
        MailboxOwnerSid="S-1",
        MailboxGuid="G",
    )
    assert (found["owner"], found["owner_sid"], found["mailbox_id"]) == ("boss@contoso.com", None, None)
    found = row(Operation="SendOnBehalf", SendOnBehalfOfUserSmtp="boss@contoso.com", SendOnBehalfOfUserMailboxGuid="ABC")
    assert (found["owner"], found["mailbox_id"]) == ("boss@contoso.com", "abc")


@pytest.mark.parametrize(
    ("operation", "fields", "owner"),
    [
        ("Add-MailboxPermission", {"Identity": "A/B/Boss"}, "boss"),
        ("Add-MailboxFolderPermission", {"Identity": "Boss@contoso.com:\\Calendar"}, "boss@contoso.com"),
        ("New-InboxRule", {"Name": "x"}, "ann@contoso.com"),
        ("New-InboxRule", {"Name": "x", "Mailbox": "boss@contoso.com"}, "boss@contoso.com"),
        ("Set-InboxRule", {"Identity": "boss@contoso.com\\123"}, "boss@contoso.com"),
        ("Set-InboxRule", {"Identity": "123"}, "ann@contoso.com"),
        ("Set-Mailbox", {}, "from object"),
        ("Set-TransportRule", {"Identity": "x"}, None),
        ("Update", {"Identity": "x"}, None),
    ],
)
def test_mailbox_of_a_cmdlet_is_found(operation: str, fields: Mapping[str, str], owner: str | None) -> None:
    parameters = [{"Name": name, "Value": value} for name, value in fields.items()]
    assert row(RecordType=1, Operation=operation, Parameters=parameters, ObjectId="A/From Object")["owner"] == owner


def test_target_is_the_user_principal_name_also_where_no_kind_of_target_is_named() -> None:
    found = row(
        RecordType=8, Workload="AzureActiveDirectory", Target=[{"ID": "x", "Type": 2}, {"ID": "Bob@contoso.com", "Type": "5"}]
    )
    assert found["target"] == "bob@contoso.com"
    assert bare(TargetUserOrGroupName="Team")["target"] == "team"


def test_without_a_document_most_is_known_all_the_same() -> None:
    found = bare(
        UserId="Ann@contoso.com", ClientInfoString="Client=OWA", SessionId="s", LogonError="no", Item={"Subject": "hello"}
    )
    assert (found["actor"], found["client"], found["session"], found["reason"]) == ("ann@contoso.com", "Client=OWA", "s", "no")
    assert (found["subject"], found["messages"], found["document"]) == ("hello", 1, None)
    assert bare(UserId="", UserKey="1003AAAABBBBCCCC")["actor"] == "1003aaaabbbbcccc"


def test_event_keeps_its_id_its_time_and_what_was_received() -> None:
    found = row()
    assert found["event_id"] == f"{TENANT}:{BASE['Id']}"
    assert found["time"] == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert orjson.loads(found["record"]) == BASE


@pytest.mark.parametrize("time", [..., None, "yesterday", 5])
def test_an_event_without_a_time_has_that_of_its_receipt(time: Any) -> None:
    found = row(CreationTime=time)
    assert found["time"] == found["received"]


def test_an_event_without_a_time_and_a_document_has_none() -> None:
    assert bare(CreationTime="yesterday")["time"] is None
