from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.schemas import read_yaml
from ualpipe.transforms.ecs.conversions.identity import IdentityConversions

GUID = "33333333-3333-4333-8333-333333333333"
PEOPLE = IdentityConversions(read_yaml("ecs/words.yaml")["identities"])


def parts(id_: str, name: str = "", email: str = "", domain: str = "") -> dict[str, str]:
    return {key: value for key, value in {"id": id_, "name": name, "email": email, "domain": domain}.items() if value}


SYSTEM = "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)"
EXTERNAL = "amy.lee_fabrikam.example#EXT#@contoso.onmicrosoft.example"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sana@contoso.com", parts("sana@contoso.com", "sana", "sana@contoso.com", "contoso.com")),
        ("Sana.B@Contoso.com", parts("Sana.B@Contoso.com", "Sana.B", "Sana.B@Contoso.com", "Contoso.com")),
        (
            "urn:spo:guest#amy@fabrikam.example",
            parts("urn:spo:guest#amy@fabrikam.example", "amy", "amy@fabrikam.example", "fabrikam.example"),
        ),
        ("urn:spo:anon#0f1e2d", parts("urn:spo:anon#0f1e2d")),
        (EXTERNAL, parts(EXTERNAL, "amy.lee", "amy.lee@fabrikam.example", "fabrikam.example")),
        ("nobody#EXT#@contoso.onmicrosoft.example", parts("nobody#EXT#@contoso.onmicrosoft.example", "nobody")),
        (
            "live.com#amy@fabrikam.example",
            parts("live.com#amy@fabrikam.example", "amy", "amy@fabrikam.example", "fabrikam.example"),
        ),
        ("i:0h.f|membership|10032001a2b3c4d5@live.com", parts("i:0h.f|membership|10032001a2b3c4d5@live.com")),
        (
            "i:0#.f|membership|sana@contoso.com",
            parts("i:0#.f|membership|sana@contoso.com", "sana", "sana@contoso.com", "contoso.com"),
        ),
        ("i:0i.t|00000003-0000|app@sharepoint", parts("i:0i.t|00000003-0000|app@sharepoint")),
        (SYSTEM, parts(SYSTEM, "SYSTEM", "", "NT AUTHORITY")),
        ("Microsoft\\ServiceOperator", parts("Microsoft\\ServiceOperator", "ServiceOperator", "", "Microsoft")),
        ("SHAREPOINT\\system", parts("SHAREPOINT\\system", "system", "", "SHAREPOINT")),
        ("CONTOSO\\sana", parts("CONTOSO\\sana", "sana", "", "CONTOSO")),
        ("S-1-5-18", parts("S-1-5-18")),
        (GUID, parts(GUID)),
        (f"ServicePrincipal_{GUID}", parts(f"ServicePrincipal_{GUID}")),
        ("10032001A2B3C4D5", parts("10032001A2B3C4D5")),
        ("app@sharepoint", parts("app@sharepoint", "app@sharepoint")),
        ("SecurityComplianceAlerts", parts("SecurityComplianceAlerts", "SecurityComplianceAlerts")),
        ("DlpAgent", parts("DlpAgent", "DlpAgent")),
        ("Certificate", parts("Certificate", "Certificate")),
        ("Service Account", parts("Service Account", "Service Account")),
        ("user1", parts("user1", "user1")),
        ("i:0#.w|contoso\\kofi", parts("i:0#.w|contoso\\kofi", "kofi", "", "contoso")),
        ("c:0t.c|tenant|" + GUID, parts("c:0t.c|tenant|" + GUID)),
        ("smtp:sana@contoso.com", parts("smtp:sana@contoso.com", "sana", "sana@contoso.com", "contoso.com")),
        ("SMTP:sana@contoso.com", parts("SMTP:sana@contoso.com", "sana", "sana@contoso.com", "contoso.com")),
        ('"Sana B" <sana@contoso.com>', parts('"Sana B" <sana@contoso.com>', "sana", "sana@contoso.com", "contoso.com")),
        ("\u202esana@contoso.com", parts("sana@contoso.com", "sana", "sana@contoso.com", "contoso.com")),
        ("sana@contoso.com\u200b", parts("sana@contoso.com", "sana", "sana@contoso.com", "contoso.com")),
        *((zeros, None) for zeros in ("0", "0000000000000000", "00000000-0000-0000-0000-000000000000", "S-1-0-0")),
        *(
            (zeros, None)
            for zeros in ("ServicePrincipal_00000000-0000-0000-0000-000000000000", "i:0h.f|membership|0000000000000000@live.com")
        ),
        ("sana@contoso", parts("sana@contoso", "sana@contoso")),
        ("Jürgen@contöso.com", parts("Jürgen@contöso.com", "Jürgen", "Jürgen@contöso.com", "contöso.com")),
        (
            f"{GUID}@22222222-2222-2222-2222-222222222222",
            parts(f"{GUID}@22222222-2222-2222-2222-222222222222"),
        ),
        (
            "i:0e.t|adfs|amy@fabrikam.example",
            parts("i:0e.t|adfs|amy@fabrikam.example", "amy", "amy@fabrikam.example", "fabrikam.example"),
        ),
        ("NT SERVICE\\MSExchangeTransport", parts("NT SERVICE\\MSExchangeTransport", "MSExchangeTransport", "", "NT SERVICE")),
        ("FfoServicePartnerUser", parts("FfoServicePartnerUser", "FfoServicePartnerUser")),
        ("ThreatIntel", parts("ThreatIntel", "ThreatIntel")),
        ("Microsoft Teams Sync", parts("Microsoft Teams Sync", "Microsoft Teams Sync")),
        ("152587", parts("152587")),
        ("a@b@contoso.com", parts("a@b@contoso.com", "a@b@contoso.com")),
        (" sana@contoso.com ", parts("sana@contoso.com", "sana", "sana@contoso.com", "contoso.com")),
        ("Not Available", None),
        ("NOT-FOUND", None),
        ("Unknown", None),
        ("<null>", None),
        ("", None),
        ("  ", None),
    ],
)
def test_user_id_is_read_by_its_form(text: str, expected: dict[str, str] | None) -> None:
    assert PEOPLE.identity(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sana@contoso.com", ["sana", "sana@contoso.com"]),
        ("urn:spo:guest#amy@fabrikam.example", ["amy", "amy@fabrikam.example"]),
        ("CONTOSO\\sana", ["sana"]),
        ("user1", ["user1"]),
        (SYSTEM, None),
        ("SHAREPOINT\\system", None),
        ("app@sharepoint", ["app@sharepoint"]),
        ("DlpAgent", ["DlpAgent"]),
        (GUID, None),
        ("S-1-5-18", None),
        ("152587", None),
        ("Not Available", None),
    ],
)
def test_people_and_services_are_related_but_no_machines_and_no_opaque_ids(text: str, expected: list[str] | None) -> None:
    assert PEOPLE.person(text) == expected


def test_process_of_a_machine_account_is_read() -> None:
    assert PEOPLE.process_of(SYSTEM) == "Microsoft.Exchange.ServiceHost"
    assert PEOPLE.process_of("CONTOSO\\sana") is None


def test_addressed_takes_addresses_alone_and_leaves_the_id() -> None:
    assert PEOPLE.addressed("sana@contoso.com") == parts("", "sana", "sana@contoso.com", "contoso.com")
    assert PEOPLE.addressed("CONTOSO\\sana") is None


def test_user_id_stays_as_delivered_unless_it_names_nobody() -> None:
    assert PEOPLE.user_id(" S-1-5-18 ") == "S-1-5-18"
    assert PEOPLE.user_id("Unknown") is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    found = PEOPLE.identity(text) or {}
    assert all(found.values())
    assert "email" not in found or found["email"].endswith(f"@{found['domain']}")


OWNER = {"MailboxOwnerUPN": "kofi@contoso.com"}


@pytest.mark.parametrize(
    ("record", "is_target"),
    [
        ({**OWNER, "UserId": "sana@contoso.com"}, True),
        ({**OWNER, "UserId": "S-1-5-18"}, True),
        ({**OWNER}, True),
        ({**OWNER, "UserId": "KOFI@contoso.com"}, False),
        ({**OWNER, "UserId": "kofi@contoso.com"}, False),
        ({**OWNER, "UserId": "alias@contoso.com", "LogonUserSid": "S-1-5-21-1", "MailboxOwnerSid": "S-1-5-21-1"}, False),
        ({**OWNER, "UserId": "sana@contoso.com", "LogonUserSid": "S-1-5-21-1", "MailboxOwnerSid": "S-1-5-21-2"}, True),
        ({"UserId": "sana@contoso.com"}, False),
        ({"MailboxOwnerUPN": ["kofi@contoso.com"], "UserId": 5}, False),
    ],
)
def test_owner_of_a_mailbox_is_a_target_only_where_another_acts(record: dict[str, Any], is_target: bool) -> None:
    found = PEOPLE.mailbox_owner(record)
    assert (found is not None and found["email"] == "kofi@contoso.com") == is_target


def targets(*ids: tuple[str, str]) -> list[dict[str, str]]:
    return [{"ID": id_, "Type": kind} for id_, kind in ids]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            targets((f"User_{GUID}", "2"), ("User", "2"), ("kofi@contoso.com", "5")),
            parts("kofi@contoso.com", "kofi", "kofi@contoso.com", "contoso.com"),
        ),
        (targets((f"User_{GUID}", "2"), (GUID, "2"), ("User", "2")), parts(GUID)),
        (targets(("Application", "2"), ("kofi@contoso.com", "5")), None),
        (targets(("User", "1")), None),
        (targets(("User", "2")), None),
        ("nobody", None),
        ([None, {"ID": 5, "Type": "2"}], None),
    ],
)
def test_user_is_the_target_only_where_the_target_says_so(target: Any, expected: dict[str, str] | None) -> None:
    assert PEOPLE.target_user(target) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sana@contoso.com", ["sana", "sana@contoso.com"]),
        ("S-1-5-21-1-2-3-4", ["S-1-5-21-1-2-3-4"]),
        (GUID, [GUID]),
        (f"ServicePrincipal_{GUID}", [f"ServicePrincipal_{GUID}"]),
        ("10032001A2B3C4D5", None),
        ("4711", None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("NT AUTHORITY\\SYSTEM", None),
        ("Not Available", None),
    ],
)
def test_principals_are_people_services_and_ids_of_the_directory(text: str, expected: list[str] | None) -> None:
    assert PEOPLE.principal(text) == expected


@pytest.mark.parametrize(
    "domain",
    ["NT AUTHORITY", "NT-AUTORITÄT", "AUTORITE NT", "Autorité NT", "NT INSTANS", "AUTORIDADE NT", "BUILTIN", "TJÄNST NT"],
)
def test_accounts_of_machines_are_no_people_in_any_language(domain: str) -> None:
    assert PEOPLE.read(f"{domain}\\System").kind == "system"
    assert PEOPLE.person(f"{domain}\\System (w3wp)") is None


@pytest.mark.parametrize("domain", ["CONTOSO", "CORP-NT", "NTSERVERS", "NT"])
def test_domains_of_companies_are_not_taken_for_machines(domain: str) -> None:
    assert (PEOPLE.read(f"{domain}\\sana").kind == "account") == (domain != "NT")


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"User_UPN": {"NewValue": "sana@contoso.com"}}, "sana@contoso.com"),
        ({"User_UPN": {"OldValue": '["sana@contoso.com"]'}, "User_ObjectID": {"OldValue": GUID}}, GUID),
        ({"User_ObjectID": {"NewValue": GUID}}, GUID),
        ({"User_ObjectID": {"NewValue": "00000000-0000-0000-0000-000000000000"}, "User_UPN": {"NewValue": "a@b.com"}}, "a@b.com"),
        ({"User_UPN": ["x"]}, None),
        ("text", None),
    ],
)
def test_user_is_read_of_changed_properties(properties: Any, expected: str | None) -> None:
    assert (PEOPLE.changed_user(properties) or {}).get("id") == expected
