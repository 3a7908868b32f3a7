"""Asks a broker, with a few requests of our own, whether it takes our log-in and has our topic.

Both client libraries answer a wrong password, a missing client certificate or an unknown topic by trying until their time is
over, and then speak of a timeout. The questions here find the cause in milliseconds.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ualpipe.clients.errors import ClientError, Unreachable, as_sink_errors, sink_error
from ualpipe.clients.pace import Pace, TooSlow
from ualpipe.clients.sockets import OpenSockets, PacedSocket, connect
from ualpipe.clients.tls import client_context
from ualpipe.clients.tls_failures import tls_failure
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.sinks.kafka import wire
from ualpipe.sinks.kafka.options import BROKER, KafkaSinkConfig, Sasl, split_address

MAX_CONNECT_S = 10.0


def ask_cluster(config: KafkaSinkConfig, sockets: OpenSockets) -> wire.Metadata:
    """Asks one bootstrap server after the other; the first answer counts. The topic is created where brokers do so on demand.

    Args:
        config: The sink's options.
        sockets: Takes the connections in.

    Raises:
        SinkDenied: A server refused our log-in, and none took it.
        SinkUnavailable: No server answered.
    """
    errors: list[SinkError] = []
    for address in config.bootstrap_servers:
        try:
            return ask_broker(config, address, sockets, create=True)
        except SinkError as exc:
            errors.append(exc)
    raise next((error for error in errors if isinstance(error, SinkDenied)), errors[0])


def ask_broker(config: KafkaSinkConfig, address: str, sockets: OpenSockets, *, create: bool = False) -> wire.Metadata:
    """Logs in to one broker and asks for the topic.

    Raises:
        SinkDenied: The broker refused our log-in or certificate, or we refuse its certificate.
        SinkUnavailable: The broker gave no answer.
    """
    with _failure_named(config, address), _connect(config, address, sockets) as sock:
        link = _Link(sock)
        newest = wire.read_api_versions(link.ask(wire.API_VERSIONS, 0))
        if config.sasl:
            _log_in(link, config.sasl, address)
        has_rights = newest.get(wire.METADATA, 0) >= wire.METADATA_WITH_RIGHTS
        version = wire.METADATA_WITH_RIGHTS if has_rights else wire.METADATA_PLAIN
        question = wire.metadata_body(config.topic, version, create=create)
        return wire.read_metadata(link.ask(wire.METADATA, version, question), version)


def require_topic(config: KafkaSinkConfig, topic: wire.Topic) -> None:
    """Checks that the topic can be written to.

    Raises:
        SinkDenied: We may not write to it.
        SinkUnavailable: The topic does not exist (yet), or has no leader.
    """
    where = f"topic {config.topic} on {', '.join(config.bootstrap_servers)}"
    if topic.error == wire.TOPIC_DENIED or topic.is_writable is False:
        raise SinkDenied(f"{where}: {_who(config)} may not write to it: grant Describe and Write")
    if topic.error == wire.LEADER_NOT_AVAILABLE:
        raise SinkUnavailable(f"{where}: it has no leader at the moment")
    if topic.error == wire.UNKNOWN_TOPIC:
        raise SinkUnavailable(f"{where}: it does not exist (brokers that create topics on demand are doing so now): create it")
    if topic.error:
        raise SinkUnavailable(f"{where}: error {topic.error}")


class _Link:
    """Asks questions on one connection, one at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._asked = 0

    def ask(self, api: int, version: int, body: bytes = b"") -> wire.Reader:
        self._asked += 1
        self._sock.sendall(wire.request(api, version, self._asked, body))
        (size,) = struct.unpack(">i", self._receive(4))
        if not 4 <= size <= wire.MAX_ANSWER_BYTES:
            raise struct.error(f"{size} is no length of an answer")
        answer = wire.Reader(self._receive(size))
        answer.number("i")  # correlation id: one question is under way at a time
        return answer

    def _receive(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            if not (part := self._sock.recv(count - len(received))):
                raise EOFError
            received += part
        return bytes(received)


def _connect(config: KafkaSinkConfig, address: str, sockets: OpenSockets) -> socket.socket:
    host, port = split_address(address)
    with as_sink_errors("kafka.tls."):
        context = client_context(config.tls) if config.tls else None
    timeout_s = min(config.timeout, MAX_CONNECT_S)
    sock: PacedSocket = connect(host, port, timeout_s, sockets)
    sock.pace = Pace(timeout_s, longest_s=timeout_s)  # for the whole conversation, of a few small answers
    if context is None:
        return sock
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _log_in(link: _Link, sasl: Sasl, address: str) -> None:
    _agree_on_mechanism(link, sasl, address)
    exchange = wire.sasl_exchange(sasl.mechanism, sasl.username, sasl.password.reveal(), secrets.token_urlsafe(24))
    token = next(exchange)
    while True:
        answer = link.ask(wire.SASL_AUTHENTICATE, 0, wire.octets(token))
        error, message, reply = answer.number("h"), answer.text(), answer.octets()
        if error:
            raise SinkDenied(f"authentication failed for user {sasl.username} at {address}: {message or f'error {error}'}")
        try:
            token = exchange.send(reply)
        except StopIteration:
            return
        except (ValueError, KeyError) as exc:
            raise SinkDenied(f"authentication failed for user {sasl.username} at {address}: {exc}") from exc


def _agree_on_mechanism(link: _Link, sasl: Sasl, address: str) -> None:
    answer = link.ask(wire.SASL_HANDSHAKE, 1, wire.text(sasl.mechanism))
    error, offered = answer.number("h"), answer.array(answer.text)
    if error == wire.UNSUPPORTED_MECHANISM:
        raise SinkDenied(f"{address}: the broker does not take SASL {sasl.mechanism}, only: {', '.join(offered)}")
    if error:
        raise SinkDenied(f"{address}: the broker takes no log-in on this port (error {error}): leave out `sasl`")


@contextmanager
def _failure_named(config: KafkaSinkConfig, address: str) -> Iterator[None]:
    """Turns the failure of a conversation into the error of a sink, which names it."""
    try:
        yield
    except SinkError:
        raise
    except ssl.SSLError as exc:
        raise sink_error(_of_tls(exc), f"{address}: ") from exc
    except TooSlow as exc:
        raise SinkUnavailable(f"{address}: {exc}") from exc
    except TimeoutError as exc:
        raise SinkUnavailable(f"{address}: no answer within {min(config.timeout, MAX_CONNECT_S):g} s") from exc
    except (EOFError, ConnectionResetError, struct.error) as exc:
        raise SinkUnavailable(f"{address}: the connection was closed without an answer of Kafka's: {_hint(config)}") from exc
    except OSError as exc:
        raise SinkUnavailable(f"{address}: {exc}") from exc


def _of_tls(exc: ssl.SSLError) -> ClientError:
    failure = tls_failure(exc, BROKER)
    return Unreachable(f"{failure}: does the broker speak TLS on this port?") if isinstance(failure, Unreachable) else failure


def _hint(config: KafkaSinkConfig) -> str:
    if config.tls is None:
        return "does this port want `tls` or `sasl`?"
    return "does this port want `sasl` or a client certificate?"


def _who(config: KafkaSinkConfig) -> str:
    return f"user {config.sasl.username}" if config.sasl else "this client"
