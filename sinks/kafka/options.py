"""Options of the ``kafka`` sink, and what both clients need of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

from ualpipe.clients.tls import TlsOptions
from ualpipe.clients.tls_failures import Peer
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Duration, Secret, Size, option

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
DriverName = Literal["kafka-python", "confluent"]

DEFAULT_PORT = 9092
MAX_RECONNECT_PAUSE_MS = 1000  # the clients' own pauses grow to 10 and 30 s: a broker that is back would wait for messages
BROKER = Peer("the broker", "check `bootstrap_servers` and the broker's `advertised.listeners`", "tls.")
_CODEC_PACKAGES = {"snappy": ("snappy", "python-snappy"), "lz4": ("lz4", "lz4")}  # what kafka-python imports; where it comes from


@dataclass(frozen=True, slots=True, kw_only=True)
class Sasl:
    """Log-in by SASL. Event Hubs: mechanism PLAIN, user ``$ConnectionString``, the connection string as password."""

    mechanism: Mechanism = option("SASL mechanism.", default="PLAIN")
    username: str = option("User name.", minLength=1)
    password: Secret = option("Password.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSinkConfig:
    """Options of the ``kafka`` sink."""

    bootstrap_servers: list[str] = option(
        "Brokers for the first connection, as `host:port`.",
        minItems=1,
        items={"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:\d{1,5})?$"},
        examples=[["kafka1.contoso.example:9092", "kafka2.contoso.example:9092"]],
    )
    topic: str = option("Topic to write to.", pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    driver: Literal["auto", "kafka-python", "confluent"] = option(
        "Client library. `confluent` is ten times faster and needs the extra `fast`; `auto` takes it where it is installed.",
        default="auto",
    )
    payload: Literal["ecs", "original"] = option(
        "Content of a message: the ECS document, or the record as received.", default="ecs"
    )
    timestamp: Literal["delivery", "event"] = option(
        "Time of a message. With `event`, a topic's retention counts from when the audited act took place, so that records older "
        "than the retention vanish at once.",
        default="delivery",
    )
    compression: Compression = option("Compression of message batches.", default="none")
    sasl: Sasl | None = option("SASL authentication; none by default.", default=None)
    tls: TlsOptions | None = option("TLS; off by default. `{}` turns it on with defaults.", default=None)
    timeout: Duration = option("Longest wait for the brokers to acknowledge a batch.", default="30s")
    linger: Duration = option("How long the producer waits for further messages to send them in one request.", default="5ms")
    max_message_bytes: Size = option(
        "Largest message, headers included and before compression; larger ones are dead-lettered. Not above the topic's "
        "`max.message.bytes`.",
        default="1MiB",
    )


def choose_driver(config: KafkaSinkConfig) -> DriverName:
    """Returns the client library to use.

    Raises:
        ConfigError: The library, or a package that the compression needs, is not installed.
    """
    is_fast = importlib.util.find_spec("confluent_kafka") is not None
    driver = ("confluent" if is_fast else "kafka-python") if config.driver == "auto" else config.driver
    if driver == "confluent" and not is_fast:
        raise ConfigError("kafka.driver: confluent needs the extra `fast`: pip install 'ualpipe[fast]'")
    if driver == "kafka-python" and config.compression in _CODEC_PACKAGES:
        module, package = _CODEC_PACKAGES[config.compression]
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"kafka.compression: {config.compression} needs a package: pip install {package}, "
                f"or pip install 'ualpipe[fast]', or choose gzip or zstd"
            )
    return driver


def security_protocol(config: KafkaSinkConfig) -> str:
    """Returns Kafka's name for the combination of ``sasl`` and ``tls``."""
    return ("SASL_" if config.sasl else "") + ("SSL" if config.tls else "PLAINTEXT")


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port of ``host:port``, ``host`` or ``[::1]:port``."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port)
