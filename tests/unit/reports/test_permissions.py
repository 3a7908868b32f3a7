"""The report permissions: which rights are given and taken, when they are taken again, and what is no such right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archives.scene import store_of
from counted.oddities import SYSTEM, Planted
from counted.scene import rows_of

pytest.importorskip("duckdb")

ADMIN, ANN, BOSS = "chief@contoso.com", "ann@contoso.com", "boss@contoso.com"
PLACE = "EURPR01A001.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations/contoso.onmicrosoft.com/"
Plot = Callable[[Planted], Any]


def _reported(folder: Path, *plots: Plot, user: str = "") -> list[dict[str, Any]]:
    planted = Planted()
    for plot in plots:
        plot(planted)
    store = store_of(folder, planted.records)
    try:
        return rows_of(store, "permissions", user=user)
    finally:
        store.close()


def _full(who: str = ANN, box: str = BOSS, name: str = "Add-MailboxPermission", **more: Any) -> Plot:
    return lambda p: p.cmdlet(name, ADMIN, **{"Identity": box, "User": who, "AccessRights": "FullAccess", **more})


def _folder(operation: str, rights: str, who: str = ANN) -> Plot:
    parent = {"Id": "1", "MemberRights": rights, "MemberSid": "S-1-5-21-1", "MemberUpn": who, "Path": "\\Calendar"}
    return lambda p: p.mail(operation, BOSS, BOSS, Item={"Id": "1", "ParentFolder": parent})


def _said(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["mailbox"], row["change"], row["given_to"], row["rights"], row["folder"], row["revoked"] is not None


@pytest.mark.parametrize(
    ("plot", "said"),
    [
        (_full(), (BOSS, "given", ANN, "FullAccess", None, False)),
        (_full("Ann@Contoso.com", "BOSS@contoso.com"), (BOSS, "given", ANN, "FullAccess", None, False)),
        (_full(PLACE + "Ann", PLACE + "Boss"), ("boss", "given", "ann", "FullAccess", None, False)),
        (_full(name="remove-mailboxpermission"), (BOSS, "taken", ANN, "FullAccess", None, False)),
        (_full(Deny="True"), (BOSS, "taken", ANN, "FullAccess", None, False)),
        (
            lambda p: p.cmdlet("Add-RecipientPermission", ADMIN, Identity=BOSS, Trustee=ANN, AccessRights="SendAs"),
            (BOSS, "given", ANN, "SendAs", None, False),
        ),
        (
            lambda p: p.cmdlet(
                "Add-MailboxFolderPermission", ADMIN, Identity=f"{BOSS}:\\Calendar", User=ANN, AccessRights="Editor"
            ),
            (BOSS, "given", ANN, "Editor", "\\Calendar", False),
        ),
        (
            lambda p: p.cmdlet("Set-Mailbox", ADMIN, Identity=BOSS, GrantSendOnBehalfTo=ANN),
            (BOSS, "given", ANN, "SendOnBehalf", None, False),
        ),
        (_folder("ModifyFolderPermissions", "ReadAny, Visible"), (BOSS, "given", ANN, "ReadAny, Visible", "\\Calendar", False)),
        (_folder("UpdateFolderPermissions", "None"), (BOSS, "taken", ANN, "None", "\\Calendar", False)),
        (_folder("RemoveFolderPermissions", "ReadAny"), (BOSS, "taken", ANN, "ReadAny", "\\Calendar", False)),
        (
            lambda p: p.mail("UpdateCalendarDelegation", BOSS, BOSS),
            (BOSS, "given", "(not named)", "(not named)", None, False),
        ),
    ],
)
def test_right_is_told(tmp_path: Path, plot: Plot, said: tuple[Any, ...]) -> None:
    [row] = _reported(tmp_path, plot)
    assert _said(row) == said


def test_right_for_everybody_and_for_the_actor_are_noted(tmp_path: Path) -> None:
    rows = _reported(
        tmp_path, _full(ADMIN), _folder("ModifyFolderPermissions", "ReadAny", "Everyone"), _full(), _full(PLACE + "Chief")
    )
    assert [row["note"] for row in rows] == ["to the actor", "everybody", None, "to the actor"]


@pytest.mark.parametrize(
    "taken",
    [
        _full(name="Remove-MailboxPermission"),
        _full("ANN@contoso.com", "boss@Contoso.com", "Remove-MailboxPermission"),
        _full("ann", "boss", "Remove-MailboxPermission"),
        lambda p: p.cmdlet("Remove-MailboxPermission", "other@contoso.com", Identity=BOSS, User=ANN, AccessRights="FullAccess"),
    ],
)
def test_right_is_taken_again(tmp_path: Path, taken: Plot) -> None:
    rows = _reported(tmp_path, _full(), taken)
    assert rows[0]["revoked"] == rows[1]["time"]


def test_right_is_seen_taken_again_by_another_actor_than_the_one_asked_for(tmp_path: Path) -> None:
    taken = "Remove-MailboxPermission"
    [row] = _reported(tmp_path, _full(), lambda p: p.cmdlet(taken, "other@contoso.com", Identity=BOSS, User=ANN), user=ADMIN)
    assert row["revoked"] is not None


@pytest.mark.parametrize(
    "other",
    [
        _full("bob@contoso.com", name="Remove-MailboxPermission"),
        _full(box="other@contoso.com", name="Remove-MailboxPermission"),
        _full("ann@fabrikam.example", name="Remove-MailboxPermission"),
        _full(name="Remove-RecipientPermission", Trustee=ANN),
        _full(name="Remove-MailboxPermission", _ResultStatus="False"),
        _folder("RemoveFolderPermissions", "ReadAny"),
    ],
)
def test_right_stays_when_another_one_is_taken(tmp_path: Path, other: Plot) -> None:
    assert _reported(tmp_path, _full(), other)[0]["revoked"] is None


def test_right_that_was_taken_before_it_was_given_stays(tmp_path: Path) -> None:
    rows = _reported(tmp_path, _full(name="Remove-MailboxPermission"), _full())
    assert [row["revoked"] for row in rows] == [None, None]


@pytest.mark.parametrize("who", [SYSTEM, SYSTEM.replace("ServiceHost", "Servicehost"), SYSTEM.upper()])
def test_what_services_give_each_other_is_left_out(tmp_path: Path, who: str) -> None:
    [row] = _reported(
        tmp_path, lambda p: p.cmdlet("Add-MailboxPermission", who, Identity=BOSS, User=ANN, AccessRights="FullAccess")
    )
    assert row["excluded"] == "services of Microsoft"


def test_rights_on_system_mailboxes_are_left_out(tmp_path: Path) -> None:
    box = PLACE + "DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852}"
    [row] = _reported(tmp_path, _full(box=box))
    assert row["excluded"] == "system mailboxes"


@pytest.mark.parametrize(
    "plot",
    [
        lambda p: p.cmdlet("Set-Mailbox", ADMIN, Identity=BOSS, AuditEnabled="True"),
        lambda p: p.cmdlet("Set-Mailbox", ADMIN, Identity=BOSS, GrantSendOnBehalfTo=""),
        lambda p: p.cmdlet("Get-MailboxPermission", ADMIN, Identity=BOSS),
        lambda p: p.cmdlet("Add-DistributionGroupMember", ADMIN, Identity="group", Member=ANN),
        lambda p: p.mail("UpdateInboxRules", BOSS, BOSS),
        lambda p: p.add(8, "Add member to role.", ADMIN),
        lambda p: p.add(14, "SharingSet", ADMIN, Workload="SharePoint"),
    ],
)
def test_other_acts_are_no_rights(tmp_path: Path, plot: Plot) -> None:
    assert _reported(tmp_path, plot) == []
