"""The clouds of Microsoft 365: where the Management Activity API answers, and where one signs in for it."""

from __future__ import annotations

from dataclasses import dataclass

from ualpipe.clients.entra.api import Api
from ualpipe.clients.entra.clouds import AUTHORITIES, ROOT, CloudName
from ualpipe.pipeline.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCloud:
    """Another cloud than the four of Microsoft: a private relay, or a simulated tenant."""

    authority: str = option("Root of the login service, `https://` and without a path.", pattern=ROOT)
    api: str = option("Root of the Management Activity API, `https://` and without a path.", pattern=ROOT)


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud.

    Attributes:
        authority: Root of the login service, without a slash at the end.
        api: Root of the API, without a slash at the end. Tokens are made for it and sent nowhere else.
    """

    authority: str
    api: str

    @property
    def token_for(self) -> Api:
        """The API that tokens are asked for."""
        return Api(
            "Management Activity API",
            f"{self.api}/.default",
            enterprise_app="Office 365 Management APIs",
            if_unknown="turn on auditing in the Purview portal",
        )

    def feed(self, tenant_id: str) -> str:
        """Returns the URL below which all operations of a tenant stand."""
        return f"{self.api}/api/v1.0/{tenant_id}/activity/feed"


# Source: Office 365 Management Activity API reference, "Activity API operations".
_API_ROOTS: dict[CloudName, str] = {
    "commercial": "https://manage.office.com",
    "gcc": "https://manage-gcc.office.com",
    "gcc_high": "https://manage.office365.us",
    "dod": "https://manage.protection.apps.mil",
}
CLOUDS = {name: Cloud(AUTHORITIES[name], root) for name, root in _API_ROOTS.items()}


def cloud_of(choice: CloudName | CustomCloud) -> Cloud:
    """Returns the cloud that the option ``cloud`` names or describes."""
    if isinstance(choice, CustomCloud):
        return Cloud(choice.authority.rstrip("/"), choice.api.rstrip("/"))
    return CLOUDS[choice]
