"""``audit-weakened``: what is audited no longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archives.acts import OTHER_TENANT, Asking, act, asking, changes, pairs, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import ExportedMailbox

ADMIN, ORGANISATION = "admin@contoso.com", "contoso.onmicrosoft.com"
SERVICE = "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.Servicehost)"


def cmdlet(name: str, at: str, operation: str, on: str = ORGANISATION, *, by: str = ADMIN, **parameters: str) -> Record:
    """Returns a cmdlet; a parameter with a value of None is a member of the record."""
    identity = {"Identity": on} if on != ORGANISATION else {}
    return act(
        name,
        at,
        operation,
        1,
        by,
        ResultStatus="True",
        ObjectId=on,
        ClientIP="198.51.100.7",
        Parameters=pairs(**identity, **parameters),
    )


def member(record: Record, **members: Any) -> Record:
    return record | members


def licence(name: str, at: str, old: str, new: str, **more: Any) -> Record:
    told = "[SkuName=ENTERPRISEPREMIUM, SkuId=c7df2760, DisabledPlans=[{}]]"
    return act(
        name,
        at,
        "Change user license.",
        8,
        ADMIN,
        **(
            {
                "ResultStatus": "Success",
                "ObjectId": "kofi@contoso.com",
                "Target": [{"ID": "kofi@contoso.com", "Type": 5}],
                "ModifiedProperties": changes({"AssignedLicense": told.format(new)}, {"AssignedLicense": told.format(old)}),
            }
            | more
        ),
    )


BYPASS = "Set-MailboxAuditBypassAssociation"
RECORDS = [
    # On, on again in other spelling, set back by another, on again: two rows.
    cmdlet("bypass", "11-16 09:00", BYPASS, "svc@contoso.com", AuditBypassEnabled="True"),
    cmdlet("bypass again", "11-16 10:00", BYPASS.lower(), "SVC@contoso.com", AuditBypassEnabled="$true"),
    cmdlet("bypass off", "11-16 11:00", BYPASS, "svc@contoso.com", by="dana@contoso.com", AuditBypassEnabled="False"),
    cmdlet("bypass once more", "11-16 12:00", BYPASS, "svc@contoso.com", AuditBypassEnabled="True"),
    # The whole organisation and the unified log, which the records after it come through all the same.
    cmdlet("organisation", "11-16 13:00", "Set-OrganizationConfig", AuditDisabled="True"),
    cmdlet("ingestion", "11-16 14:00", "Set-AdminAuditLogConfig", UnifiedAuditLogIngestionEnabled="False"),
    cmdlet("fewer cmdlets", "11-16 14:10", "Set-AdminAuditLogConfig", AdminAuditLogCmdlets="*Mailbox*"),
    cmdlet("left out", "11-16 14:20", "Set-AdminAuditLogConfig", AdminAuditLogExcludedCmdlets="Set-InboxRule"),
    # A mailbox: on first, which is the old value, then off; its age limit cut; its audited acts replaced or removed.
    cmdlet("mailbox on", "11-16 15:00", "Set-Mailbox", "kofi@contoso.com", AuditEnabled="True"),
    cmdlet("mailbox off", "11-16 15:10", "Set-Mailbox", "kofi@contoso.com", AuditEnabled="False"),
    cmdlet("age cut", "11-16 15:20", "Set-Mailbox", "kofi@contoso.com", AuditLogAgeLimit="30.00:00:00"),
    cmdlet("age of hours", "11-16 15:25", "Set-Mailbox", "lena@contoso.com", AuditLogAgeLimit="12:00:00"),
    cmdlet("age in days", "11-16 15:27", "Set-Mailbox", "mara@contoso.com", AuditLogAgeLimit="7"),
    cmdlet("list", "11-16 15:30", "Set-Mailbox", "kofi@contoso.com", AuditOwner="MailboxLogin"),
    cmdlet("removed", "11-16 15:40", "Set-Mailbox", "kofi@contoso.com", AuditDelegate="@{Add=Move; Remove=MailItemsAccessed}"),
    # Retention: a policy for three months, one removed, the latter in the record type of audit retention.
    cmdlet("retention", "11-16 16:00", "New-UnifiedAuditLogRetentionPolicy", "short", RetentionDuration="ThreeMonths"),
    member(cmdlet("policy gone", "11-16 16:10", "Remove-UnifiedAuditLogRetentionPolicy", "long"), RecordType=296),
    # A licence without Audit (Premium), and back.
    licence("licence", "11-16 17:00", "YAMMER", "YAMMER,M365_ADVANCED_AUDITING"),
    licence("licence back", "11-16 18:00", "YAMMER,M365_ADVANCED_AUDITING", "YAMMER"),
    # Refused; a service of Microsoft; another tenant's mailbox of the same name is not set back by this one's.
    member(cmdlet("refused", "11-16 19:00", "Set-OrganizationConfig", AuditDisabled="True"), ResultStatus="False"),
    cmdlet("service", "11-16 20:00", "Set-Mailbox", "room@contoso.com", by=SERVICE, AuditEnabled="False"),
    member(
        cmdlet("other tenant", "11-16 08:00", BYPASS, "svc@contoso.com", AuditBypassEnabled="True"), OrganizationId=OTHER_TENANT
    ),
    # Near misses: what makes auditing stronger, or leaves it as it is.
    cmdlet("age kept", "11-17 09:00", "Set-Mailbox", "noor@contoso.com", AuditLogAgeLimit="90.00:00:00"),
    cmdlet("age odd", "11-17 09:05", "Set-Mailbox", "noor@contoso.com", AuditLogAgeLimit="Unlimited"),
    cmdlet("added", "11-17 09:10", "Set-Mailbox", "noor@contoso.com", AuditOwner="@{Add=MailItemsAccessed}"),
    cmdlet("all cmdlets", "11-17 09:20", "Set-AdminAuditLogConfig", AdminAuditLogParameters="*"),
    cmdlet("service keeps it", "11-17 09:30", "Set-AdminAuditLogConfig", by=SERVICE, AdminAuditLogEnabled="True"),
    cmdlet("year", "11-17 09:40", "New-UnifiedAuditLogRetentionPolicy", "long", RetentionDuration="TwelveMonths"),
    cmdlet("another setting", "11-17 09:50", "Set-Mailbox", "noor@contoso.com", LitigationHoldEnabled="False"),
    cmdlet("another cmdlet", "11-17 10:00", "Set-CASMailbox", "noor@contoso.com", AuditEnabled="False"),
    member(cmdlet("another type", "11-17 10:10", "Set-Mailbox", "noor@contoso.com", AuditEnabled="False"), RecordType=52),
    licence("other licence", "11-17 11:00", "YAMMER", "YAMMER,TEAMS1", ObjectId="noor@contoso.com"),
    licence(
        "off before and after",
        "11-17 11:10",
        "M365_ADVANCED_AUDITING",
        "M365_ADVANCED_AUDITING,TEAMS1",
        ObjectId="noor@contoso.com",
    ),
]

BY = {"actor": ADMIN, "times": 1, "ip": "198.51.100.7", "still_so": "yes, as far as the records tell"}
ACCOUNT = {"setting": "Audit bypass of an account", "actor": ADMIN, "ip": "198.51.100.7"}
EXPECTED = [
    {
        "setting": "Auditing of a mailbox",
        "object": "room@contoso.com",
        "new": "False",
        "actor": SERVICE.lower(),
        "time": "11-16 20:00",
        "times": 1,
        "ip": "198.51.100.7",
        "still_so": "yes, as far as the records tell",
        "event_ids": ["service"],
        "excluded": "done by a service of Microsoft",
    },
    BY
    | {
        "setting": "Mailbox auditing of the organisation",
        "object": ORGANISATION,
        "old": "True",
        "new": "True",
        "time": "11-16 19:00",
        "still_so": "was refused",
        "event_ids": ["refused"],
    },
    {
        "setting": "Audit (Premium) of a user's licence",
        "object": "kofi@contoso.com",
        "old": "on",
        "new": "off",
        "actor": ADMIN,
        "time": "11-16 17:00",
        "times": 1,
        "still_so": "no",
        "restored": "11-16 18:00",
        "restored_by": ADMIN,
        "event_ids": ["licence"],
    },
    BY
    | {
        "setting": "Retention policy of the unified audit log",
        "object": "long",
        "new": "removed",
        "time": "11-16 16:10",
        "event_ids": ["policy gone"],
    },
    BY
    | {
        "setting": "Retention of the unified audit log",
        "object": "short",
        "new": "ThreeMonths",
        "time": "11-16 16:00",
        "event_ids": ["retention"],
    },
    BY
    | {
        "setting": "Audited acts of delegates",
        "object": "kofi@contoso.com",
        "new": "@{Add=Move; Remove=MailItemsAccessed}",
        "time": "11-16 15:40",
        "event_ids": ["removed"],
    },
    BY
    | {
        "setting": "Audited acts of owners",
        "object": "kofi@contoso.com",
        "new": "MailboxLogin",
        "time": "11-16 15:30",
        "event_ids": ["list"],
    },
    BY
    | {
        "setting": "Age limit of a mailbox's log",
        "object": "mara@contoso.com",
        "new": "7",
        "time": "11-16 15:27",
        "event_ids": ["age in days"],
    },
    BY
    | {
        "setting": "Age limit of a mailbox's log",
        "object": "lena@contoso.com",
        "new": "12:00:00",
        "time": "11-16 15:25",
        "event_ids": ["age of hours"],
    },
    BY
    | {
        "setting": "Age limit of a mailbox's log",
        "object": "kofi@contoso.com",
        "new": "30.00:00:00",
        "time": "11-16 15:20",
        "event_ids": ["age cut"],
    },
    BY
    | {
        "setting": "Auditing of a mailbox",
        "object": "kofi@contoso.com",
        "old": "True",
        "new": "False",
        "time": "11-16 15:10",
        "event_ids": ["mailbox off"],
    },
    BY
    | {
        "setting": "Cmdlets that are not logged",
        "object": ORGANISATION,
        "new": "Set-InboxRule",
        "time": "11-16 14:20",
        "event_ids": ["left out"],
    },
    BY
    | {
        "setting": "Cmdlets that are logged",
        "object": ORGANISATION,
        "new": "*Mailbox*",
        "time": "11-16 14:10",
        "event_ids": ["fewer cmdlets"],
    },
    BY
    | {"setting": "Unified audit log", "object": ORGANISATION, "new": "False", "time": "11-16 14:00", "event_ids": ["ingestion"]},
    BY
    | {
        "setting": "Mailbox auditing of the organisation",
        "object": ORGANISATION,
        "new": "True",
        "time": "11-16 13:00",
        "event_ids": ["organisation"],
    },
    BY
    | ACCOUNT
    | {"object": "svc@contoso.com", "old": "False", "new": "True", "time": "11-16 12:00", "event_ids": ["bypass once more"]},
    ACCOUNT
    | {
        "object": "svc@contoso.com",
        "new": "$true, True",
        "time": "11-16 09:00",
        "times": 2,
        "still_so": "no",
        "restored": "11-16 11:00",
        "restored_by": "dana@contoso.com",
        "event_ids": ["bypass", "bypass again"],
    },
    BY
    | ACCOUNT
    | {"tenant": OTHER_TENANT, "object": "svc@contoso.com", "new": "True", "time": "11-16 08:00", "event_ids": ["other tenant"]},
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("audit-weakened"), RECORDS) as found:
        yield found


def test_each_weaker_setting_is_told_until_it_was_set_back(ask: Asking) -> None:
    assert ask(sql_of("audit-weakened")) == EXPECTED


def test_what_an_export_says_now_stands_beside_it(ask: Asking) -> None:
    rows = ask(sql_of("audit-weakened"))
    of_mailbox = next(row for row in rows if row["setting"] == "Auditing of a mailbox")
    of_account = next(row for row in rows if row["setting"] == "Audit bypass of an account")
    export = [
        ExportedMailbox("a", [of_mailbox["object"].lower()], "user", is_audited=False),
        ExportedMailbox("b", [of_account["object"].lower()], "user", is_passed_over=True),
    ]
    found = ask(sql_of("audit-weakened"), mailboxes=export)
    assert [{name: value for name, value in row.items() if name != "exported"} for row in found] == rows
    told = {(row["setting"], row["object"]): row.get("exported") for row in found}
    assert told[of_mailbox["setting"], of_mailbox["object"]] == "off"
    assert told[of_account["setting"], of_account["object"]] == "bypassed"
    assert {one for one in told.values() if one} == {"off", "bypassed"}


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("record_type in (1, 18, 296)", "true"),
        ("where record_type in (1, 18, 296)", "where record_type in (1, 18)"),
        ("lower(operation) as operation", "operation as operation"),
        ("g.name = s.parameter", "g.name = lower(s.setting)"),
        ("s.operation = a.operation", "true"),
        ("when 'true' then lower(g.value) in ('true', '$true', '1')", "when 'true' then g.value = 'True'"),
        ("when 'false' then lower(g.value) in ('false', '$false', '0')", "when 'false' then true"),
        ("when 'narrower' then trim(g.value) <> '*'", "when 'narrower' then true"),
        ("in ('sevendays', 'onemonth', 'threemonths', 'sixmonths', 'ninemonths')", "<> ''"),
        ("lower(g.value) like '%add%' and", "false and"),
        ("and lower(g.value) not like '%remove%'", ""),
        ("as integer) < 90\n                when position(':'", "as integer) <= 90\n                when position(':'"),
        ("else position(':' in g.value) > 0", "else true"),
        ("else position(':' in g.value) > 0", "else false"),
        ("lower(coalesce(object, '')) as object_key", "coalesce(object, '') as object_key"),
        ("coalesce(outcome, '') = 'failure' as failed", "false as failed"),
        (
            "(partition by tenant, setting, object_key order by time, event_id)) as was",
            "(partition by tenant order by time, event_id)) as was",
        ),
        ("not is_weaker and not failed then 1", "false then 1"),
        ("r.spell = w.spell + 1", "r.spell = w.spell"),
        ("r.tenant = w.tenant and", ""),
        ("coalesce(w.by_service, false)", "false"),
        ("c.was_off <> c.is_off", "true"),
        ("select 'remove-unifiedauditlogretentionpolicy'", "select 'none'"),
        ("name = 'AssignedLicense'", "name = 'none'"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("audit-weakened"), condition, instead)) != EXPECTED
