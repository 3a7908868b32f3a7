"""Options of the ``elasticsearch`` sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ualpipe.clients.pace import REQUEST_TIMEOUT
from ualpipe.clients.tls import CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, CLIENT_KEY_PASSWORD, VERIFY
from ualpipe.pipeline.options import Duration, Secret, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticsearchSinkConfig:
    """Options of the ``elasticsearch`` sink."""

    urls: list[str] = option(
        "Nodes of the cluster, or a load balancer in front of it. Several are used in turn.",
        minItems=1,
        items={"type": "string", "pattern": r"^https?://[^@/?#]+(/[^?#]*)?$"},
        examples=[["https://es1.contoso.example:9200", "https://es2.contoso.example:9200"]],
    )
    data_stream: str = option(
        "Data stream to write to, named `type-dataset-namespace`.",
        default="logs-o365.audit-default",
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        maxLength=100,
    )
    setup: bool = option(
        "Whether to install the index template when it is missing or older, and to roll the data stream over where its write "
        "index can't take it. Needs the cluster privilege `manage_index_templates`, and on the data stream "
        "`view_index_metadata` and `manage`: without these two it says that a rollover may be needed, and delivers.",
        default=True,
    )
    api_key: Secret | None = option("API key, as `encoded` or as `id:api_key`.", default=None)
    username: str | None = option("User, in place of an API key.", default=None)
    password: Secret | None = option("Password of the user.", default=None)
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    client_certificate: Path | None = option(CLIENT_CERTIFICATE, default=None, reads=True)
    client_key: Path | None = option(CLIENT_KEY, default=None, reads=True)
    client_key_password: Secret | None = option(CLIENT_KEY_PASSWORD, default=None)
    verify: bool = option(VERIFY, default=True)
    timeout: Duration = option(REQUEST_TIMEOUT, default="60s")
    pipeline: str | None = option("Ingest pipeline that documents go through.", default=None, minLength=1)
    compress: bool = option("Compresses requests with gzip.", default=False)
    concurrency: int = option(
        "Bulk requests in parallel, into which each batch is divided. A node handles each in a thread of its own.",
        default=2,
        minimum=1,
        maximum=32,
    )
