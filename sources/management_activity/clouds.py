"""The clouds of Microsoft 365: where one signs in, and where the API answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ualpipe.pipeline.options import option

CloudName = Literal["commercial", "gcc", "gcc_high", "dod"]

_ROOT = r"^https://[A-Za-z0-9.-]+(:\d+)?/?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCloud:
    """Another cloud than the four of Microsoft: a private relay, or a simulated tenant."""

    authority: str = option("Root of the login service, `https://` and without a path.", pattern=_ROOT)
    api: str = option("Root of the Management Activity API, `https://` and without a path.", pattern=_ROOT)


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
    def scope(self) -> str:
        """What a token is asked for."""
        return f"{self.api}/.default"

    def feed(self, tenant_id: str) -> str:
        """Returns the URL below which all operations of a tenant stand."""
        return f"{self.api}/api/v1.0/{tenant_id}/activity/feed"


# Source: Office 365 Management Activity API reference, "Activity API operations"; the login hosts of the national clouds
# are those of the identity platform.
CLOUDS: dict[CloudName, Cloud] = {
    "commercial": Cloud("https://login.microsoftonline.com", "https://manage.office.com"),
    "gcc": Cloud("https://login.microsoftonline.com", "https://manage-gcc.office.com"),
    "gcc_high": Cloud("https://login.microsoftonline.us", "https://manage.office365.us"),
    "dod": Cloud("https://login.microsoftonline.us", "https://manage.protection.apps.mil"),
}


def cloud_of(choice: CloudName | CustomCloud) -> Cloud:
    """Returns the cloud that the option ``cloud`` names or describes."""
    if isinstance(choice, CustomCloud):
        return Cloud(choice.authority.rstrip("/"), choice.api.rstrip("/"))
    return CLOUDS[choice]
