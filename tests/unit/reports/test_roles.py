"""``roles``: who got or lost a role of the directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from archives.acts import OTHER_TENANT, Asking, act, asking, changes, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import Own

GLOBAL, READERS, EXCHANGE = (
    "62e90394-69f5-4237-9190-012177145e10",
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
    "29232cdf-9323-42fd-ade2-1d097af3e4de",
)
PIM = "01fc33a7-78ba-4d2f-a4b7-768e336e890e"
GROUP = "b50379c5-9c7e-48c7-bd69-fe825b7a4f35"
ADMIN = "admin@contoso.com"


def role(
    name: str, at: str, operation: str, to: str, template: str, shown: str, *, by: str = ADMIN, gives: bool = True, **more: object
) -> Record:
    named = {"Role.ObjectID": "2307902e-ec3d-495d-9ea1-98e8963ef58d", "Role.DisplayName": shown, "Role.TemplateId": template}
    target = [{"ID": to, "Type": 5}] if "@" in to else [{"ID": to, "Type": 2}]
    modified = changes(named) if gives else changes(old=named)
    found = {"ResultStatus": "Success", "ObjectId": to, "Target": target, "ModifiedProperties": modified}
    return act(name, at, operation, 8, by, **(found | more))


def pim(name: str, at: str, operation: str, to: str, template: str, shown: str, by: str) -> Record:
    """Returns a record of PIM itself, which names the role among the targets and in its details."""
    details = json.dumps({"RoleDefinitionOriginType": "BuiltInRole", "TemplateId": template, "Justification": "ticket 7"})
    return act(
        name,
        at,
        operation,
        8,
        by,
        ResultStatus="Success",
        ObjectId=to,
        Target=[{"ID": f"Role_{template}", "Type": 2}, {"ID": shown, "Type": 1}, {"ID": to, "Type": 5}],
        ExtendedProperties=[{"Name": "additionalDetails", "Value": details}],
    )


def by_pim(name: str, at: str, operation: str, to: str, template: str, shown: str, *, gives: bool = True) -> Record:
    """Returns the directory's own record of what PIM did in somebody's name."""
    actor = [{"ID": "MS-PIM", "Type": 1}, {"ID": PIM, "Type": 2}, {"ID": "ServicePrincipal_7b1a", "Type": 2}]
    return role(
        name,
        at,
        operation,
        to,
        template,
        shown,
        by="ServicePrincipal_7b1ac1bc-3ee1-4ec6-9a8d-4d3c0f5bf0d2",
        gives=gives,
        Actor=actor,
    )


RECORDS = [
    # Given and taken; the removal names the role as old.
    role("given", "11-16 09:00", "Add member to role.", "Dana@Contoso.com", GLOBAL, "Global Administrator"),
    role("taken", "11-17 09:00", "Remove member from role.", "dana@contoso.com", GLOBAL, "Global Administrator", gives=False),
    # A name in the admin's language, another spelling of the operation, a template id in upper case; given to oneself.
    role("localised", "11-16 10:00", "Add member to role", ADMIN, EXCHANGE.upper(), "Exchange-Administrator"),
    # Near misses: a custom role that is called like the privileged one, and a built-in one that is harmless.
    role(
        "custom",
        "11-16 11:00",
        "Add member to role.",
        "emil@contoso.com",
        "99999999-0000-4000-8000-000000000001",
        "Global Administrator",
    ),
    role("readers", "11-16 11:30", "Add member to role.", "emil@contoso.com", READERS, "Directory Readers"),
    # Refused: nobody got anything.
    role(
        "refused",
        "11-16 12:00",
        "Add member to role.",
        "kofi@contoso.com",
        GLOBAL,
        "Global Administrator",
        ResultStatus="Failure",
    ),
    # Eligible by PIM: its own record names who did it, the directory's names PIM.
    pim(
        "eligible",
        "11-16 13:00",
        "Add eligible member to role in PIM completed (permanent)",
        "lena@contoso.com",
        GLOBAL,
        "x",
        ADMIN,
    ),
    by_pim("eligible twice", "11-16 13:01", "Add eligible member to role.", "lena@contoso.com", GLOBAL, "Global Administrator"),
    # Activations: one row, requests give nothing, the expiry ends it.
    pim(
        "asked",
        "11-17 07:59",
        "Add member to role requested (PIM activation)",
        "lena@contoso.com",
        GLOBAL,
        "x",
        "lena@contoso.com",
    ),
    pim(
        "active 1",
        "11-17 08:00",
        "Add member to role completed (PIM activation)",
        "lena@contoso.com",
        GLOBAL,
        "x",
        "lena@contoso.com",
    ),
    by_pim("active 1 twice", "11-17 08:00:30", "Add member to role.", "lena@contoso.com", GLOBAL, "Global Administrator"),
    pim(
        "over",
        "11-17 16:00",
        "Remove member from role (PIM activation expired)",
        "lena@contoso.com",
        GLOBAL,
        "x",
        "lena@contoso.com",
    ),
    by_pim(
        "over twice",
        "11-17 16:00:20",
        "Remove member from role.",
        "lena@contoso.com",
        GLOBAL,
        "Global Administrator",
        gives=False,
    ),
    pim(
        "active 2",
        "11-18 08:00",
        "Add member to role completed (PIM activation)",
        "lena@contoso.com",
        GLOBAL,
        "x",
        "lena@contoso.com",
    ),
    # PIM's application alone, without a record of PIM: told as it is.
    by_pim("pim alone", "11-18 08:05", "Add member to role.", "noor@contoso.com", GLOBAL, "Global Administrator"),
    # A group with a role: who joins it has the role; who joins another group has none.
    role("group", "11-18 10:00", "Add member to role.", f"Group_{GROUP}", GLOBAL, "Global Administrator"),
    act(
        "joins",
        "11-18 11:00",
        "Add member to group.",
        8,
        ADMIN,
        ResultStatus="Success",
        ObjectId="olga@contoso.com",
        Target=[{"ID": "olga@contoso.com", "Type": 5}],
        ModifiedProperties=changes({"Group.ObjectID": GROUP, "Group.DisplayName": "Operators"}),
    ),
    act(
        "joins another",
        "11-18 11:05",
        "Add member to group.",
        8,
        ADMIN,
        ResultStatus="Success",
        ObjectId="olga@contoso.com",
        Target=[{"ID": "olga@contoso.com", "Type": 5}],
        ModifiedProperties=changes({"Group.ObjectID": "c0ffee00-9c7e-48c7-bd69-fe825b7a4f35", "Group.DisplayName": "Operators"}),
    ),
    # A role that its record does not name, and one within a scope.
    act(
        "unnamed",
        "11-18 12:00",
        "Add member to role.",
        8,
        ADMIN,
        ResultStatus="Success",
        ObjectId="emil@contoso.com",
        Target=[{"ID": "emil@contoso.com", "Type": 5}],
        ModifiedProperties=[],
    ),
    role("scoped", "11-18 12:30", "Add scoped member to role.", "emil@contoso.com", "fe930be7-5e62-47db-91af-98c3a49a38b1", "x"),
    # A partner's staff, an account that the config names, another tenant.
    role(
        "partner",
        "11-18 13:00",
        "Add member to role.",
        "glass@contoso.com",
        GLOBAL,
        "x",
        by="user_0123456789abcdef0123456789abcdef@contoso.onmicrosoft.com",
    ),
    role("other tenant", "11-18 14:00", "Add member to role.", "dana@contoso.com", GLOBAL, "x", OrganizationId=OTHER_TENANT),
    # No acts on roles, though they name one.
    role("user", "11-18 15:00", "Update user.", "dana@contoso.com", GLOBAL, "Global Administrator"),
    role("cmdlet", "11-18 15:10", "Add member to role.", "dana@contoso.com", GLOBAL, "Global Administrator", RecordType=1),
]
OWN = [Own("break_glass", "glass@contoso.com"), Own("admin", "dana@contoso.com")]

G = {"role": "Global Administrator", "template_id": GLOBAL, "privileged": "yes"}
EXPECTED = [
    G
    | {
        "tenant": OTHER_TENANT,
        "member": "dana@contoso.com",
        "held": "active",
        "given": "11-18 14:00",
        "times": 1,
        "given_by": ADMIN,
        "note": "known administrator",
        "event_ids": ["other tenant"],
    },
    G
    | {
        "member": "glass@contoso.com",
        "held": "active",
        "given": "11-18 13:00",
        "times": 1,
        "given_by": "user_0123456789abcdef0123456789abcdef@contoso.onmicrosoft.com",
        "note": "by staff of a partner, break-glass account",
        "event_ids": ["partner"],
    },
    {
        "role": "User Administrator",
        "template_id": "fe930be7-5e62-47db-91af-98c3a49a38b1",
        "privileged": "yes",
        "member": "emil@contoso.com",
        "held": "active, within a scope",
        "given": "11-18 12:30",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["scoped"],
    },
    G
    | {
        "member": "olga@contoso.com",
        "held": "by the group Operators",
        "given": "11-18 11:00",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["joins"],
    },
    G
    | {
        "member": f"group_{GROUP}",
        "held": "active",
        "given": "11-18 10:00",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["group"],
    },
    G
    | {
        "member": "noor@contoso.com",
        "held": "active",
        "given": "11-18 08:05",
        "times": 1,
        "given_by": "serviceprincipal_7b1ac1bc-3ee1-4ec6-9a8d-4d3c0f5bf0d2",
        "event_ids": ["pim alone"],
    },
    G
    | {
        "member": "lena@contoso.com",
        "held": "activated in PIM",
        "given": "11-17 08:00",
        "times": 2,
        "given_by": "lena@contoso.com",
        "event_ids": ["active 1", "active 1 twice", "over", "over twice", "active 2"],
    },
    G
    | {
        "member": "lena@contoso.com",
        "held": "eligible",
        "given": "11-16 13:00",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["eligible", "eligible twice"],
    },
    G
    | {
        "member": "kofi@contoso.com",
        "held": "active",
        "given": "11-16 12:00",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["refused"],
        "excluded": "refused by the directory",
    },
    {
        "role": "Exchange Administrator",
        "template_id": EXCHANGE,
        "privileged": "yes",
        "member": ADMIN,
        "held": "active",
        "given": "11-16 10:00",
        "times": 1,
        "given_by": ADMIN,
        "note": "given to oneself",
        "event_ids": ["localised"],
    },
    G
    | {
        "member": "dana@contoso.com",
        "held": "active",
        "given": "11-16 09:00",
        "times": 1,
        "given_by": ADMIN,
        "taken": "11-17 09:00",
        "taken_by": ADMIN,
        "note": "known administrator",
        "event_ids": ["given", "taken"],
    },
    {
        "role": "unknown",
        "privileged": "unknown",
        "member": "emil@contoso.com",
        "held": "active",
        "given": "11-18 12:00",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["unnamed"],
    },
    {
        "role": "Directory Readers",
        "template_id": READERS,
        "privileged": "no",
        "member": "emil@contoso.com",
        "held": "active",
        "given": "11-16 11:30",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["readers"],
    },
    {
        "role": "Global Administrator",
        "template_id": "99999999-0000-4000-8000-000000000001",
        "privileged": "no",
        "member": "emil@contoso.com",
        "held": "active",
        "given": "11-16 11:00",
        "times": 1,
        "given_by": ADMIN,
        "event_ids": ["custom"],
    },
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("roles"), RECORDS) as found:
        yield found


def test_roles_are_told_by_member_role_and_way_of_holding_it(ask: Asking) -> None:
    assert ask(sql_of("roles"), own=OWN) == EXPECTED


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("rtrim(lower(e.operation), '.')", "e.operation"),
        ("then lower(coalesce(new, old)) end as template_id", "then coalesce(new, old) end as template_id"),
        ("then lower(coalesce(new, old)) end as template_id", "then lower(new) end as template_id"),
        ("on p.template_id = n.template_id", "on p.name = n.display_name"),
        ("coalesce(a.outcome, '') = 'failure' as failed", "false as failed"),
        ("where e.record_type = 8\n),\nnamed", "where true\n),\nnamed"),
        ("name = 'additionalDetails'", "name = 'none'"),
        ("where t.by_application and not t.by_pim", "where false"),
        ("r.tenant = e.tenant and r.group_id = c.group_id", "r.tenant = e.tenant"),
        ("is not null as is_told_twice", "is null as is_told_twice"),
        ("o.tenant = t.tenant and o.member = t.member", "o.tenant = t.tenant"),
        ("h.by_partner = 1", "false"),
        ("h.by_oneself = 1", "false"),
        ("h.held <> 'activated in PIM'", "true"),
        ("o.kind = 'break_glass'", "o.kind = 'vip'"),
        (
            "('add member to role', true, 'active', false)",
            "('add member to role requested (pim activation)', true, 'active', true)",
        ),
        ("h.last_taken >= h.last_given", "true"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("roles"), condition, instead), own=OWN) != EXPECTED


def test_a_role_that_was_given_before_the_period_shows_when_it_was_taken(ask: Asking) -> None:
    since, until = datetime(2026, 11, 17, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC)
    [row] = [row for row in ask(sql_of("roles"), since=since, until=until) if row["member"] == "dana@contoso.com"]
    assert row == G | {
        "member": "dana@contoso.com",
        "held": "active",
        "times": 0,
        "taken": "11-17 09:00",
        "taken_by": ADMIN,
        "event_ids": ["taken"],
    }
