"""Options of the ``splunk_hec`` sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ualpipe.clients.pace import REQUEST_TIMEOUT
from ualpipe.clients.tls import CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, CLIENT_KEY_PASSWORD, VERIFY
from ualpipe.clients.urls import PROXY
from ualpipe.pipeline.options import Duration, Secret, Size, option

_URL = r"^https?://[^@/?#]+(/[^?#]*)?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplunkHecSinkConfig:
    """Options of the ``splunk_hec`` sink."""

    url: str | list[str] = option(
        "Where the HTTP Event Collector listens, without `/services/collector`; or a list of several, which are used in turn, "
        "and of which one that can't be reached is passed over. With acknowledgement a load balancer needs sticky sessions.",
        anyOf=[
            {"type": "string", "pattern": _URL},
            {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": _URL}},
        ],
        examples=[
            "https://splunk.contoso.example:8088",
            ["https://idx1.contoso.example:8088", "https://idx2.contoso.example:8088"],
        ],
    )
    token: Secret = option("Token of the HTTP Event Collector, a GUID.", examples=["${file:secrets/splunk-hec}"])
    payload: Literal["original", "ecs"] = option(
        "What an event is: the record as received, which Splunk's add-on for Microsoft 365 and its detections read; or the ECS "
        "document.",
        default="original",
    )
    index: str | None = option(
        "Index to write to, which the token has to allow; null for the token's default.",
        default=None,
        pattern=r"^[a-z0-9_][a-z0-9_-]*$",
    )
    source: str | None = option("Field `source`; null for the token's.", default=None, minLength=1)
    sourcetype: str | None = option(
        "Field `sourcetype`; null for the token's. The default is what Splunk's add-on calls these records.",
        default="o365:management:activity",
        minLength=1,
    )
    host: str | None = option("Field `host`; null for what Splunk puts there.", default=None, minLength=1)
    spacing: Literal["as_received", "blanks"] = option(
        "`blanks` puts a blank behind each comma and colon between the parts of an event, as Splunk's own add-on writes them, "
        "for extractions by regular expressions; values stay as they are.",
        default="as_received",
    )
    ack: Literal["auto", True, False] = option(
        "Whether to wait until the indexer says that it has the events (indexer acknowledgement). `auto`: if the token has it. "
        "`true`: always; a token without it is refused. `false`: never; events count as delivered when Splunk has taken them in, "
        "and what is in its memory when it is killed is lost.",
        default="auto",
    )
    ack_timeout: Duration = option(
        "How long to wait for that. What is not acknowledged by then is sent again, and may be there twice.", default="2m"
    )
    max_body_bytes: Size = option(
        "Largest body of a request, before compression. Splunk advises no more than 1 MB for Splunk Cloud, which refuses more "
        "than 5 MiB. A larger event goes alone.",
        default="960KiB",
    )
    compression: Literal["gzip", "none"] = option("How bodies are compressed.", default="gzip")
    concurrency: int = option(
        "Writes under way at the same time, of up to 2,000 events each. With acknowledgement most of the time of each is "
        "waiting: 8 carry over 5,000 events a second where the indexer takes a second to say so.",
        default=8,
        minimum=1,
        maximum=64,
    )
    timeout: Duration = option(REQUEST_TIMEOUT, default="30s")
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    client_certificate: Path | None = option(CLIENT_CERTIFICATE, default=None, reads=True)
    client_key: Path | None = option(CLIENT_KEY, default=None, reads=True)
    client_key_password: Secret | None = option(CLIENT_KEY_PASSWORD, default=None)
    verify: bool = option(VERIFY, default=True)
    proxy: Secret | None = option(PROXY, default=None)

    @property
    def urls(self) -> tuple[str, ...]:
        """The collectors, without a slash at the end."""
        found = (self.url,) if isinstance(self.url, str) else self.url
        return tuple(url.rstrip("/") for url in found)
