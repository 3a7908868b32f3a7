"""``quiet``: tenants, workloads and mailboxes that stopped talking. In November 2026 the 16th, 23rd and 30th are Mondays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from archives.acts import OTHER_TENANT, TENANT, Asking, Row, act, asking, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import ExportedMailbox

MONDAY, SUNDAY = datetime(2026, 11, 30, 9, tzinfo=UTC), datetime(2026, 11, 29, 20, tzinfo=UTC)
FIRST_DAYS = ("02", "03", "04", "05", "06", "09", "10", "11", "12", "13")
WORKDAYS = ("16", "17", "18", "19", "20", "23", "24", "25", "26", "27")
OFFICE = range(7, 19)


def daily(name: str, owner: str, days: Sequence[str], hours: Sequence[int] = (10,), **more: Any) -> list[Record]:
    return [
        act(
            f"{name} {day} {hour}",
            f"11-{day} {hour:02d}:15",
            "Update",
            2,
            owner or "dana@contoso.com",
            **({"MailboxOwnerUPN": owner} if owner else {}) | more,
        )
        for day in days
        for hour in hours
    ]


def deleted(name: str, user: str, result: str) -> Record:
    target = [{"ID": "User_1", "Type": 2}, {"ID": user, "Type": 5}]
    return act(name, "11-20 17:00", "Delete user.", 8, "admin@contoso.com", ResultStatus=result, ObjectId=user, Target=target)


RECORDS = [
    # Exchange talks each hour of business until Friday evening. One owner writes daily until then, in two spellings.
    *daily("exchange", "", FIRST_DAYS + WORKDAYS, OFFICE),
    *daily("steady", "steady@contoso.com", FIRST_DAYS),
    *daily("steady upper", "Steady@Contoso.com", WORKDAYS),
    # Daily until Monday the 16th with ten gaps: quiet. The same with nine gaps: too little is known.
    *daily("gone", "gone@contoso.com", FIRST_DAYS + WORKDAYS[:1]),
    *daily("little", "little@contoso.com", FIRST_DAYS[1:] + WORKDAYS[:1]),
    # As rarely as before: each other workday.
    *daily("rare", "rare@contoso.com", ("02", "04", "06", "10", "12", "16", "18", "20", "24"), (8, 17)),
    # Twice as long as usual is no silence yet.
    *daily("away", "away@contoso.com", FIRST_DAYS + WORKDAYS[:8]),
    # At work on weekends and nights only: never judged.
    *daily("nights", "nights@contoso.com", (*FIRST_DAYS, "14", "15", "16", "17"), range(6)),
    # Quiet for a reason: the user was deleted, and is called otherwise since. A deletion that was refused is none.
    *daily("left", "left@contoso.com", WORKDAYS[:5], (8, 12, 16)),
    deleted("left deleted", "0123456789abcdef0123456789abcdefleft@contoso.com", "Success"),
    *daily("stays", "stays@contoso.com", WORKDAYS[:5], (8, 12, 16)),
    deleted("stays deleted", "stays@contoso.com", "Failure"),
    # A workload that is silent since Tuesday the 24th, and another tenant with a mailbox of the same name.
    *daily("teams", "", WORKDAYS[:7], (9, 11, 13, 15), RecordType=25, Workload="MicrosoftTeams"),
    *daily("other", "steady@contoso.com", WORKDAYS[:5], (8, 16), OrganizationId=OTHER_TENANT),
    # A cmdlet on a mailbox is none of its owner's acts.
    act("cmdlet", "11-27 10:00", "Set-Mailbox", 1, "admin@contoso.com", MailboxOwnerUPN="gone@contoso.com"),
]

TENANT_ROW = {
    "kind": "tenant",
    "name": TENANT,
    "last_event": "11-27 18:15",
    "usual_gap_h": 1,
    "events": 462,
    "event_ids": ["exchange 27 18"],
}
TEAMS = {
    "kind": "workload",
    "name": "MicrosoftTeams",
    "state": "quiet",
    "last_event": "11-24 15:15",
    "usual_gap_h": 6,
    "silent_h": 42,
    "events": 28,
    "event_ids": ["teams 24 15"],
}
GONE = {
    "kind": "mailbox",
    "name": "gone@contoso.com",
    "state": "quiet",
    "last_event": "11-16 10:15",
    "usual_gap_h": 12,
    "silent_h": 119,
    "events": 11,
    "event_ids": ["gone 16 10"],
}
EXPECTED = [
    TEAMS,
    GONE,
    {
        "kind": "mailbox",
        "name": "left@contoso.com",
        "state": "quiet",
        "last_event": "11-20 16:15",
        "usual_gap_h": 4,
        "silent_h": 65,
        "events": 15,
        "event_ids": ["left 20 16"],
        "excluded": "its user was deleted",
    },
    {
        "kind": "mailbox",
        "name": "stays@contoso.com",
        "state": "quiet",
        "last_event": "11-20 16:15",
        "usual_gap_h": 4,
        "silent_h": 65,
        "events": 15,
        "event_ids": ["stays 20 16"],
    },
    {
        "tenant": OTHER_TENANT,
        "kind": "tenant",
        "name": OTHER_TENANT,
        "state": "too little known",
        "last_event": "11-20 16:15",
        "usual_gap_h": 8,
        "silent_h": 65,
        "events": 10,
        "event_ids": ["other 20 16"],
    },
    {
        "tenant": OTHER_TENANT,
        "kind": "workload",
        "name": "Exchange",
        "state": "too little known",
        "last_event": "11-20 16:15",
        "usual_gap_h": 8,
        "silent_h": 65,
        "events": 10,
        "event_ids": ["other 20 16"],
    },
    {
        "kind": "workload",
        "name": "AzureActiveDirectory",
        "state": "too little known",
        "last_event": "11-20 17:00",
        "silent_h": 64,
        "events": 2,
        "event_ids": ["left deleted"],
    },
    TENANT_ROW | {"state": "talking", "silent_h": 3},
    {
        "kind": "workload",
        "name": "Exchange",
        "state": "talking",
        "last_event": "11-27 18:15",
        "usual_gap_h": 1,
        "silent_h": 3,
        "events": 432,
        "event_ids": ["exchange 27 18"],
    },
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("quiet"), RECORDS) as found:
        yield found


def told(ask: Asking, sql: str, **asked: Any) -> list[Row]:
    """Returns rows without their lag, which has a test of its own."""
    return [{name: value for name, value in row.items() if name != "lag_s"} for row in ask(sql, **{"now": MONDAY} | asked)]


def test_who_is_silent_for_longer_than_usual_is_told(ask: Asking) -> None:
    assert told(ask, sql_of("quiet")) == EXPECTED


EXPORT = [
    ExportedMailbox(GONE["name"], [GONE["name"], "guid-1"], "user", is_audited=True),
    ExportedMailbox("never@contoso.com", ["never@contoso.com", "guid-2"], "shared", is_audited=True),
    ExportedMailbox("it's@contoso.com", ["it's@contoso.com"], "user", is_passed_over=True),
    ExportedMailbox("room@contoso.com", ["room@contoso.com"], "resource"),
]


def test_mailboxes_of_an_export_that_no_record_names_are_told(ask: Asking) -> None:
    found = told(ask, sql_of("quiet"), mailboxes=EXPORT)
    fresh = [row for row in found if row not in EXPECTED]
    assert [row for row in found if row not in fresh] == EXPECTED
    never = {"kind": "mailbox", "state": "never seen", "events": 0, "event_ids": []}
    assert fresh == [
        never | {"name": "it's@contoso.com", "excluded": "its account is exempt from auditing (bypass)"},
        never | {"name": "never@contoso.com"},
    ]


def test_a_weekend_is_no_silence(ask: Asking) -> None:
    [tenant] = [row for row in told(ask, sql_of("quiet"), now=SUNDAY) if row["name"] == TENANT]
    assert tenant == TENANT_ROW | {"state": "talking", "silent_h": 1}
    weekend_counts = told(ask, sql_of("quiet"), now=SUNDAY, workdays=(1, 2, 3, 4, 5, 6, 7))
    [tenant] = [row for row in weekend_counts if row["name"] == TENANT]
    assert (tenant["state"], tenant["silent_h"]) == ("quiet", 25)


def test_silence_counts_in_the_hours_of_the_time_zone(ask: Asking) -> None:
    [tenant] = [row for row in told(ask, sql_of("quiet"), timezone="America/New_York") if row["name"] == TENANT]
    assert tenant["silent_h"] == 6  # of Friday, 13:15 to 19:00 there; on Monday it is 4:00


def test_silence_ends_with_the_period(ask: Asking) -> None:
    found = told(ask, sql_of("quiet"), until=datetime(2026, 11, 18, 12, tzinfo=UTC))
    assert found
    assert GONE["name"] not in [row["name"] for row in found]
    [tenant] = [row for row in found if row["name"] == TENANT]
    assert (tenant["last_event"], tenant["silent_h"]) == ("11-18 11:15", 1)


def test_events_before_the_period_count(ask: Asking) -> None:
    assert told(ask, sql_of("quiet"), since=datetime(2026, 11, 29, tzinfo=UTC)) == EXPECTED


def test_the_lag_is_the_time_from_act_to_storing(ask: Asking) -> None:
    [row] = [row for row in ask(sql_of("quiet"), now=MONDAY) if row["name"] == "AzureActiveDirectory"]
    assert row["lag_s"] == (datetime(2026, 11, 30, tzinfo=UTC) - datetime(2026, 11, 20, 17, tzinfo=UTC)).total_seconds()


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("case when record_type in (2, 3, 50) then owner end", "owner"),
        ("coalesce(u.gaps, 0) < 10", "coalesce(u.gaps, 0) < 9"),
        ("coalesce(u.gaps, 0) < 10", "coalesce(u.gaps, 0) < 11"),
        ("greatest(3 * u.gap,", "greatest(u.gap,"),
        ("where b.is_business", "where true"),
        ("where j.kind <> 'mailbox' or j.state = 'quiet'", "where true"),
        ("coalesce(outcome, '') <> 'failure'", "true"),
        ("then substring(target from 33)", "then target"),
        ("d.time >= j.last_time - interval '30 days'", "d.time < j.last_time"),
        ("u.kind = l.kind and u.tenant = l.tenant and u.name = l.name", "u.kind = l.kind and u.name = l.name"),
        ("percentile_disc(0.95)", "percentile_disc(0.05)"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert told(ask, without(sql_of("quiet"), condition, instead)) != EXPECTED
