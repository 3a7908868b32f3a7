"""Options of the ``management_activity`` source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ualpipe.clients.entra.clouds import CloudName
from ualpipe.clients.tls import CA_FILE
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
    content_types: list[ContentType] = option(
        "What to collect, each a stream of its own; their subscriptions are started where they are missing. `DLP.All` needs "
        "the permission ActivityFeed.ReadDlp besides.",
        default=["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"],
        minItems=1,
        uniqueItems=True,
    )
    start: Duration = option(
        "How far back the first run reaches; at most 7d, which is what the service keeps. What is older is left alone; "
        "`ualpipe reconcile` fetches it.",
        default="24h",
    )
    lookback: Duration = option(
        "How far back each listing reaches again: content turns up late, under an earlier time. At most 7d. Once an "
        "hour all that the service still has is listed, for what turned up even later.",
        default="24h",
    )
    poll_interval: Duration = option("Pause between two listings of a content type.", default="60s")
    requests_per_minute: int = option(
        "Request budget; the service allows a tenant 2,000, more to large ones. Sources of one tenant share the strictest.",
        default=2000,
        minimum=1,
    )
    concurrency: int = option(
        "Content blobs fetched at the same time; fewer while the service is strained.", default=8, minimum=1, maximum=64
    )
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    proxy: Secret | None = option("URL of an HTTP proxy, with name and password where it wants them.", default=None)
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
        "Longest content blob, decompressed, of all its pages; a longer one is dead-lettered.", default="1GiB"
    )
