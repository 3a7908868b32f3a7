"""Options of the ``sentinel`` sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ualpipe.clients.pace import REQUEST_TIMEOUT
from ualpipe.clients.tls import CA_FILE
from ualpipe.clients.urls import PROXY
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Duration, Secret, option
from ualpipe.sinks.sentinel.clouds import AzureCloudName, CustomAzureCloud
from ualpipe.sinks.sentinel.tables import Kind, ProfileName, tables_of

_OF_RULE: dict[str, Any] = {
    "x-form": "the immutable id of a rule, `dcr-` and 32 digits and letters",
    "pattern": r"^dcr-[0-9a-f]{32}$",
}
_STREAM = r"^(Custom|Microsoft)-[A-Za-z][A-Za-z0-9_]{0,80}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsimStreams:
    """Streams of the three kinds of events of ``profile: asim``."""

    audit: str = option("Stream of audit events.", default="Custom-ASimAuditEventLogs", pattern=_STREAM)
    authentication: str = option("Stream of logons.", default="Custom-ASimAuthenticationEventLogs", pattern=_STREAM)
    file: str = option("Stream of what is done with files.", default="Custom-ASimFileEventLogs", pattern=_STREAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelSinkConfig:
    """Options of the ``sentinel`` sink."""

    endpoint: str = option(
        "Where the data collection rule takes rows: the address under `logsIngestion` in its JSON view, or that of a data "
        "collection endpoint.",
        pattern=r"^https://[^@/?#\s]+/?$",
        examples=["https://ualpipe-a1b2.westeurope-1.ingest.monitor.azure.com"],
    )
    dcr: str = option(
        "Immutable id of the data collection rule.",
        examples=["dcr-00000000000000000000000000000000"],
        **_OF_RULE,
    )
    tenant_id: str = option(
        "Tenant that the app signs in to (directory id or domain): that of the workspace's subscription.",
        pattern=r"^[A-Za-z0-9.-]+$",
        examples=["22222222-2222-2222-2222-222222222222"],
    )
    credential: str = option(
        "The app registration that signs in: its name under `credentials`. It needs the role Monitoring Metrics Publisher on the "
        "rule.",
        ref="credentials",
    )
    profile: ProfileName = option(
        "What rows look like: `office_activity` has the columns of Microsoft's table OfficeActivity, `asim` goes to Microsoft's "
        "tables of audit events, logons and files, `raw` has the record in one column.",
        default="office_activity",
    )
    stream: str | None = option(
        "Stream that the rule declares; by default as `ualpipe sentinel template` names it.", default=None, pattern=_STREAM
    )
    streams: AsimStreams | None = option("Streams of `profile: asim`; by default as the template names them.", default=None)
    cloud: AzureCloudName | CustomAzureCloud = option("The cloud that the workspace is in.", default="commercial")
    compression: Literal["gzip", "none"] = option("How requests are compressed.", default="gzip")
    concurrency: int = option("Requests that are under way at once; each has at most 1 MB.", default=4, minimum=1, maximum=32)
    timeout: Duration = option(REQUEST_TIMEOUT, default="60s")
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    proxy: Secret | None = option(PROXY, default=None)

    def __post_init__(self) -> None:
        """Refuses names of streams that the profile has no use for."""
        if self.profile == "asim" and self.stream:
            raise ConfigError("`profile: asim` writes to three streams: name them under `streams`, not in `stream`")
        if self.profile != "asim" and self.streams:
            raise ConfigError(f"`streams` is for `profile: asim`; `profile: {self.profile}` writes to one: name it in `stream`")

    @property
    def stream_of(self) -> Mapping[Kind, str]:
        """The stream of each kind of event that the profile has."""
        named: dict[Kind, str | None] = {"all": self.stream}
        if (streams := self.streams) is not None:
            named |= {"audit": streams.audit, "authentication": streams.authentication, "file": streams.file}
        return {kind: named.get(kind) or table.stream for kind, table in tables_of(self.profile).items()}
