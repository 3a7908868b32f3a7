"""Options of the ``management_activity`` source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ualpipe.clients.entra.clouds import CloudName
from ualpipe.clients.tls import CA_FILE
from ualpipe.clients.urls import PROXY
from ualpipe.pipeline.options import Duration, Secret, Size, option
from ualpipe.sources.management_activity.clouds import CustomCloud

ContentType = Literal["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"]


_GUID = r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"


_GUID_FORM = "a GUID such as 22222222-2222-2222-2222-222222222222"
_OF_GUID: dict[str, Any] = {"x-form": _GUID_FORM, "pattern": _GUID}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementActivityConfig:
    """Options of the ``management_activity`` source."""

    tenant_id: str = option(
        "The tenant to collect from (directory id, a GUID).",
        examples=["22222222-2222-2222-2222-222222222222"],
        **_OF_GUID,
    )
    credential: str = option("The app registration that signs in: its name under `credentials`.", ref="credentials")
    cloud: CloudName | CustomCloud = option("The Microsoft cloud that the tenant is in.", default="commercial")
    content_types: list[ContentType] | None = option(
        "Content types to collect, each a stream of its own; all five by default. Missing subscriptions are started. `DLP.All` "
        "also needs the permission ActivityFeed.ReadDlp. Without it, and where the service then refuses `DLP.All`, the default "
        "leaves it out with a warning; a content type that is named here is an error.",
        default=None,
        minItems=1,
        uniqueItems=True,
    )
    start: Duration = option(
        "How far back the first run collects; at most 7d, which is what the service keeps. What is older is left alone; "
        "`ualpipe reconcile` fetches it.",
        default="24h",
    )
    lookback: Duration = option(
        "Overlap of each listing with the one before: content turns up late, under an earlier time. At most 7d. Once an "
        "hour all that the service still has is listed, for what turned up even later.",
        default="24h",
    )
    poll_interval: Duration = option("Pause between two listings of a content type.", default="60s")
    requests_per_minute: int = option(
        "Requests per minute at most. The service allows 2,000 per tenant, more for large ones. Sources of the same tenant share "
        "one budget, the lowest.",
        default=2000,
        minimum=1,
    )
    concurrency: int = option(
        "Content blobs fetched at the same time, at most; fewer while the service throttles or answers late.",
        default=8,
        minimum=1,
        maximum=64,
    )
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    proxy: Secret | None = option(PROXY, default=None)
    publisher_id: str | None = option(
        "GUID under which the service counts requests; your own tenant id by default.",
        default=None,
        **_OF_GUID,
    )
    timeout: Duration = option(
        "Longest silence of the service; listings of large tenants take their time. An answer that comes more slowly than 4 KiB "
        "a second is given up after about that time, any answer after fifteen times that.",
        default="60s",
    )
    max_blob_size: Size = option(
        "Largest content blob, decompressed, all its pages together; a larger one is dead-lettered.", default="1GiB"
    )
