"""``apps``: permissions, secrets and owners of applications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archives.acts import Asking, act, asking, changes, sql_of, without
from archives.scene import Record
from ualpipe.pipeline.report.contract import Own

GRAPH, FAKE = "00000003-0000-0000-c000-000000000000", "99999999-0000-0000-c000-000000000000"
GRAPH_PRINCIPAL, MAILER_PRINCIPAL = "c6de1beb-148e-43f6-8c73-29d84232e699", "37ee6e8e-5ddb-4679-ac17-57f57f34cbac"
MAILER, OURS = "fae68bde-ce54-48e7-ba7f-ec2dd43ebec1", "11111111-1111-1111-1111-111111111111"
ADMIN = "admin@contoso.com"


def principal(object_id: str, name: str, app_id: str, more: str = "") -> list[dict[str, Any]]:
    """Returns a service principal as Entra names it as a target."""
    return [
        {"ID": f"ServicePrincipal_{object_id}", "Type": 2},
        {"ID": object_id, "Type": 2},
        {"ID": "ServicePrincipal", "Type": 2},
        {"ID": name, "Type": 1},
        {"ID": app_id, "Type": 2},
        {"ID": f"{app_id}{more}", "Type": 4},
    ]


def entra(name: str, at: str, operation: str, target: list[dict[str, Any]], new: dict[str, str], **more: Any) -> Record:
    by = more.pop("by", ADMIN)
    modified = more.pop("modified", None) or changes(new)
    return act(
        name, at, operation, 8, by, **({"ResultStatus": "Success", "Target": target, "ModifiedProperties": modified} | more)
    )


def client(name: str, app_id: str, object_id: str) -> dict[str, str]:
    return {"ServicePrincipal.ObjectID": object_id, "ServicePrincipal.DisplayName": name, "ServicePrincipal.AppId": app_id}


def granted(*entries: tuple[str, str, str], before: str = "") -> str:
    """Returns permissions as a consent writes them: of (resource, consent type, scope) each."""
    told = ", ".join(
        f"[Id: x{at}, ClientId: {MAILER_PRINCIPAL}, PrincipalId: , ResourceId: {resource}, ConsentType: {kind}, Scope:  {scope}]"
        for at, (resource, kind, scope) in enumerate(entries)
    )
    return f"[{before}] => [{told}]; "


GRAPH_TARGET = principal(GRAPH_PRINCIPAL, "Microsoft Graph", GRAPH, "/ags.windows.net;https://graph.microsoft.com")
MAILER_TARGET = principal(MAILER_PRINCIPAL, "Mailer", MAILER)
SECRETS = "Update application \N{EN DASH} Certificates and secrets management "
KEY = "[KeyIdentifier={},KeyType=Password,KeyUsage=Verify,DisplayName=x]"
ROLE = "Add app role assignment to service principal."
GRANT = f"ClientId: {MAILER_PRINCIPAL}, PrincipalId: , ResourceId: {GRAPH_PRINCIPAL}, ConsentType: Principal, Scope: "
OLD_GRANT = f"[Id: x0, {GRANT} User.Read]"

RECORDS = [
    # An application permission on an API that is known by its id reaches each mailbox.
    entra(
        "app mail", "11-16 09:00", ROLE, GRAPH_TARGET, client("Mailer", MAILER, MAILER_PRINCIPAL) | {"AppRole.Value": "Mail.Read"}
    ),
    # The same name on an API that is only called Microsoft Graph reaches nobody knows what.
    entra(
        "faked api",
        "11-16 09:10",
        ROLE,
        principal("0", "Microsoft Graph", FAKE),
        client("Mailer", MAILER, MAILER_PRINCIPAL) | {"AppRole.Value": "Mail.Read"},
    ),
    # Other application permissions: files of all sites, and one that is neither.
    entra(
        "app files",
        "11-16 09:20",
        ROLE,
        GRAPH_TARGET,
        client("Mailer", MAILER, MAILER_PRINCIPAL) | {"AppRole.Value": "Files.Read.All"},
    ),
    entra(
        "app users",
        "11-16 09:30",
        ROLE,
        GRAPH_TARGET,
        client("Mailer", MAILER, MAILER_PRINCIPAL) | {"AppRole.Value": "User.Read.All"},
    ),
    # Delegated ones never reach each mailbox, for one user or for all; the client is known by its principal only.
    entra(
        "one user",
        "11-16 10:00",
        "Add delegated permission grant.",
        GRAPH_TARGET,
        client("", "", MAILER_PRINCIPAL)
        | {"DelegatedPermissionGrant.Scope": " Mail.Read", "DelegatedPermissionGrant.ConsentType": "Principal"},
    ),
    entra(
        "all users",
        "11-16 10:10",
        "Add delegated permission grant",
        GRAPH_TARGET,
        client("", "", MAILER_PRINCIPAL)
        | {"DelegatedPermissionGrant.Scope": "Mail.Read", "DelegatedPermissionGrant.ConsentType": "AllPrincipals"},
    ),
    entra(
        "grant taken",
        "11-16 10:20",
        "Remove delegated permission grant.",
        GRAPH_TARGET,
        {},
        modified=changes(
            old={
                "DelegatedPermissionGrant.Scope": "Mail.Read",
                "DelegatedPermissionGrant.ConsentType": "Principal",
                "ServicePrincipal.ObjectID": MAILER_PRINCIPAL,
            }
        ),
    ),
    # Consents: of two resources with one known, of nothing new but one scope, for all, and one that names no permission.
    entra(
        "consent",
        "11-16 11:00",
        "Consent to application.",
        MAILER_TARGET,
        {
            "ConsentContext.OnBehalfOfAll": "False",
            "ConsentContext.IsAppOnly": "False",
            "ConsentAction.Permissions": granted(
                (GRAPH_PRINCIPAL, "Principal", "User.Read Mail.Send"), ("unknown-1", "Principal", "x.y")
            ),
        },
        by="kofi@contoso.com",
    ),
    entra(
        "consent again",
        "11-16 11:10",
        "Consent to application.",
        MAILER_TARGET,
        {
            "ConsentAction.Permissions": f"[{OLD_GRANT}] => [{OLD_GRANT}, [Id: x1, {GRANT}Mail.Read, CreatedDateTime: ]]; ",
        },
        by="kofi@contoso.com",
    ),
    entra(
        "consent for all",
        "11-16 11:20",
        "Consent to application.",
        MAILER_TARGET,
        {
            "ConsentContext.OnBehalfOfAll": "True",
            "ConsentAction.Permissions": granted((GRAPH_PRINCIPAL, "", "Mail.Read")),
        },
    ),
    entra(
        "consent to nothing", "11-16 11:30", "Consent to application.", MAILER_TARGET, {"ConsentContext.OnBehalfOfAll": "False"}
    ),
    # Secrets: the operation has a dash and a blank of its own; whether keys came or went is in their number.
    entra(
        "secret",
        "11-16 12:00",
        SECRETS,
        [{"ID": "Application_1", "Type": 2}, {"ID": "Mailer", "Type": 1}],
        {},
        modified=changes({"KeyDescription": f'["{KEY.format(1)}"]'}, {"KeyDescription": "[]"}),
    ),
    entra(
        "secret gone",
        "11-16 12:10",
        SECRETS,
        [{"ID": "Application_1", "Type": 2}, {"ID": "Mailer", "Type": 1}],
        {},
        modified=changes({"KeyDescription": "[]"}, {"KeyDescription": f'["{KEY.format(1)}"]'}),
    ),
    entra(
        "secret renewed",
        "11-16 12:15",
        SECRETS,
        [{"ID": "Application_1", "Type": 2}, {"ID": "Mailer", "Type": 1}],
        {},
        modified=changes({"KeyDescription": f'["{KEY.format(3)}"]'}, {"KeyDescription": f'["{KEY.format(1)}"]'}),
    ),
    entra(
        "secret of ours",
        "11-16 12:20",
        "Add service principal credentials.",
        principal("5", "Ours", OURS),
        {},
        modified=changes({"KeyDescription": f'["{KEY.format(2)}"]'}, {"KeyDescription": "[]"}),
        by="ServicePrincipal_7b1ac1bc-3ee1-4ec6-9a8d-4d3c0f5bf0d2",
    ),
    # Owners.
    entra(
        "owner",
        "11-16 13:00",
        "Add owner to application.",
        [{"ID": "kofi@contoso.com", "Type": 5}],
        {"Application.DisplayName": "Mailer", "Application.AppId": MAILER},
        ObjectId="Application_1",
        by="user_0123456789abcdef0123456789abcdef@contoso.onmicrosoft.com",
    ),
    # Refused, and near misses: a user's assignment to an application, a change of it, a cmdlet of that name.
    entra(
        "refused",
        "11-16 14:00",
        ROLE,
        GRAPH_TARGET,
        client("Mailer", MAILER, MAILER_PRINCIPAL) | {"AppRole.Value": "Mail.Read"},
        ResultStatus="Failure",
    ),
    entra("assigned", "11-16 15:00", "Add app role assignment grant to user.", MAILER_TARGET, {"AppRole.Value": "Mail.Read"}),
    entra("changed", "11-16 15:10", "Update application.", MAILER_TARGET, {"DisplayName": "Mailer"}),
    entra("cmdlet", "11-16 15:20", ROLE, GRAPH_TARGET, {"AppRole.Value": "Mail.Read"}, RecordType=1),
]

M = {"app": "Mailer", "app_id": MAILER}
API = {"api": "Microsoft Graph", "verified": "yes"}
GIVEN = M | API | {"act": "permission given", "kind": "application", "actor": ADMIN}
DELEGATED = M | API | {"kind": "delegated"}
EXPECTED = [
    GIVEN
    | {
        "time": "11-16 14:00",
        "permission": "Mail.Read",
        "reach": "every mailbox",
        "event_ids": ["refused"],
        "excluded": "refused by the directory",
    },
    M
    | {
        "time": "11-16 13:00",
        "act": "owner added",
        "permission": "kofi@contoso.com",
        "actor": "user_0123456789abcdef0123456789abcdef@contoso.onmicrosoft.com",
        "note": "by staff of a partner",
        "event_ids": ["owner"],
    },
    {
        "time": "11-16 12:20",
        "act": "secret or certificate added",
        "app": "Ours",
        "app_id": OURS,
        "permission": KEY.format(2),
        "actor": "serviceprincipal_7b1ac1bc-3ee1-4ec6-9a8d-4d3c0f5bf0d2",
        "note": "own application, by an application or service",
        "event_ids": ["secret of ours"],
    },
    {
        "time": "11-16 12:15",
        "act": "secret or certificate added",
        "app": "Mailer",
        "permission": KEY.format(3),
        "actor": ADMIN,
        "event_ids": ["secret renewed"],
    },
    {
        "time": "11-16 12:10",
        "act": "secret or certificate removed",
        "app": "Mailer",
        "permission": KEY.format(1),
        "actor": ADMIN,
        "event_ids": ["secret gone"],
    },
    {
        "time": "11-16 12:00",
        "act": "secret or certificate added",
        "app": "Mailer",
        "permission": KEY.format(1),
        "actor": ADMIN,
        "event_ids": ["secret"],
    },
    M
    | {
        "time": "11-16 11:30",
        "act": "consent given",
        "verified": "no",
        "kind": "delegated",
        "reach": "unknown",
        "actor": ADMIN,
        "event_ids": ["consent to nothing"],
    },
    DELEGATED
    | {
        "time": "11-16 11:20",
        "act": "consent given",
        "permission": "Mail.Read",
        "reach": "all users, each within their own rights",
        "actor": ADMIN,
        "event_ids": ["consent for all"],
    },
    DELEGATED
    | {
        "time": "11-16 11:10",
        "act": "consent given",
        "permission": "Mail.Read",
        "reach": "one user, within their own rights",
        "actor": "kofi@contoso.com",
        "event_ids": ["consent again"],
    },
    DELEGATED
    | {
        "time": "11-16 11:00",
        "act": "consent given",
        "permission": "User.Read Mail.Send",
        "reach": "one user, within their own rights",
        "actor": "kofi@contoso.com",
        "event_ids": ["consent"],
    },
    M
    | {
        "time": "11-16 11:00",
        "act": "consent given",
        "verified": "no",
        "kind": "delegated",
        "permission": "x.y",
        "reach": "one user, within their own rights",
        "actor": "kofi@contoso.com",
        "event_ids": ["consent"],
    },
    DELEGATED
    | {
        "time": "11-16 10:20",
        "act": "permission taken",
        "permission": "Mail.Read",
        "reach": "one user, within their own rights",
        "actor": ADMIN,
        "event_ids": ["grant taken"],
    },
    DELEGATED
    | {
        "time": "11-16 10:10",
        "act": "permission given",
        "permission": "Mail.Read",
        "reach": "all users, each within their own rights",
        "actor": ADMIN,
        "event_ids": ["all users"],
    },
    DELEGATED
    | {
        "time": "11-16 10:00",
        "act": "permission given",
        "permission": "Mail.Read",
        "reach": "one user, within their own rights",
        "actor": ADMIN,
        "event_ids": ["one user"],
    },
    GIVEN | {"time": "11-16 09:30", "permission": "User.Read.All", "reach": "the whole organisation", "event_ids": ["app users"]},
    GIVEN | {"time": "11-16 09:20", "permission": "Files.Read.All", "reach": "every site", "event_ids": ["app files"]},
    GIVEN
    | {
        "time": "11-16 09:10",
        "verified": "no",
        "permission": "Mail.Read",
        "reach": "the whole organisation",
        "event_ids": ["faked api"],
    },
    GIVEN | {"time": "11-16 09:00", "permission": "Mail.Read", "reach": "every mailbox", "event_ids": ["app mail"]},
]
OWN = [Own("app", OURS)]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("apps"), RECORDS) as found:
        yield found


def test_each_permission_secret_and_owner_is_told_with_its_reach(ask: Asking) -> None:
    assert ask(sql_of("apps"), own=OWN) == EXPECTED


@pytest.mark.parametrize(
    ("condition", "instead"),
    [
        ("k.operation = rtrim(lower(e.operation), '.')", "k.operation = lower(e.operation)"),
        ("where e.record_type = 8  -- the last one is spelled with a dash of its own", "where true"),
        ("like 'update application%certificates", "like 'update application - certificates"),
        ("(k.kind is not null or", "(true or"),
        ("x.app_id = r.api_id", "x.name = r.api"),
        ("k.kind = 'delegated' and k.consent_type = 'Principal'", "false"),
        (
            "when k.kind = 'delegated' and k.consent_type = 'AllPrincipals' then 'all users, each within their own rights'",
            "when false then ''",
        ),
        ("position(entry in before) = 0", "true"),
        ("where entry <> ''", "where entry <> '' and number = 1"),
        ("'Scope:', 2), ',', 1)", "'Scope:', 2), ']', 1)"),
        ("n.for_all = 'true'", "false"),
        ("p.principal_id = r.principal_id", "false"),
        ("r.principal_id = lower(trim(", "r.principal_id = upper(trim("),
        ("'Key', ''))\n                <", "'Key', ''))\n                <="),
        ("'ServicePrincipal.ObjectID' then lower(coalesce(new, old))", "'ServicePrincipal.ObjectID' then lower(new)"),
        ("coalesce(a.target, m.address, m.name", "coalesce(m.name"),
        ("coalesce(a.outcome, '') = 'failure'", "false"),
        ("a.actor_kind = 'partner'", "false"),
        ("o.kind = 'app' and o.value = k.app_id", "o.kind = 'app'"),
        ("trim(n.scope) as permission", "n.scope as permission"),
    ],
)
def test_each_condition_decides_about_a_row(ask: Asking, condition: str, instead: str) -> None:
    assert ask(without(sql_of("apps"), condition, instead), own=OWN) != EXPECTED
