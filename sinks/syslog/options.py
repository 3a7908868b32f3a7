"""Options of the ``syslog`` sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ualpipe.clients.tls import TlsOptions
from ualpipe.clients.tls_failures import Peer
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Duration, Size, option

RECEIVER = Peer("the receiver", "check `host`, or set `tls.server_name`", "tls.")

ACKNOWLEDGED = ("relp", "relp+tls")
"""Transports in which the receiver itself answers each message."""

_OF_UNANSWERED = {"framing": "octet_counting", "confirm": "ack", "resend": 5.0, "resend_size": 8 << 20}
"""Options that are about connections over which the receiver says nothing, with their defaults."""

Severity = Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
Facility = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "clock",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogTlsOptions(TlsOptions):
    """The TLS options of all stages, and one that only receivers behind a relay need."""

    server_name: str | None = option("Name that the receiver's certificate bears, where it is not `host`.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityOptions:
    """Which severity a message gets; the first that fits counts."""

    pipeline_error: Severity = option("Where `event.kind` is `pipeline_error`: a record that could not be mapped.", default="err")
    alert: Severity = option("Where `event.kind` is `alert`.", default="warning")
    failure: Severity = option("Where `event.outcome` is `failure`.", default="notice")
    other: Severity = option("All others.", default="info")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogSinkConfig:
    """Options of the ``syslog`` sink."""

    host: str = option("Name or address of the receiver.", minLength=1, examples=["siem.contoso.example"])
    port: int | None = option(
        "Port of the receiver; null for 514 (udp, tcp), 6514 (tls) or 2514 (relp, relp+tls).",
        default=None,
        minimum=1,
        maximum=65535,
    )
    transport: Literal["udp", "tcp", "tls", "relp", "relp+tls"] = option(
        "Transport protocol. With `udp` nobody notices a lost message; with `tcp` and `relp` others can read them. With `relp` "
        "and `relp+tls` the receiver itself acknowledges each message (rsyslog's imrelp does), so that none is lost.",
        default="tls",
    )
    format: Literal["rfc5424", "rfc3164"] = option(
        "Syslog header format. `rfc3164` has neither year nor zone (UTC is sent) and no structured data.", default="rfc5424"
    )
    framing: Literal["octet_counting", "newline"] = option(
        "How messages are delimited over `tcp` and `tls`.", default="octet_counting"
    )
    payload: Literal["ecs", "original", "cef", "leef"] = option(
        "Content of a message: the ECS document as JSON, the record as received, or the document as CEF or LEEF 2.0.",
        default="ecs",
    )
    confirm: Literal["ack", "close"] = option(
        "When a batch counts as delivered (`tcp`, `tls`). `ack`: the receiver's machine has acknowledged every byte (only Linux "
        "tells); what the receiver has not read when it is killed is lost, but for what `resend` brings again. `close`: the "
        "receiver has closed the connection after us, which it does when it has read everything; costs one connection a batch. "
        "The first batch over a TLS connection is always confirmed by its close.",
        default="ack",
    )
    resend: Duration = option(
        "When a connection breaks (`tcp`, `tls`), messages of the last so many seconds are sent again: what the receiver, or a "
        "proxy before it, had acknowledged and not read yet is lost with it. So they may come twice; in the structured data of "
        'RFC 5424 they are marked `resent="1"`, other forms have no place for a mark. `0s` sends nothing again.',
        default="5s",
    )
    resend_size: Size = option(
        "Memory limit of the buffer for `resend`; beyond it the oldest messages are dropped. Linux acknowledges up to 6 MiB that "
        "a receiver has not read (`tcp_rmem`).",
        default="8MiB",
    )
    facility: Facility = option("Facility of all messages.", default="local0")
    severity: SeverityOptions = option("Severity by kind of event.", default={})
    hostname: str | None = option(
        "Host name in the header; null for the machine's, which in a container is the container's id.",
        default=None,
        pattern="^[!-~]{1,255}$",
    )
    app_name: str = option("Program's name in the header (the tag of RFC 3164).", default="ualpipe", pattern="^[!-~]{1,48}$")
    structured_data: str | None = option(
        "SD-ID of the structured data, which holds the record's id, tenant and type; null for no structured data. 32473 "
        "is the number that RFC 5612 "
        "reserves for examples: put your own enterprise number where the receiver wants a registered one.",
        default="ualpipe@32473",
        pattern=r"^[!#-<>-\\^-~]{1,32}$",  # no blank, =, ] or "
    )
    bom: bool = option(
        "Whether the text begins with the byte order mark that RFC 5424 asks for; many receivers dislike it.", default=False
    )
    max_message_bytes: Size | None = option(
        "A larger message, header included, is dead-lettered, never cut. Null for 65507B (udp) or 64KiB (all others). No more "
        "than the receiver takes, which cuts in silence, and acknowledges what it has cut: rsyslog 8 KiB (`maxMessageSize`) and "
        "syslog-ng 64 KiB (`log-msg-size`) where nobody changed it.",
        default=None,
    )
    tls: SyslogTlsOptions = option("Certificates, for `transport: tls` and `relp+tls`.", default={})
    timeout: Duration = option(
        "Longest wait for a connection, and for the receiver to acknowledge a batch; with `relp` longest silence of the "
        "receiver.",
        default="10s",
    )

    def __post_init__(self) -> None:
        """Refuses what has no meaning where each message is acknowledged.

        Raises:
            ConfigError: Such an option has another value than it has by itself.
        """
        if self.transport not in ACKNOWLEDGED:
            return
        for name, default in _OF_UNANSWERED.items():
            if getattr(self, name) != default:
                what = f"`{name}` has no meaning with `transport: {self.transport}`"
                raise ConfigError(f"syslog: {what}, where the receiver acknowledges each message: remove it")
