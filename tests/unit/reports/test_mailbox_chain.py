"""``mailbox-chain``: a compromised mailbox, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archives.acts import OTHER_TENANT, Asking, Row, act, asking, pairs, sql_of, without
from archives.scene import Record

KOFI, LENA, OUTSIDE, HOME = "kofi@contoso.com", "lena@contoso.com", "192.0.2.66", "198.51.100.7"
FORWARD = pairs(Name=".", ForwardTo="x@mail.example")


def signed_in(name: str, at: str, by: str = KOFI, ip: str = OUTSIDE, session: str = "", **more: Any) -> Record:
    device = [{"Name": "SessionId", "Value": session}] if session else []
    return act(
        name, at, "UserLoggedIn", 15, by, ResultStatus="Success", ClientIP=ip, ErrorNumber="0", DeviceProperties=device, **more
    )


def mail(name: str, at: str, operation: str, by: str = KOFI, ip: str = OUTSIDE, session: str = "", **more: Any) -> Record:
    found: dict[str, Any] = {"MailboxOwnerUPN": by, "ResultStatus": "Succeeded", "ClientIPAddress": ip, "LogonType": 0}
    record_type = 50 if operation == "MailItemsAccessed" else 3 if operation.endswith(("Items", "Delete")) else 2
    return act(name, at, operation, record_type, by, **(found | ({"SessionId": session} if session else {}) | more))


def read(name: str, at: str, access: str = "Bind", *, throttled: str = "False", **more: Any) -> Record:
    return mail(name, at, "MailItemsAccessed", OperationProperties=pairs(MailAccessType=access, IsThrottled=throttled), **more)


def rule(
    name: str, at: str, by: str = KOFI, ip: str = OUTSIDE, session: str = "", operation: str = "New-InboxRule", **more: Any
) -> Record:
    found: dict[str, Any] = {"ResultStatus": "True", "Parameters": FORWARD, "ObjectId": by}
    found |= {"ClientIP": ip} if ip else {}
    return act(name, at, operation, 1, by, **(found | ({"SessionId": session} if session else {}) | more))


RECORDS = [
    # All four stages: the sign-in has a session of its own and the same address; reading, rule and sending share a session,
    # though it was sent from elsewhere.
    signed_in("in", "11-16 09:00", session="s-login"),
    read("bind", "11-16 09:10", session="S1", OperationCount=3),
    read("bind more", "11-16 09:20", session="S1", OperationCount=2),
    read("sync", "11-16 09:30", "Sync", throttled="True"),
    rule("rule", "11-16 09:40", session="S1"),
    mail("sent", "11-16 10:00", "Send", ip="203.0.113.77", session="S1"),
    mail("deleted", "11-16 10:10", "SoftDelete"),
    # Near misses: the same account at home, the day after at that address, a failed sign-in, another operation of the mailbox.
    signed_in("at home", "11-16 09:05", ip=HOME),
    read("at home reads", "11-16 09:06", ip=HOME),
    signed_in("next day", "11-17 09:00"),
    act("failed", "11-16 08:59", "UserLoginFailed", 15, KOFI, ResultStatus="Failed", ClientIP=OUTSIDE, ErrorNumber="50126"),
    act("failed too", "11-16 08:58", "UserLoggedIn", 15, KOFI, ResultStatus="Failed", ClientIP=OUTSIDE, ErrorNumber="50126"),
    mail("other type", "11-16 09:50", "Send", RecordType=25),
    mail("draft", "11-16 09:50", "Create", session="S1"),
    # Forwarding of the mailbox itself from an address where nothing else was done: three stages are missing.
    rule(
        "forwarding", "11-18 09:00", LENA, operation="Set-Mailbox", Parameters=pairs(ForwardingSmtpAddress="smtp:x@mail.example")
    ),
    # Near misses: forwarding taken away, another setting of a mailbox, and a rule that a service made.
    rule(
        "forwarding off", "11-18 10:00", "mara@contoso.com", operation="Set-Mailbox", Parameters=pairs(ForwardingSmtpAddress="")
    ),
    rule("none", "11-18 10:05", "mara@contoso.com", operation="Set-Mailbox", Parameters=pairs(ForwardingSmtpAddress="$null")),
    rule("audit", "11-18 10:10", "mara@contoso.com", operation="Set-Mailbox", Parameters=pairs(AuditEnabled="True")),
    rule("service", "11-18 10:20", "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)"),
    # No address and no session: nothing joins the rule to anything; two of them are two chains.
    rule("alone", "11-19 09:00", "noor@contoso.com", ip=""),
    rule("alone too", "11-19 09:01", "noor@contoso.com", ip="", session="00000000-0000-0000-0000-000000000000"),
    # The session alone: no record names an address. Outlook's own record of the rule.
    mail("outlook rule", "11-20 09:00", "UpdateInboxRules", "olga@contoso.com", "", "S5"),
    mail("outlook rule again", "11-20 09:10", "UpdateInboxRules", "olga@contoso.com", "", "S5"),
    read("outlook read", "11-20 09:05", by="olga@contoso.com", ip="", session="S5"),
    # Another tenant's account of the same name has a chain of its own.
    rule("other tenant", "11-16 09:41", OrganizationId=OTHER_TENANT),
    # Nobody made a rule: told only when the account is asked for.
    signed_in("dana in", "11-21 09:00", "dana@contoso.com", HOME),
    read("dana reads", "11-21 09:10", by="dana@contoso.com", ip=HOME),
    signed_in("dana only in", "11-22 09:00", "dana@contoso.com", "198.51.100.8"),
]

STAGES = {1: "sign-in", 2: "access", 3: "rule or forwarding", 4: "sending or deleting"}


def missing(chain: Row, *stages: int) -> list[Row]:
    said = "no record in this period: it did not happen here, or is not recorded"
    return [stage(chain, number, "missing", "no record", [], coverage=said) for number in stages]


def stage(chain: Row, number: int, joined_by: str, done: str, events: list[str], **more: Any) -> Row:
    return (
        chain | {"stage": number, "stage_name": STAGES[number], "joined_by": joined_by, "act": done, "event_ids": events} | more
    )


def at(first: str, last: str = "", acts: int = 1, **more: Any) -> Row:
    return {"first_time": first, "last_time": last or first, "acts": acts} | more


def begun(account: str, time: str, place: str = f"address {OUTSIDE}", **more: Any) -> Row:
    return {"account": account, "chain": place, "begun": time} | more


CHAIN, OTHER = begun(KOFI, "11-16 09:00"), begun(KOFI, "11-16 09:41", tenant=OTHER_TENANT)
FORWARDED, ALONE, ALONE_TOO = (
    begun(LENA, "11-18 09:00"),
    begun("noor@contoso.com", "11-19 09:00", "no address, no session"),
    begun("noor@contoso.com", "11-19 09:01", "no address, no session"),
)
OUTLOOK = begun("olga@contoso.com", "11-20 09:00", "session S5")
MADE = "created the inbox rule '.', which forwards to x@mail.example"
OF = {"mailbox": KOFI, "ip": OUTSIDE}
EXPECTED = [
    stage(CHAIN, 1, "same address", "UserLoggedIn", ["in"], **at("11-16 09:00", ip=OUTSIDE)),
    stage(CHAIN, 2, "session", "MailItemsAccessed (Bind)", ["bind", "bind more"], **at("11-16 09:10", "11-16 09:20", 5), **OF),
    stage(
        CHAIN,
        2,
        "same address",
        "MailItemsAccessed (Sync)",
        ["sync"],
        **at("11-16 09:30"),
        **OF,
        coverage="reads are missing for 24 hours",
    ),
    stage(CHAIN, 3, "session", "New-InboxRule", ["rule"], **at("11-16 09:40", **OF, what=f"{KOFI} {MADE}, from {OUTSIDE}")),
    stage(CHAIN, 4, "session", "Send", ["sent"], **at("11-16 10:00", mailbox=KOFI, ip="203.0.113.77")),
    stage(CHAIN, 4, "same address", "SoftDelete", ["deleted"], **at("11-16 10:10"), **OF),
    *missing(OTHER, 1, 2),
    stage(
        OTHER,
        3,
        "nothing",
        "New-InboxRule",
        ["other tenant"],
        **at("11-16 09:41", **OF, what=f"{KOFI} {MADE}, from {OUTSIDE}"),
    ),
    *missing(OTHER, 4),
    *missing(FORWARDED, 1, 2),
    stage(
        FORWARDED,
        3,
        "nothing",
        "Set-Mailbox",
        ["forwarding"],
        **at(
            "11-18 09:00", ip=OUTSIDE, mailbox=LENA, what=f"{LENA} made {LENA}'s mailbox forward to x@mail.example from {OUTSIDE}"
        ),
    ),
    *missing(FORWARDED, 4),
    *missing(ALONE, 1, 2),
    stage(
        ALONE,
        3,
        "nothing",
        "New-InboxRule",
        ["alone"],
        **at("11-19 09:00", mailbox="noor@contoso.com", what=f"noor@contoso.com {MADE}"),
    ),
    *missing(ALONE, 4),
    *missing(ALONE_TOO, 1, 2),
    stage(
        ALONE_TOO,
        3,
        "nothing",
        "New-InboxRule",
        ["alone too"],
        **at("11-19 09:01", mailbox="noor@contoso.com", what=f"noor@contoso.com {MADE}"),
    ),
    *missing(ALONE_TOO, 4),
    *missing(OUTLOOK, 1),
    stage(OUTLOOK, 2, "session", "MailItemsAccessed (Bind)", ["outlook read"], **at("11-20 09:05", mailbox="olga@contoso.com")),
    stage(
        OUTLOOK,
        3,
        "session",
        "UpdateInboxRules",
        ["outlook rule", "outlook rule again"],
        **at(
            "11-20 09:00",
            "11-20 09:10",
            2,
            mailbox="olga@contoso.com",
            what="olga@contoso.com changed an inbox rule of their own mailbox",
        ),
    ),
    *missing(OUTLOOK, 4),
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("mailbox-chain"), RECORDS) as found:
        yield found


def test_chains_with_a_rule_or_forwarding_are_told_in_order_with_what_is_missing(ask: Asking) -> None:
    assert ask(sql_of("mailbox-chain")) == EXPECTED


def test_of_an_account_that_is_asked_for_all_chains_are_told(ask: Asking) -> None:
    chain = begun("dana@contoso.com", "11-21 09:00", f"address {HOME}")
    assert ask(sql_of("mailbox-chain"), user="Dana@contoso.com") == [
        stage(chain, 1, "same address", "UserLoggedIn", ["dana in"], **at("11-21 09:00", ip=HOME)),
        stage(
            chain,
            2,
            "same address",
            "MailItemsAccessed (Bind)",
            ["dana reads"],
            **at("11-21 09:10", ip=HOME, mailbox="dana@contoso.com"),
        ),
        *missing(chain, 3, 4),
    ]


def test_what_was_done_at_home_is_a_chain_of_its_own(ask: Asking) -> None:
    chains = {row["chain"] for row in ask(sql_of("mailbox-chain"), user=KOFI)}
    assert chains == {f"address {OUTSIDE}", f"address {HOME}"}


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("e.record_type in (1, 2, 3, 9, 15, 50) and", ""),
        ("e.actor_kind <> 'service'", "true"),
        ("coalesce(e.outcome, '') <> 'failure'", "true"),
        ("(k.operation <> 'set-mailbox' or e.event_id in (select event_id from forwarding))", "true"),
        ("lower(value) not in ('', '$null', 'null')", "true"),
        (
            "when e.session <> '00000000-0000-0000-0000-000000000000' then nullif(e.session, '') end",
            "when true then e.session end",
        ),
        ("coalesce(ip, session, event_id) as place", "coalesce(ip, session, account) as place"),
        ("coalesce(ip, session, event_id) as place", "coalesce(ip, event_id) as place"),
        ("coalesce(ip, session, event_id) as place", "account as place"),
        ("<= interval '12 hours'", "<= interval '48 hours'"),
        ("having min(stage) < max(stage)", ""),
        ("case when s.session is not null then 'session' when", "case when"),
        ("when c.stages > 1 then 'same address' else 'nothing' end", "else 'same address' end"),
        ("having max(case when h.stage = 3 then 1 else 0 end) = 1", "having true"),
        ("where c.number is distinct from s.number", ""),
        ("join places p on p.tenant = s.tenant and p.account = s.account and p.session = s.session", "join places p on false"),
        ("max(case when m.throttled then 1 else 0 end)", "max(0)"),
        ("sum(coalesce(m.count, 1))", "count(*)"),
        ("cross join stages s", "cross join (select * from stages where stage = 1) s"),
        ("e.operation || ' (' || e.access_type || ')'", "e.operation"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("mailbox-chain"), condition, instead)) != EXPECTED
