"""What a token of Entra ID is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Api:
    """An API that takes tokens of Entra ID.

    Attributes:
        name: Name in messages (``Microsoft Graph``).
        scope: What a token is asked for: the API's root or application id URI, and ``/.default``: all that the app was granted.
        enterprise_app: Name of the API among the enterprise applications of a tenant.
        if_unknown: What to do where a tenant does not know the API.
    """

    name: str
    scope: str
    enterprise_app: str
    if_unknown: str
