"""The identity of a record, by which duplicates are found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

DIGEST_BYTES = 16

_SCOPE_LIMIT = 1000  # tenants: foreign text must not fill the memory

_scopes: dict[str, Callable[[], Any]] = {}
"""For each tenant, as records write it: returns a new hash that has taken in the tenant already."""


def digest_of(record: Mapping[str, Any], tenant: str) -> bytes | None:
    """Returns the identity of a record: its ``Id`` within its tenant (``OrganizationId``, else the source's).

    Returns:
        16 bytes; None for a record without a usable Id, which is never a duplicate.
    """
    own = record.get("Id")
    if not own or not isinstance(own, str):
        return None
    organization = record.get("OrganizationId")
    scope = organization if isinstance(organization, str) and organization else None
    begun = (_scopes.get(scope) or _scope(scope)) if scope is not None else _begin(tenant)
    digest = begun()
    digest.update(own.lower().encode("utf-8", "replace"))
    return digest.digest()  # type: ignore[no-any-return]


def _scope(organization: str) -> Callable[[], Any]:
    if len(_scopes) >= _SCOPE_LIMIT:
        _scopes.clear()
    _scopes[organization] = begun = _begin(organization.lower())
    return begun


def _begin(scope: str) -> Callable[[], Any]:
    return hashlib.blake2b(f"{scope}\0".encode("utf-8", "replace"), digest_size=DIGEST_BYTES).copy
