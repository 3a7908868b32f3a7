"""``sharing``: what was shared with anyone or with people outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archives.acts import Asking, act, asking, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import Own

SITE = "https://contoso.sharepoint.com/sites/ops"
DANA, GUEST = "dana@contoso.com", "bob@fabrikam.example"
GUEST_UPN = "bob_fabrikam.example#EXT#@contoso.onmicrosoft.com"


def shared(name: str, at: str, operation: str, file: str, to: str = "", kind: str = "", *, by: str = DANA, **more: Any) -> Record:
    recipient = {"TargetUserOrGroupName": to, "TargetUserOrGroupType": kind} if to else {}
    found = {
        "ObjectId": f"{SITE}/{file}",
        "SiteUrl": SITE,
        "SourceFileName": file,
        "ItemType": "File",
        "ClientIP": "198.51.100.7",
    }
    return act(name, at, operation, more.pop("record_type", 14), by, **(found | recipient | more))


ANYONE = {"ClientIP": "203.0.113.9", "UserType": 10}
RECORDS = [
    # A link for anyone: made, its right changed, used twice by nobody known, removed.
    shared(
        "link",
        "11-16 09:00",
        "AnonymousLinkCreated",
        "a.docx",
        EventData="<Type>View</Type><ExpirationDate>2026-12-24</ExpirationDate>",
    ),
    shared("link edit", "11-16 09:05", "AnonymousLinkUpdated", "a.docx", EventData="<Type>Edit</Type>"),
    # SharePoint's bookkeeping of that link is the same link, in another case of its address.
    shared(
        "link group",
        "11-16 09:00:01",
        "SharingSet",
        "A.docx",
        "SharingLinks.7f06ab3a.AnonymousEdit.d323b5ea",
        "SharePointGroup",
        EventData="<Permissions granted>Contribute</Permissions granted>",
    ),
    shared("link used", "11-16 10:00", "AnonymousLinkUsed", "a.docx", by="urn:spo:anon#aa11", **ANYONE),
    shared(
        "link used again",
        "11-16 11:00",
        "AnonymousLinkUsed",
        "a.docx",
        by="urn:spo:anon#aa11",
        **ANYONE | {"ClientIP": "203.0.113.10"},
    ),
    shared("link gone", "11-16 12:00", "AnonymousLinkRemoved", "a.docx"),
    # One that was made before, and used now.
    shared("old link used", "11-16 12:30", "AnonymousLinkUsed", "old.docx", by="urn:spo:anon#bb22", **ANYONE),
    # One on a folder, used on a file in it, and not on one beside it.
    shared("folder link", "11-16 13:00", "AnonymousLinkCreated", "plans", ItemType="Folder", EventData="<Type>View</Type>"),
    shared("folder used", "11-16 13:10", "AnonymousLinkUsed", "plans/p.docx", by="urn:spo:anon#cc33", **ANYONE),
    shared("beside", "11-16 13:20", "AnonymousLinkUsed", "plans-b.docx", by="urn:spo:anon#cc33", **ANYONE),
    # Guests: by #EXT#, by type, by an invitation; used by the guest in both spellings of the user id.
    shared(
        "direct",
        "11-17 09:00",
        "SharingSet",
        "b.docx",
        GUEST_UPN,
        "Member",
        EventData="<Permissions granted>Read</Permissions granted>",
    ),
    shared("read", "11-17 10:00", "FileDownloaded", "b.docx", by=f"urn:spo:guest#{GUEST}", record_type=6, **ANYONE),
    shared("read as member", "11-17 10:30", "FileAccessed", "b.docx", by=GUEST_UPN, record_type=6, ClientIP="203.0.113.11"),
    shared("read before", "11-17 08:00", "FileAccessed", "b.docx", by=GUEST_UPN, record_type=6),
    shared("read another", "11-17 10:40", "FileAccessed", "c.docx", by=GUEST_UPN, record_type=6),
    shared(
        "secure", "11-17 11:00", "AddedToSecureLink", "c.docx", "Eve@Northwind.Example", "Guest", EventData="<Type>Edit</Type>"
    ),
    shared("secure again", "11-17 11:10", "AddedToSecureLink", "c.docx", "eve@northwind.example", "guest", by="emil@contoso.com"),
    shared("secure used", "11-17 11:20", "SecureLinkUsed", "c.docx", by="eve_northwind.example#EXT#@contoso.onmicrosoft.com"),
    shared("secure gone", "11-17 11:05", "RemovedFromSecureLink", "c.docx", "eve@northwind.example", "Guest"),
    shared("invited", "11-17 12:00", "SharingInvitationCreated", "d.docx", "ann@adatum.example", "Guest"),
    shared("revoked", "11-17 12:30", "SharingInvitationRevoked", "d.docx", "ann@adatum.example", "Guest"),
    shared(
        "site",
        "11-17 13:00",
        "AddedToGroup",
        "",
        "ann@adatum.example",
        "Guest",
        EventData="<Group>Ops Members</Group>",
        ItemType="Web",
    ),
    # Whoever is outside by domain, though the record calls it a member.
    shared("outside", "11-17 14:00", "SharingSet", "e.docx", "joe@wingtip.example", "Member"),
    # Near misses: links for the organisation, members, a guest of an own domain, groups, bookkeeping, a refused attempt,
    # a use by a member.
    shared("company", "11-18 09:00", "CompanyLinkCreated", "f.docx"),
    shared("company used", "11-18 09:05", "CompanyLinkUsed", "f.docx", by="emil@contoso.com"),
    shared(
        "company group",
        "11-18 09:10",
        "SharingSet",
        "f.docx",
        "SharingLinks.7f06ab3a.OrganizationEdit.d323b5ea",
        "SharePointGroup",
    ),
    shared("member", "11-18 09:20", "SharingSet", "f.docx", "emil@contoso.com", "Member"),
    shared("own domain", "11-18 09:30", "SharingSet", "f.docx", "emil_contoso.de#EXT#@contoso.onmicrosoft.com", "Guest"),
    shared("security group", "11-18 09:40", "SharingSet", "f.docx", "4da1e7f54501bb99", "SecurityGroup"),
    shared("limited", "11-18 09:50", "SharingSet", "f.docx", "Limited Access System Group For List 7f06", "SharePointGroup"),
    shared("refused", "11-18 10:00", "AnonymousLinkCreated", "f.docx", ResultStatus="Failed"),
    shared("secure by member", "11-18 10:10", "SecureLinkUsed", "f.docx", by="emil@contoso.com"),
    shared("secure without", "11-18 10:20", "SecureLinkCreated", "f.docx", EventData="<Type>View</Type>"),
    shared("other type", "11-18 10:30", "AnonymousLinkCreated", "f.docx", record_type=25),
]
OWN = [Own("domain", "contoso.com"), Own("domain", "contoso.de")]

ANY = {"kind": "link for anyone", "recipient": "anyone"}
EXPECTED = [
    {
        "item": f"{SITE}/e.docx",
        "kind": "direct",
        "recipient": "joe@wingtip.example",
        "shared_by": DANA,
        "given": "11-17 14:00",
        "uses": 0,
        "event_ids": ["outside"],
    },
    {
        "item": f"{SITE}/",
        "kind": "group of the site",
        "recipient": "ann@adatum.example",
        "granted": "Ops Members",
        "shared_by": DANA,
        "given": "11-17 13:00",
        "uses": 0,
        "event_ids": ["site"],
    },
    {
        "item": f"{SITE}/d.docx",
        "kind": "invitation",
        "recipient": "ann@adatum.example",
        "shared_by": DANA,
        "given": "11-17 12:00",
        "ended": "11-17 12:30",
        "uses": 0,
        "event_ids": ["invited", "revoked"],
    },
    {
        "item": f"{SITE}/c.docx",
        "kind": "link for certain people",
        "recipient": "eve@northwind.example",
        "granted": "Edit",
        "shared_by": f"{DANA}, emil@contoso.com",
        "given": "11-17 11:00",
        "uses": 1,
        "first_used": "11-17 11:20",
        "last_used": "11-17 11:20",
        "used_from": "198.51.100.7",
        "event_ids": ["secure", "secure gone", "secure again", "secure used"],
    },
    {
        "item": f"{SITE}/b.docx",
        "kind": "direct",
        "recipient": GUEST,
        "granted": "Read",
        "shared_by": DANA,
        "given": "11-17 09:00",
        "uses": 2,
        "first_used": "11-17 10:00",
        "last_used": "11-17 10:30",
        "used_from": "203.0.113.11, 203.0.113.9",
        "event_ids": ["direct", "read", "read as member"],
    },
    ANY
    | {
        "item": f"{SITE}/plans-b.docx",
        "uses": 1,
        "first_used": "11-16 13:20",
        "last_used": "11-16 13:20",
        "used_from": "203.0.113.9",
        "event_ids": ["beside"],
    },
    ANY
    | {
        "item": f"{SITE}/plans",
        "granted": "View",
        "shared_by": DANA,
        "given": "11-16 13:00",
        "uses": 1,
        "first_used": "11-16 13:10",
        "last_used": "11-16 13:10",
        "used_from": "203.0.113.9",
        "event_ids": ["folder link", "folder used"],
    },
    ANY
    | {
        "item": f"{SITE}/old.docx",
        "uses": 1,
        "first_used": "11-16 12:30",
        "last_used": "11-16 12:30",
        "used_from": "203.0.113.9",
        "event_ids": ["old link used"],
    },
    ANY
    | {
        "item": f"{SITE}/a.docx",
        "granted": "Contribute, Edit, View",
        "shared_by": DANA,
        "given": "11-16 09:00",
        "expiry": "2026-12-24",
        "ended": "11-16 12:00",
        "uses": 2,
        "first_used": "11-16 10:00",
        "last_used": "11-16 11:00",
        "used_from": "203.0.113.10, 203.0.113.9",
        "event_ids": ["link", "link group", "link edit", "link used", "link used again", "link gone"],
    },
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("sharing"), RECORDS) as found:
        yield found


def test_shares_with_outsiders_are_told_with_their_uses(ask: Asking) -> None:
    assert ask(sql_of("sharing"), own=OWN) == EXPECTED


def test_without_own_domains_a_guest_is_whom_the_record_calls_one(ask: Asking) -> None:
    found = ask(sql_of("sharing"))
    recipients = [row["recipient"] for row in found]
    assert "joe@wingtip.example" not in recipients
    assert "emil@contoso.com" not in recipients
    assert "emil@contoso.de" in recipients
    assert [row for row in found if row["recipient"] != "emil@contoso.de"] == EXPECTED[1:]


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("where e.record_type in (4, 6, 14) and coalesce", "where coalesce"),
        ("coalesce(e.outcome, '') <> 'failure'", "true"),
        ("('AnonymousLinkCreated', 'link for anyone', 'given'),", "('CompanyLinkCreated', 'link for anyone', 'given'),"),
        ("n.target_name like 'sharinglinks.%.anonymous%'", "n.target_name like 'sharinglinks.%'"),
        ("lower(coalesce(e.object, e.site, '')) as item_key", "coalesce(e.object, e.site, '') as item_key"),
        ("o.kind = 'domain' and o.value = split_part(t.recipient, '@', -1)", "o.kind = 'none'"),
        ("or exists (select 1 from own o where o.kind = 'domain')", ""),
        ("position('@' in t.recipient) > 0", "true"),
        ("and e.time >= s.given\n", "\n"),
        ("e.actor = s.recipient and lower(e.object) = s.item_key", "e.actor = s.recipient"),
        ("position(s.item_key || '/' in o.item_key) = 1", "position(s.item_key in o.item_key) = 1"),
        ("s.item_type = 'folder' and o.time >= s.given", "false"),
        ("u.first_used >= f.given", "false"),
        ("s.ended >= s.last_given", "true"),
        ("when a.step = 'used' and a.kind <> 'link for anyone' then a.actor", "when false then a.actor"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("sharing"), condition, instead), own=OWN) != EXPECTED


@pytest.mark.parametrize(
    ("condition", "instead"),
    [("t.target_type = 'guest'", "false"), ("or t.is_marked", ""), ("or (t.step = 'used' and t.by_guest)", "")],
)
def test_each_mark_of_a_guest_decides_without_own_domains(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("sharing"), condition, instead)) != ask(sql_of("sharing"))
