"""Who acted: kinds of actors, their names, and the ids by which their spellings are joined."""

from __future__ import annotations

from typing import Any

import pytest

from ualpipe.sinks.table.actors import actor_kind_of, actor_of, keys_of, partner_tenant_of

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
SYSTEM = "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)"


@pytest.mark.parametrize(
    ("user", "user_type", "kind"),
    [
        ("ann@contoso.com", 0, "person"),
        ("ann@contoso.com", 2, "person"),
        ("", None, "person"),
        ("ann@contoso.com", "System", "service"),
        ("ann@contoso.com", "4", "service"),
        ("robot", 5, "app"),
        ("robot", "ServicePrincipal", "app"),
        ("somebody", 9, "partner"),
        ("ann@contoso.com", [4], "person"),
        (SYSTEM, 2, "service"),
        (SYSTEM.replace("ServiceHost", "Servicehost"), 0, "service"),
        (SYSTEM.upper(), 3, "service"),
        (f" {SYSTEM} ", 0, "service"),
        ("NT AUTHORITY\\SYSTEM (w3wp)", 3, "service"),
        ("S-1-5-18", 2, "service"),
        ("S-1-5-181", 0, "person"),
        ("S-1-5-21-1-2-3-4", 0, "person"),
        ("SHAREPOINT\\system", 0, "service"),
        ("fim_password_service@support.onmicrosoft.com", 0, "service"),
        (A, 0, "app"),
        (A.upper(), 0, "app"),
        (f"ServicePrincipal_{A}", 4, "app"),
        ("app@sharepoint", 0, "app"),
        (f"{A}@contoso.com", 0, "person"),
        (f"contoso.onmicrosoft.com\\tenant: {A}, object: {B}", 0, "partner"),
        (f"contoso.onmicrosoft.com\\tenant:{A},object:{B}", 0, "partner"),
        (f"user_{A.replace('-', '')}@contoso.onmicrosoft.com", 0, "partner"),
        ("user_x@contoso.onmicrosoft.com", 0, "person"),
        ("system@contoso.com", 0, "person"),
    ],
)
def test_kind_of_an_actor(user: str, user_type: Any, kind: str) -> None:
    assert actor_kind_of({"UserType": user_type}, user) == kind


def test_names_of_persons_are_addresses_and_those_of_others_what_is_written() -> None:
    user = {"email": "Ann@contoso.com", "name": "ann"}
    assert actor_of({"UserId": "i:0#.f|membership|ann@contoso.com"}, user, "person") == "ann@contoso.com"
    assert actor_of({"UserId": SYSTEM}, {"name": "SYSTEM"}, "service") == SYSTEM.lower()
    assert actor_of({"UserId": " ", "UserKey": "K"}, {}, "service") == "k"
    assert actor_of({"UserId": None, "LogonUserSid": "S-1-5-21-1"}, {}, "person") == "s-1-5-21-1"
    assert actor_of({"UserId": ["x"]}, {}, "person") is None


def test_tenant_of_a_partner_is_named_by_exchange_alone() -> None:
    assert partner_tenant_of(f"contoso.onmicrosoft.com\\Tenant: {A.upper()}, Object: {B}") == A
    assert partner_tenant_of(f"user_{A.replace('-', '')}@contoso.onmicrosoft.com") is None


@pytest.mark.parametrize(
    ("record", "keys"),
    [
        ({"UserKey": "10038B17F14B9A49"}, "10038b17f14b9a49"),
        ({"UserKey": "10038B17F14B9A49@contoso.onmicrosoft.com"}, "10038b17f14b9a49"),
        ({"UserKey": "i:0h.f|membership|10038b17f14b9a49@live.com"}, "10038b17f14b9a49"),
        ({"UserKey": A.upper(), "LogonUserSid": "S-1-5-21-1-2-3-4"}, f"{A} s-1-5-21-1-2-3-4"),
        ({"UserId": f"ServicePrincipal_{A}"}, A),
        ({"UserId": A}, A),
        ({"UserId": "S-1-5-21-9"}, "s-1-5-21-9"),
        ({"UserId": f"c\\tenant: {A}, object: {B}"}, B),
        ({"UserId": f"user_{B.replace('-', '')}@contoso.onmicrosoft.com"}, B),
        ({"Actor": [{"ID": A, "Type": 0}, {"ID": "x@y", "Type": 5}]}, A),
        ({"Actor": [{"ID": f"User_{A}", "Type": 2}, {"ID": "1003AAAABBBBCCCC", "Type": "3"}]}, f"1003aaaabbbbcccc {A}"),
        ({"UserKey": "00000000-0000-0000-0000-000000000000"}, None),
        ({"UserKey": "Not Available", "LogonUserSid": "S-1-5-18"}, None),
        ({"Actor": [None, 1, {"ID": 5}, {"ID": A}, {"ID": A, "Type": []}]}, None),
        ({"Actor": {"ID": A, "Type": 0}}, None),
    ],
)
def test_ids_that_stay(record: dict[str, Any], keys: str | None) -> None:
    assert keys_of(record, {}) == keys


def test_an_application_that_was_used_is_no_id_of_its_user() -> None:
    portal = "00000006-0000-0ff1-ce00-000000000000"
    actors = [
        {"ID": "Microsoft Office 365 Portal", "Type": 1},
        {"ID": portal, "Type": 2},
        {"ID": f"User_{A}", "Type": 2},
        {"ID": A, "Type": 2},
    ]
    assert keys_of({"Actor": actors}, {}) == A
