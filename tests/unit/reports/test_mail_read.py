"""The report mail-read: what counts as read by a session, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from archives.scene import store_of
from counted.oddities import Planted, guid
from counted.scene import rows_of

pytest.importorskip("duckdb")

ME, BOSS = "ann@contoso.com", "boss@contoso.com"
Rows = list[dict[str, Any]]


def _reported(folder: Path, *plots: Callable[[Planted], Any], user: str = "") -> Rows:
    planted = Planted()
    for plot in plots:
        plot(planted)
    store = store_of(folder, planted.records)
    try:
        return rows_of(store, "mail-read", user=user)
    finally:
        store.close()


def _items(*ids: str) -> Sequence[dict[str, Any]]:
    return [{"Path": "\\Inbox", "FolderItems": [{"InternetMessageId": f"<{one}>", "SizeInBytes": 10} for one in ids]}]


def test_reads_of_a_session_are_one_row_with_each_message_once(tmp_path: Path) -> None:
    [row] = _reported(
        tmp_path,
        lambda p: p.read(ME, BOSS, LogonType=2, Folders=_items("a", "b"), OperationCount=2),
        lambda p: p.read(ME, BOSS, LogonType=2, Folders=_items("b", "c"), OperationCount=2),
    )
    assert (row["binds"], row["messages"], row["bytes"]) == (2, 3, 30)
    assert row["message_ids"] == "<a> (10 bytes)\n<b> (10 bytes)\n<c> (10 bytes)"
    assert (row["mailbox"], row["actor"], row["logon"], row["joined_by"]) == (BOSS, ME, "delegate", "session")
    assert len(row["event_ids"]) == 2


def test_a_copied_folder_is_named_and_holds_no_messages(tmp_path: Path) -> None:
    [row] = _reported(tmp_path, lambda p: p.read(ME, ME, "Sync"))
    assert (row["syncs"], row["synced"], row["binds"], row["messages"], row["message_ids"]) == (1, "\\Inbox", 0, 0, None)


def test_a_copied_folder_of_the_older_shape_is_named_by_its_name(tmp_path: Path) -> None:
    folder = {"Id": "1", "Name": "Posteingang", "Path": "Not Available"}
    older = {"RecordType": 2, "Folders": ..., "Item": {"Id": "1", "ParentFolder": folder}}
    [row] = _reported(tmp_path, lambda p: p.read(ME, ME, "Sync", **older))
    assert (row["synced"], row["messages"], row["unnamed"]) == ("Posteingang", 0, 0)


def test_messages_without_an_id_are_counted(tmp_path: Path) -> None:
    folders = [{"Path": "\\Inbox", "FolderItems": [{"SizeInBytes": 5}, {"SizeInBytes": "7"}]}]
    [row] = _reported(tmp_path, lambda p: p.read(ME, ME, Folders=folders))
    assert (row["messages"], row["unnamed"]) == (0, 2)


def test_records_without_a_session_are_joined_by_actor_and_address(tmp_path: Path) -> None:
    rows = _reported(
        tmp_path,
        lambda p: p.read(ME, ME, SessionId="", Folders=_items("a")),
        lambda p: p.read(ME, ME, SessionId=..., Folders=_items("b")),
        lambda p: p.read(ME, ME, SessionId=..., ClientIP="203.0.113.9", Folders=_items("c")),
    )
    assert [(row["joined_by"], row["messages"]) for row in rows] == [
        ("same actor, application and address", 2),
        (rows[1]["joined_by"], 1),
    ]


def test_a_throttled_mailbox_is_blind_for_a_day_whoever_made_it_so(tmp_path: Path) -> None:
    rows = _reported(
        tmp_path,
        lambda p: p.read(BOSS, BOSS, throttled="True"),
        lambda p: p.read(ME, BOSS, LogonType=2),
        lambda p: p.read(ME, ME),
        user=ME,
    )
    assert [(row["mailbox"], row["blind_from"] is not None) for row in rows] == [(ME, False), (BOSS, True)]
    assert (rows[1]["blind_until"] - rows[1]["blind_from"]).total_seconds() == 24 * 3600


def test_a_mailbox_is_not_blind_before_and_long_after(tmp_path: Path) -> None:
    def later(p: Planted) -> None:
        p.at = p.at.replace(day=p.at.day + 2)

    rows = _reported(
        tmp_path,
        lambda p: p.read(ME, BOSS, LogonType=2, SessionId=guid("before")),
        lambda p: p.read(BOSS, BOSS, throttled="True"),
        later,
        lambda p: p.read(ME, BOSS, LogonType=2, SessionId=guid("after")),
    )
    assert [row["blind_from"] is not None for row in rows] == [False, True, False]


def test_reads_by_applications_and_services_are_told_apart(tmp_path: Path) -> None:
    rows = _reported(
        tmp_path,
        lambda p: p.read("99999999-0000-4000-8000-000000000001", BOSS),
        lambda p: p.read("NT AUTHORITY\\SYSTEM (Microsoft.Exchange.Servicehost)", BOSS),
    )
    assert {(row["kind"], row["excluded"]) for row in rows} == {("app", None), ("service", "services of Microsoft")}


@pytest.mark.parametrize(
    "plot",
    [
        lambda p: p.mail("Create", ME, BOSS, LogonType=2, Item={"InternetMessageId": "<a>"}),
        lambda p: p.mail("FolderBind", ME, BOSS, LogonType=2, Folder={"Path": "\\Inbox"}),
        lambda p: p.mail("HardDelete", ME, BOSS, RecordType=3, AffectedItems=[{"InternetMessageId": "<a>"}]),
        lambda p: p.mail("SendAs", ME, ME, SendAsUserSmtp=BOSS),
        lambda p: p.cmdlet("Search-Mailbox", ME, Identity=BOSS),
        lambda p: p.read(ME, BOSS, RecordType=6),
        lambda p: p.add(24, "SearchStarted", ME),
        lambda p: p.mail("AttachmentAccess", ME, BOSS, RecordType=50),
    ],
)
def test_other_acts_are_no_reads(tmp_path: Path, plot: Callable[[Planted], Any]) -> None:
    assert _reported(tmp_path, plot) == []
