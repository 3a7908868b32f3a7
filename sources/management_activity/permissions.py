"""Which application permission a content type needs besides ``ActivityFeed.Read``, and whether a token has it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from ualpipe.clients.entra.roles import roles_of
from ualpipe.pipeline.stages import Finding
from ualpipe.sources.management_activity.options import ContentType

BASIC = "ActivityFeed.Read"
_BESIDES: dict[str, str] = {"DLP.All": "ActivityFeed.ReadDlp"}

WHERE_TO_GRANT = (
    "Entra admin center > App registrations > the app > API permissions > Add a permission > Office 365 Management APIs > "
    "Application permissions: add {permission}, then grant admin consent"
)


def all_content_types() -> tuple[str, ...]:
    """Returns every content type that the service knows."""
    return get_args(ContentType)


def lacking(content_type: str, token: str) -> str:
    """Returns the permission that a content type needs and a token lacks; empty where it has it, or its roles are not known.

    A token without ``ActivityFeed.Read`` lacks nothing in particular: the service refuses it whatever is asked for.
    """
    needed, roles = _BESIDES.get(content_type), roles_of(token)
    return needed if needed and roles is not None and BASIC in roles and needed not in roles else ""


def findings(content_types: Sequence[str], token: str, *, are_named: bool) -> Iterator[tuple[str, Finding]]:
    """Yields what ``check --live`` says of content types for which a token lacks a permission, by content type.

    Args:
        content_types: Those to collect.
        token: The access token.
        are_named: Whether the config names them: then they are wanted, and it is an error.
    """
    for name in content_types:
        if permission := lacking(name, token):
            what = f"the app lacks the permission {permission}"
            action = WHERE_TO_GRANT.format(permission=permission)
            if are_named:
                action += f"; or take {name} out of `content_types`"
                yield name, Finding("error", f"content type {name}", what, action)
            else:
                what += "; `run` leaves this content type out where the service refuses it, and collects the others"
                yield (
                    name,
                    Finding("warning", f"content type {name}", what, action + f"; to do without {name}, set `content_types`"),
                )
