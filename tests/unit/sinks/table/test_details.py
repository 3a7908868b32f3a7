"""Lists of records in one shape, whatever shape they come in."""

from __future__ import annotations

from typing import Any

import pytest

from ualpipe.sinks.table.details import MOST_ENTRIES, changes_of, folders_of, items_of, parameters_of, targets_of
from ualpipe.sinks.table.rules import actions_of


def _named(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["name"], one["value"]) for one in parameters_of(record)]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([{"Name": "a", "Value": "1"}, {"Name": "b", "Value": True}], [("a", "1"), ("b", "True")]),
        ({"a": "1", "b": 2}, [("a", "1"), ("b", "2")]),
        ({"Name": "a", "Value": "1"}, [("a", "1")]),
        ('-Identity "x"', [("Parameters", '-Identity "x"')]),
        ([{"Name": "a", "Value": ["x", "y"]}, {"Name": "b", "Value": 1.5}], [("a", '["x","y"]'), ("b", "1.5")]),
        ([{"Name": "a"}, {"Value": "1"}, {"Name": "", "Value": "1"}, None, "x", {"Name": "b", "Value": ""}], []),
        ([{"Name": "a", "Value": "x\0y"}], [("a", "x\N{REPLACEMENT CHARACTER}y")]),
        (7, []),
        (None, []),
    ],
)
def test_parameters_of_all_shapes(value: Any, found: list[tuple[str, str]]) -> None:
    assert _named({"Parameters": value}) == found


def test_properties_of_teams_are_named_by_keys() -> None:
    assert _named({"ExtraProperties": [{"Key": "OsName", "Value": "macos"}]}) == [("OsName", "macos")]


def test_lists_are_bounded() -> None:
    many = [{"Name": f"n{number}", "Value": "x"} for number in range(3 * MOST_ENTRIES)]
    assert len(parameters_of({"Parameters": many, "ExtendedProperties": many})) == MOST_ENTRIES
    assert len(items_of({"AffectedItems": [{"Subject": "x"}] * 3 * MOST_ENTRIES})) == MOST_ENTRIES


def test_members_of_folder_permissions_are_parameters() -> None:
    parent = {"MemberUpn": "Everyone", "MemberSid": "S-1-1-0", "MemberRights": "None"}
    assert _named({"Item": {"ParentFolder": parent}}) == [
        ("MemberUpn", "Everyone"),
        ("MemberSid", "S-1-1-0"),
        ("MemberRights", "None"),
    ]


@pytest.mark.parametrize(
    ("actions", "found"),
    [
        ('[{"ActionType":"Forward","Recipients":["a@x","b@x"]}]', [("ForwardTo", "a@x;b@x")]),
        (
            '[{"ActionType":"Forward","Recipients":[{"SmtpAddress":"a@x"}],"ForwardFlags":"AsAttachment"}]',
            [("ForwardAsAttachmentTo", "a@x")],
        ),
        ('[{"ActionType":"ForwardAsAttachment","Recipients":"a@x"}]', [("ForwardAsAttachmentTo", "a@x")]),
        ('[{"ActionType":"redirect","Recipients":[{"Name":"Ann"}]}]', [("RedirectTo", "Ann")]),
        ('[{"ActionType":"Forward"}]', [("ForwardTo", "(not named)")]),
        ('{"ActionType":"Delete"}', [("DeleteMessage", "True")]),
        (
            '[{"ActionType":"Move","FolderName":"RSS"},{"ActionType":"MarkAsRead"}]',
            [("MoveToFolder", "RSS"), ("MarkAsRead", "True")],
        ),
        ('[{"ActionType":"Tag"},{"ActionType":5},7,null,{}]', []),
        ('[{"ActionType":"Forward",', []),
        ("Forward", []),
        ("", []),
        (None, []),
    ],
)
def test_actions_of_outlooks_rules_are_named_as_cmdlets_name_them(actions: str | None, found: list[tuple[str, str]]) -> None:
    assert list(actions_of(actions)) == found
    pairs = [{"Name": "RuleActions", "Value": actions}]
    assert [pair for pair in _named({"OperationProperties": pairs}) if pair[0] != "RuleActions"] == found


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ([{"Name": "a", "OldValue": "[]", "NewValue": '[\r\n  "x",\r\n  "y"\r\n]'}], [("a", None, "x, y")]),
        ([{"Name": "a", "OldValue": "1", "NewValue": True}], [("a", "1", "True")]),
        ([{"Name": "a", "NewValue": "[not json"}], [("a", None, "[not json")]),
        ([{"Name": "a", "NewValue": '[{"b":1}]'}], [("a", None, '{"b":1}')]),
        ({"Name": "a", "NewValue": "x"}, [("a", None, "x")]),
        (["RecipientsInternal", "Subject"], []),
        ([{"NewValue": "x"}, None], []),
        ("x", []),
    ],
)
def test_changes_of_all_shapes(changed: Any, found: list[tuple[Any, ...]]) -> None:
    assert [(one["name"], one["old"], one["new"]) for one in changes_of({"ModifiedProperties": changed})] == found


def test_new_names_of_files_are_changes() -> None:
    record = {"SourceFileName": "a.txt", "DestinationFileName": "b.txt", "SourceRelativeUrl": "x"}
    assert changes_of(record) == [{"name": "FileName", "old": "a.txt", "new": "b.txt"}]


MESSAGE = {"InternetMessageId": "<1>", "Subject": "s", "SizeInBytes": "10", "Id": "i"}
FOUND = {"message_id": "<1>", "subject": "s", "size": 10}


@pytest.mark.parametrize(
    ("record", "folders"),
    [
        ({"Item": {**MESSAGE, "ParentFolder": {"Id": "f", "Path": "\\Inbox"}}}, ["\\Inbox"]),
        ({"Item": [MESSAGE]}, [None]),
        ({"AffectedItems": [MESSAGE, {**MESSAGE, "ParentFolder": {"Name": "Inbox", "Path": "Not Available"}}]}, [None, "Inbox"]),
        ({"AffectedItems": MESSAGE}, [None]),
        ({"Folders": [{"Path": "\\A", "FolderItems": [MESSAGE]}, {"Path": "\\B", "FolderItems": MESSAGE}]}, ["\\A", "\\B"]),
        ({"Folders": {"Path": "\\A", "FolderItems": [MESSAGE, None, 5, {}]}}, ["\\A", "\\A"]),
    ],
)
def test_messages_of_all_shapes(record: dict[str, Any], folders: list[str | None]) -> None:
    found = items_of(record)
    assert [one.pop("folder") for one in found] == folders
    assert found[0] == FOUND


@pytest.mark.parametrize(
    "record",
    [
        {"Item": {"Id": "f", "ParentFolder": {"Id": "f", "Path": "\\Calendar"}}},
        {"Item": {}},
        {"Item": "x"},
        {"Folders": [{"Path": "\\Inbox"}, {"Path": "\\Sent Items", "FolderItems": []}]},
        {"Folders": "x", "AffectedItems": 5},
    ],
)
def test_folders_are_no_messages(record: dict[str, Any]) -> None:
    assert items_of(record) == []


def test_folders_are_named_once() -> None:
    record = {"Folder": {"Path": "\\A"}, "DestFolder": {"Path": "\\B"}, "Folders": [{"Path": "\\A"}, {"Path": ["x"]}]}
    assert folders_of(record, [{"folder": "\\C"}, {"folder": None}]) == "\\A\n\\B\n\\C"
    assert folders_of({"Item": {"ParentFolder": {"Path": "\\Calendar"}}}, []) == "\\Calendar"
    assert folders_of({"Folder": "x"}, []) is None


def test_targets_of_entra_and_members_of_teams_are_listed() -> None:
    record = {"Target": [{"ID": "a", "Type": 5}, "x"], "Members": [{"UPN": "b@x", "Role": 1}]}
    assert targets_of(record) == [{"id": "a", "type": "5"}, {"id": "b@x", "type": "1"}]
