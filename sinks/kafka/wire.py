"""The few requests of Kafka's protocol that a probe needs, as pure functions over bytes.

Source: the protocol guide of Apache Kafka (headers v1, ApiVersions v0, SaslHandshake v1, SaslAuthenticate v0, Metadata v4
and v8: the newest without tagged fields), RFC 4616 (PLAIN) and RFC 5802 (SCRAM).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

METADATA, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 3, 17, 18, 36
UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, TOPIC_DENIED, UNSUPPORTED_MECHANISM = 3, 5, 29, 33
METADATA_WITH_RIGHTS, METADATA_PLAIN = 8, 4
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # more is no Kafka broker: HTTP and TLS bytes read as a length give hundreds of megabytes

MAX_ITERATIONS = 1_000_000
"""Of a SCRAM log-in: Kafka's default is 4,096, and what a broker asks for is computed without a pause."""

_CLIENT_ID = "ualpipe"
_WRITE_BIT = 1 << 4  # AclOperation.WRITE
_RIGHTS_UNKNOWN = -(1 << 31)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Topic:
    """What a broker says of a topic.

    Attributes:
        error: Kafka's error code; 0 for none.
        partitions: How many partitions it has.
        is_writable: Whether we may write to it; None where the broker does not tell.
    """

    error: int
    partitions: int
    is_writable: bool | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a broker says of the cluster: the addresses that clients have to reach, and the topic asked for."""

    brokers: list[tuple[str, int]] = field(default_factory=list)
    topic: Topic = Topic(UNKNOWN_TOPIC, 0)


class Reader:
    """Reads values one after another.

    Raises:
        struct.error: The bytes have come to an end.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, code: str) -> int:
        """Reads a big-endian number: ``b``, ``h`` or ``i``, as in ``struct``."""
        (value,) = struct.unpack_from(f">{code}", self._data, self._at)
        self._at += struct.calcsize(f">{code}")
        return int(value)

    def text(self) -> str:
        """Reads a string; empty for null."""
        return self._take(self.number("h")).decode("utf-8", "replace")

    def octets(self) -> bytes:
        """Reads a byte string; empty for null."""
        return self._take(self.number("i"))

    def array(self, read: Callable[[], T]) -> list[T]:
        """Reads an array; empty for null."""
        return [read() for _ in range(self.number("i"))]

    def _take(self, length: int) -> bytes:
        end = self._at + max(0, length)
        if end > len(self._data):
            raise struct.error("the answer is cut short")
        value, self._at = self._data[self._at : end], end
        return value


def request(api: int, version: int, correlation: int, body: bytes = b"") -> bytes:
    """Returns a request as it goes over the wire, length first."""
    message = struct.pack(">hhi", api, version, correlation) + text(_CLIENT_ID) + body
    return struct.pack(">i", len(message)) + message


def text(value: str) -> bytes:
    """Returns a string as it goes over the wire."""
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def octets(value: bytes) -> bytes:
    """Returns a byte string as it goes over the wire."""
    return struct.pack(">i", len(value)) + value


def metadata_body(topic: str, version: int, *, create: bool) -> bytes:
    """Returns the question for one topic; with ``create``, a broker that creates topics on demand creates this one."""
    body = struct.pack(">i", 1) + text(topic) + struct.pack(">?", create)
    return body + b"\x00\x01" if version >= METADATA_WITH_RIGHTS else body


def read_api_versions(answer: Reader) -> dict[int, int]:
    """Returns the newest version of each API that the broker knows."""
    answer.number("h")
    return {api: newest for api, _oldest, newest in answer.array(lambda: (_h(answer), _h(answer), _h(answer)))}


def read_metadata(answer: Reader, version: int) -> Metadata:
    """Reads the answer to ``metadata_body``."""
    answer.number("i")  # throttle time
    brokers = answer.array(lambda: _read_broker(answer))
    answer.text()  # cluster id
    answer.number("i")  # controller
    topics = answer.array(lambda: _read_topic(answer, version))
    return Metadata(brokers, topics[0]) if topics else Metadata(brokers)


def _read_broker(answer: Reader) -> tuple[str, int]:
    answer.number("i")
    host, port = answer.text(), answer.number("i")
    answer.text()  # rack
    return host, port


def _read_topic(answer: Reader, version: int) -> Topic:
    error = _h(answer)
    answer.text()
    answer.number("b")
    partitions = answer.array(lambda: _skip_partition(answer, version))
    rights = answer.number("i") if version >= METADATA_WITH_RIGHTS else _RIGHTS_UNKNOWN
    return Topic(error, len(partitions), None if rights == _RIGHTS_UNKNOWN else bool(rights & _WRITE_BIT))


def _skip_partition(answer: Reader, version: int) -> None:
    has_epoch = version >= METADATA_WITH_RIGHTS
    _h(answer)
    for _ in range(3 if has_epoch else 2):  # index, leader and its epoch
        answer.number("i")
    for _ in range(3 if has_epoch else 2):  # replicas, in-sync ones, and offline ones
        answer.array(lambda: answer.number("i"))


def _h(answer: Reader) -> int:
    return answer.number("h")


Exchange = Generator[bytes, bytes, None]
"""Yields what the client says, is sent what the server answers, and ends when the server has proven itself."""


def sasl_exchange(mechanism: str, username: str, password: str, nonce: str) -> Exchange:
    """Returns the client's side of a log-in.

    Raises:
        ValueError: While it runs: the answer of the server does not fit, or does not prove that it knows the password.
    """
    if mechanism == "PLAIN":
        return _plain(username, password)
    return _scram(mechanism.removeprefix("SCRAM-").replace("-", "").lower(), username, password, nonce)


def _plain(username: str, password: str) -> Exchange:
    yield f"\0{username}\0{password}".encode()


def _scram(algorithm: str, username: str, password: str, nonce: str) -> Exchange:
    def mac(key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, algorithm)

    bare = f"n={username.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    first = (yield f"n,,{bare}".encode()).decode()
    given = _attributes(first.split(","))
    if not given["r"].startswith(nonce):
        raise ValueError("the server answered to another nonce")
    if not 1 <= (iterations := int(given["i"])) <= MAX_ITERATIONS:
        raise ValueError(f"the server asks for {given['i'][:20]} iterations, more than {MAX_ITERATIONS}")
    unproven = f"c=biws,r={given['r']}"
    said = f"{bare},{first},{unproven}".encode()
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), base64.b64decode(given["s"]), iterations)
    client_key = mac(salted, b"Client Key")
    signature = mac(hashlib.new(algorithm, client_key).digest(), said)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    final = (yield f"{unproven},p={base64.b64encode(proof).decode()}".encode()).decode()
    expected = base64.b64encode(mac(mac(salted, b"Server Key"), said)).decode()
    if not hmac.compare_digest(_attributes(final.split(",")).get("v", ""), expected):
        raise ValueError("the server does not know the password")


def _attributes(parts: Iterable[str]) -> dict[str, str]:
    return dict(part.split("=", 1) for part in parts)
