"""``overview``: changes by user, by date, outside business hours, and logons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archives.acts import OTHER_TENANT, Asking, Row, act, asking, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import Own

ADMIN, DANA = "admin@contoso.com", "dana@contoso.com"
SERVICE = "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)"


def logon(name: str, at: str, by: str, ip: str, *, fails: bool = False, **more: object) -> Record:
    operation = "UserLoginFailed" if fails else "UserLoggedIn"
    members = {"ClientIP": ip, "ResultStatus": "Failed" if fails else "Success", "ErrorNumber": "50126" if fails else "0"}
    return act(name, at, operation, 15, by, **(members | more))


RECORDS = [
    # Six kinds of changes by one user on Monday, in two spellings; the cmdlet twice, once it failed.
    act("user", "11-16 09:00", "Update user.", 8, ADMIN, ClientIP="198.51.100.7"),
    act("cmdlet", "11-16 09:10", "Set-Mailbox", 1, "Admin@Contoso.com", ResultStatus="True", ClientIP="198.51.100.8"),
    act("cmdlet failed", "11-16 09:20", "Set-Mailbox", 1, ADMIN, ResultStatus="False", ClientIP="198.51.100.8"),
    act("file", "11-16 09:30", "FileModified", 6, ADMIN, ObjectId="https://x/a"),
    act("link", "11-16 09:40", "AnonymousLinkCreated", 14, ADMIN, ObjectId="https://x/a"),
    act("team", "11-16 09:50", "MemberAdded", 25, ADMIN, Members=[{"UPN": DANA, "Role": 1}]),
    act("rule", "11-16 09:55", "UpdateInboxRules", 2, ADMIN),
    # In the night: still Monday in New York, Tuesday in UTC. On Saturday by day.
    act("night", "11-17 02:00", "Set-Mailbox", 1, DANA, ResultStatus="True"),
    act("saturday", "11-21 10:00", "Update group.", 8, DANA),
    # The first and the last quarter of business.
    act("seven", "11-18 07:00", "Add user.", 8, "emil@contoso.com"),
    act("just before", "11-18 06:59", "Add user.", 8, "emil@contoso.com"),
    act("nineteen", "11-18 19:00", "Add user.", 8, "emil@contoso.com"),
    # Services and accounts that the config names are told apart; another tenant is another list.
    act("service", "11-16 10:00", "Set-Mailbox", 1, SERVICE, ResultStatus="True"),
    act("robot", "11-16 10:05", "FileUploaded", 6, "robot@contoso.com", ObjectId="https://x/b", ClientIP="198.51.100.7"),
    act("other tenant", "11-16 10:10", "Update user.", 8, ADMIN, OrganizationId=OTHER_TENANT),
    # Near misses: what is read, used, sent, said, or repeated.
    act("get", "11-16 11:00", "Get-Mailbox", 1, ADMIN, ResultStatus="True"),
    act("search", "11-16 11:00:01", "Search-UnifiedAuditLog", 1, ADMIN, ResultStatus="True"),
    act("accessed", "11-16 11:00:02", "FileAccessed", 6, ADMIN, ObjectId="https://x/a"),
    act("previewed", "11-16 11:00:03", "FilePreviewed", 6, ADMIN, ObjectId="https://x/a"),
    act("downloaded", "11-16 11:00:04", "FileDownloaded", 6, ADMIN, ObjectId="https://x/a"),
    act("again", "11-16 11:00:05", "FileModifiedExtended", 6, ADMIN, ObjectId="https://x/a"),
    act("viewed", "11-16 11:00:06", "PageViewed", 4, ADMIN, ObjectId="https://x/p"),
    act("used", "11-16 11:00:07", "CompanyLinkUsed", 14, ADMIN, ObjectId="https://x/a"),
    act("sent", "11-16 11:00:08", "Send", 2, ADMIN),
    act("said", "11-16 11:00:09", "MessageSent", 25, ADMIN),
    act("alert", "11-16 11:00:10", "AlertTriggered", 40, ADMIN),
    # Logons: of one user from two addresses, one failed, one on the next day; and by the mailbox's own record.
    logon("in", "11-16 08:00", DANA, "198.51.100.7"),
    logon("in again", "11-16 09:00", "Dana@contoso.com", "198.51.100.9"),
    logon("failed", "11-16 08:30", DANA, "198.51.100.7", fails=True),
    logon("next day", "11-17 08:00", DANA, "198.51.100.7"),
    act("mailbox", "11-17 08:01", "MailboxLogin", 2, DANA, ClientIPAddress="198.51.100.7"),
]
OWN = [Own("service_account", "robot@contoso.com")]


def changed(name: str, actor: str, what: str, first: str, last: str, events: list[str], acts: int, **more: object) -> Row:
    told = {"list": name, "actor": actor, "what": what, "first_time": first, "last_time": last, "event_ids": events, "acts": acts}
    return {"failed": 0, "addresses": 0} | told | more


USER, OUT = "changes by user", "changes outside business hours"


def on(day: str, what: str, first: str, last: str, events: list[str], acts: int, **more: object) -> Row:
    row = changed("changes by date", "", what, first, last, events, acts, day=f"2026-{day}", **more)
    return {name: value for name, value in row.items() if name != "actor"}


EXPECTED = [
    changed(
        USER,
        ADMIN,
        "Set-Mailbox 2, AnonymousLinkCreated 1, FileModified 1, MemberAdded 1, Update user. 1, and 1 more",
        "11-16 09:00",
        "11-16 09:55",
        ["user", "cmdlet failed", "file", "link", "team", "rule"],
        7,
        failed=1,
        addresses=2,
    ),
    changed(USER, "emil@contoso.com", "Add user. 3", "11-18 06:59", "11-18 19:00", ["nineteen"], 3),
    changed(USER, DANA, "Set-Mailbox 1, Update group. 1", "11-17 02:00", "11-21 10:00", ["night", "saturday"], 2),
    changed(USER, SERVICE.lower(), "Set-Mailbox 1", "11-16 10:00", "11-16 10:00", ["service"], 1, excluded="service, no person"),
    changed(
        USER,
        "robot@contoso.com",
        "FileUploaded 1",
        "11-16 10:05",
        "11-16 10:05",
        ["robot"],
        1,
        addresses=1,
        excluded="service account of the config",
    ),
    changed(USER, ADMIN, "Update user. 1", "11-16 10:10", "11-16 10:10", ["other tenant"], 1, tenant=OTHER_TENANT),
    on("11-21", "Update group. 1", "11-21 10:00", "11-21 10:00", ["saturday"], 1),
    on("11-18", "Add user. 3", "11-18 06:59", "11-18 19:00", ["nineteen"], 3),
    on("11-17", "Set-Mailbox 1", "11-17 02:00", "11-17 02:00", ["night"], 1),
    on(
        "11-16",
        "Set-Mailbox 2, AnonymousLinkCreated 1, FileModified 1, FileUploaded 1, MemberAdded 1, and 2 more",
        "11-16 09:00",
        "11-16 10:05",
        ["user", "cmdlet failed", "file", "link", "team", "rule", "robot"],
        8,
        failed=1,
        addresses=2,
    ),
    on("11-16", "Update user. 1", "11-16 10:10", "11-16 10:10", ["other tenant"], 1, tenant=OTHER_TENANT),
    changed(OUT, DANA, "Update group. 1", "11-21 10:00", "11-21 10:00", ["saturday"], 1, day="2026-11-21"),
    changed(OUT, "emil@contoso.com", "Add user. 2", "11-18 06:59", "11-18 19:00", ["nineteen"], 2, day="2026-11-18"),
    changed(OUT, DANA, "Set-Mailbox 1", "11-17 02:00", "11-17 02:00", ["night"], 1, day="2026-11-17"),
    changed(
        "logons",
        DANA,
        "MailboxLogin 1, UserLoggedIn 1",
        "11-17 08:00",
        "11-17 08:01",
        ["next day", "mailbox"],
        2,
        day="2026-11-17",
        addresses=1,
    ),
    changed(
        "logons",
        DANA,
        "UserLoggedIn 2, UserLoginFailed 1",
        "11-16 08:00",
        "11-16 09:00",
        ["failed", "in again"],
        3,
        day="2026-11-16",
        failed=1,
        addresses=2,
    ),
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("overview"), RECORDS) as found:
        yield found


def test_changes_and_logons_are_counted_by_user_and_day(ask: Asking) -> None:
    assert ask(sql_of("overview"), own=OWN) == EXPECTED


def test_days_and_business_hours_are_those_of_the_time_zone(ask: Asking) -> None:
    found = ask(sql_of("overview"), timezone="America/New_York")
    outside = [(row["actor"], row["day"]) for row in found if row["list"] == OUT and row["event_ids"] == ["night"]]
    assert outside == [(DANA, "2026-11-16")]
    berlin = [row["event_ids"] for row in ask(sql_of("overview"), timezone="Europe/Berlin") if row.get("day") == "2026-11-18"]
    assert berlin == [["nineteen"], ["nineteen"]]
    kathmandu = [
        row
        for row in ask(sql_of("overview"), timezone="Asia/Kathmandu")
        if row["list"] == OUT and row["actor"] == "emil@contoso.com"
    ]
    assert [(row["day"], row["acts"]) for row in kathmandu] == [("2026-11-19", 1)]  # 5:45 hours ahead


def test_workdays_are_those_of_the_config(ask: Asking) -> None:
    found = ask(sql_of("overview"), workdays=(6,))
    assert ["saturday"] not in [row["event_ids"] for row in found if row["list"] == OUT]


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("record_type in (9, 15) or", "record_type = 9 or"),
        ("lower(operation) = 'mailboxlogin'", "false"),
        ("not in (select verb from read_verbs)", "<> 'get'"),
        ("and lower(operation) in (select operation from mailbox_changes)", ""),
        ("and lower(operation) in (select operation from team_changes)", ""),
        ("lower(operation) not like '%accessed%'", "true"),
        ("lower(operation) not like '%viewed%'", "true"),
        ("lower(operation) not like '%downloaded%'", "true"),
        ("lower(operation) not like '%linkused'", "true"),
        ("lower(operation) not like '%extended'", "true"),
        (">= a.day_begins", "> a.day_begins"),
        ("< a.day_ends", "<= a.day_ends"),
        ("in a.workdays) > 0", "in a.workdays) >= 0"),
        ("(l.part <> 2 or not g.by_service)", "true"),
        ("(l.part <> 3 or not g.is_business)", "true"),
        ("count(case when a.failed then 1 end)", "count(case when not a.failed then 1 end)"),
        ("place <= 5", "place <= 6"),
        ("count(distinct p.ip)", "count(p.ip)"),
        ("o.kind = 'service_account' and o.value = s.actor", "o.kind = 'service_account'"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("overview"), condition, instead), own=OWN) != EXPECTED
