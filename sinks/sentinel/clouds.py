"""The clouds of Azure: where one signs in, and for whom the tokens of Azure Monitor are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ualpipe.clients.entra.api import Api
from ualpipe.clients.entra.clouds import AUTHORITIES, ROOT
from ualpipe.pipeline.options import option

AzureCloudName = Literal["commercial", "government", "china"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomAzureCloud:
    """Another cloud than those of Azure: a private one, or a simulated service."""

    authority: str = option("Root of the login service, `https://` and without a path.", pattern=ROOT)
    monitor: str = option("Whom tokens are made for (their audience), as a URL.", pattern=ROOT)


@dataclass(frozen=True, slots=True)
class AzureCloud:
    """One cloud.

    Attributes:
        authority: Root of the login service, without a slash at the end.
        monitor: Audience of the tokens, without a slash at the end.
    """

    authority: str
    monitor: str

    @property
    def token_for(self) -> Api:
        """The API that tokens are asked for."""
        return Api(
            "Azure Monitor",
            f"{self.monitor}/.default",
            enterprise_app="Azure Monitor",
            if_unknown="give the tenant of the workspace's subscription",
        )


# Source: Azure Monitor, "Logs Ingestion API", authentication; Azure China, "Microsoft Entra authentication endpoints".
CLOUDS: dict[AzureCloudName, AzureCloud] = {
    "commercial": AzureCloud(AUTHORITIES["commercial"], "https://monitor.azure.com"),
    "government": AzureCloud(AUTHORITIES["gcc_high"], "https://monitor.azure.us"),
    "china": AzureCloud("https://login.partner.microsoftonline.cn", "https://monitor.azure.cn"),
}


def cloud_of(choice: AzureCloudName | CustomAzureCloud) -> AzureCloud:
    """Returns the cloud that the option ``cloud`` names or describes."""
    if isinstance(choice, CustomAzureCloud):
        return AzureCloud(choice.authority.rstrip("/"), choice.monitor.rstrip("/"))
    return CLOUDS[choice]
