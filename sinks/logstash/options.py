"""Options of the ``logstash`` sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ualpipe.clients.tls import CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, CLIENT_KEY_PASSWORD, VERIFY
from ualpipe.clients.tls_failures import Peer
from ualpipe.pipeline.options import Duration, Secret, Size, option

RECEIVER = Peer("the receiver", "check `hosts`")
DEFAULT_PORT = 5044  # of the beats input in Logstash's and Graylog's documents


@dataclass(frozen=True, slots=True, kw_only=True)
class LogstashSinkConfig:
    """Options of the ``logstash`` sink."""

    hosts: list[str] = option(
        "Receivers, as `host:port`; without a port 5044.",
        minItems=1,
        items={"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:\d{1,5})?$"},
        examples=[["logstash1.contoso.example:5044", "logstash2.contoso.example:5044"]],
    )
    loadbalance: bool = option(
        "Whether several hosts are used in turn, one a write; else the first, and the next only when it fails.", default=False
    )
    payload: Literal["ecs", "original"] = option(
        "What an event holds: the ECS document, or the record as received, as text in `message`. Both have `@timestamp`, and "
        "`@metadata` as Beats send it (`beat`, `type`, `version`, `_id`).",
        default="ecs",
    )
    tls: bool = option("Whether connections are encrypted. Without, others can read them.", default=True)
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    client_certificate: Path | None = option(CLIENT_CERTIFICATE, default=None, reads=True)
    client_key: Path | None = option(CLIENT_KEY, default=None, reads=True)
    client_key_password: Secret | None = option(CLIENT_KEY_PASSWORD, default=None)
    verify: bool = option(VERIFY, default=True)
    timeout: Duration = option(
        "Longest wait for connecting, and longest silence of the receiver. An acknowledgement, of nothing too, lets it have as "
        "much again; a write is given up after fifteen times that.",
        default="30s",
    )
    compression: int = option(
        "Level of compression (zlib), 0 for none to 9. With the extra `fast`, levels above 3 are as 3.",
        default=1,
        minimum=0,
        maximum=9,
    )
    window: int = option(
        "Events that the receiver acknowledges together at most. Two windows are under way at a time.",
        default=500,
        minimum=1,
        maximum=10_000,
    )
    concurrency: int = option(
        "Writes at once, each over a connection of its own: for receivers that are slow to acknowledge. With more than one, "
        "batches may change places.",
        default=1,
        minimum=1,
        maximum=32,
    )
    max_event_bytes: Size = option(
        "A larger document is dead-lettered. No more than the receiver takes, which ends the connection at once.",
        default="10MiB",
    )

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each receiver."""
        return [_split(address) for address in self.hosts]


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port)
