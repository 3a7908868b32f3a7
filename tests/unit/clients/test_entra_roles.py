"""The roles of a token are read where they can be, and are unknown where not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ualpipe.clients.entra.roles import MOST_TOKEN_CHARACTERS, roles_of


def token_of(claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2lnbmF0dXJl"


@pytest.mark.parametrize("roles", [[], ["ActivityFeed.Read"], ["ActivityFeed.Read", "ActivityFeed.ReadDlp"]])
def test_roles_are_read_whatever_padding_the_payload_lacks(roles: list[str]) -> None:
    for filler in ("", "x", "xx", "xxx"):
        assert roles_of(token_of({"filler": filler, "roles": roles})) == frozenset(roles)


def test_what_is_no_text_is_no_role() -> None:
    assert roles_of(token_of({"roles": ["ActivityFeed.Read", 1, None, ["x"]]})) == {"ActivityFeed.Read"}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "planted-token-1",
        "a.b",
        "a.b.c",
        "a.%%%%.c",
        "a.é.c",
        "e30..",
        token_of([]),
        token_of("roles"),
        token_of({}),
        token_of({"roles": "ActivityFeed.Read"}),
        token_of({"roles": None}),
        f"e30.{base64.urlsafe_b64encode(b'[' * 20_000).decode()}.c2ln",
        token_of({"roles": ["x" * MOST_TOKEN_CHARACTERS]}),
    ],
    ids=lambda token: token[:24],
)
def test_the_roles_of_another_token_are_not_known(token: str) -> None:
    assert roles_of(token) is None
