"""The roles of an access token: which application permissions Entra ID says the app was granted.

A token is meant for the API, which verifies it; here its claims make messages more exact, and grant nothing.
"""

from __future__ import annotations

import base64
from typing import Any

from ualpipe.pipeline.records.json_reader import read_json

MOST_TOKEN_CHARACTERS = 64 * 1024
"""Of a token that is looked into; one with all roles of all APIs takes some thousand."""


def roles_of(token: str) -> frozenset[str] | None:
    """Returns the ``roles`` of a JSON Web Token, unverified; None where it names none or can't be read, as an opaque one."""
    parts = token.split(".") if len(token) <= MOST_TOKEN_CHARACTERS else []
    claims = _claims(parts[1]) if len(parts) == 3 else None
    roles = claims.get("roles") if isinstance(claims, dict) else None
    if not isinstance(roles, list):
        return None
    return frozenset(role for role in roles if isinstance(role, str))


def _claims(payload: str) -> Any:
    try:
        return read_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:  # no Base64, or no JSON within bounds
        return None
