"""Connections that keep to a pace, and that another thread can cut, so that a stop waits for nobody."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from ualpipe.clients.pace import Pace
from ualpipe.clients.resolving import Address, resolve

T = TypeVar("T", int, bytes)


class OpenSockets:
    """The open connections of one stage. Thread-safe."""

    def __init__(self) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._is_cut = False

    def check(self) -> None:
        """Raises ``ConnectionAbortedError`` when the connections were cut: there is to be no other."""
        if self._is_cut:
            raise ConnectionAbortedError("the connections of this stage were cut")

    def add(self, sock: socket.socket) -> None:
        """Takes a connection in, before anything waits for it.

        Raises:
            ConnectionAbortedError: The connections were cut.
        """
        with self._lock:
            self.check()
            self._sockets.add(sock)

    def cut(self) -> None:
        """Ends all connections at once: whoever waits for one gets an error. New ones are refused from now on."""
        with self._lock:
            self._is_cut = True
            sockets = list(self._sockets)
        for sock in sockets:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of TLS, too, without its farewell
            except OSError:
                continue  # it was closed meanwhile


class PacedSocket(socket.socket):
    """A TCP connection whose other side has to keep to a pace, if one is set, and unless it does not wait (``settimeout(0)``)."""

    pace: Pace | None = None
    owner: OpenSockets | None = None

    def recv(self, *args: Any) -> bytes:
        return _receiving(self, super().recv, *args)

    def recv_into(self, *args: Any) -> int:
        return _receiving(self, super().recv_into, *args)

    def send(self, *args: Any) -> int:
        return _sending(self, super().send, *args)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Sends all bytes, each part of them within the pace."""
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.send(octets[sent:], flags)


class PacedTlsSocket(ssl.SSLSocket):
    """The same with TLS."""

    pace: Pace | None = None
    owner: OpenSockets | None = None

    def recv(self, *args: Any) -> bytes:
        return _receiving(self, super().recv, *args)

    def recv_into(self, *args: Any) -> int:
        return _receiving(self, super().recv_into, *args)

    def send(self, *args: Any) -> int:  # `sendall` of SSLSocket stands on it
        return _sending(self, super().send, *args)


class PacedContext(ssl.SSLContext):
    """A TLS context of whose connections the pace holds for the handshake, too."""

    sslsocket_class = PacedTlsSocket

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Makes the handshake on a connection; takes over its pace and its owner."""
        if not isinstance(sock, PacedSocket | PacedTlsSocket):
            return super().wrap_socket(sock, *args, **options)
        made = super().wrap_socket(sock, *args, **{**options, "do_handshake_on_connect": False})
        assert isinstance(made, PacedTlsSocket)
        made.pace, made.owner = sock.pace, sock.owner
        try:
            if made.owner is not None:
                made.owner.add(made)
            if options.get("do_handshake_on_connect", True):
                _shake_hands(made)
        except BaseException:
            made.close()
            raise
        return made


def connect(host: str, port: int, timeout_s: float, owner: OpenSockets) -> PacedSocket:
    """Connects to the first address of a host that answers.

    Args:
        host: Name or address.
        port: 1 to 65535.
        timeout_s: Longest time in all: for the name, and for all of its addresses.
        owner: Takes the connection in.

    Returns:
        The connection, without a pace.

    Raises:
        socket.gaierror: The name can't be resolved.
        TimeoutError: Nobody answers in time.
        OSError: The connection is refused, or was cut.
    """
    deadline = time.monotonic() + timeout_s
    failure: OSError = ConnectionRefusedError(f"{host} has no address")
    for address in resolve(host.strip("[]"), port, socket.SOCK_STREAM, timeout_s, owner.check):
        if (left_s := deadline - time.monotonic()) <= 0:
            raise TimeoutError(f"no connection within {timeout_s:g} s")
        try:
            return _connected(address, left_s, owner)
        except OSError as exc:
            failure = exc
    raise failure


def pace_of(sock: Any) -> Pace | None:
    """Returns the pace of a connection, through whatever lies around it (TLS inside of TLS, towards a proxy)."""
    while not isinstance(sock, PacedSocket | PacedTlsSocket):
        if (sock := getattr(sock, "socket", None)) is None:
            return None
    return sock.pace


def _connected(address: Address, timeout_s: float, owner: OpenSockets) -> PacedSocket:
    family, kind, proto, _name, where = address
    sock = PacedSocket(family, kind, proto)
    try:
        sock.owner = owner
        owner.add(sock)
        sock.settimeout(timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(where)
        owner.check()  # it may have been cut between two of the steps above
    except BaseException:
        sock.close()
        raise
    return sock


def _shake_hands(sock: PacedTlsSocket) -> None:
    if sock.pace is not None:
        sock.settimeout(sock.pace.wait_s())  # OpenSSL's part of Python takes it for the whole handshake
    start = time.monotonic()
    sock.do_handshake()
    if sock.pace is not None:
        sock.pace.received(0, time.monotonic() - start)


def _receiving(sock: PacedSocket | PacedTlsSocket, call: Callable[..., T], *args: Any) -> T:
    pace = sock.pace
    if pace is None or sock.gettimeout() == 0:
        return call(*args)
    found, waited_s = _within(pace, sock, call, *args)
    pace.received(found if isinstance(found, int) else len(found), waited_s)
    return found


def _sending(sock: PacedSocket | PacedTlsSocket, call: Callable[..., int], *args: Any) -> int:
    pace = sock.pace
    if pace is None or sock.gettimeout() == 0:
        return call(*args)
    count, waited_s = _within(pace, sock, call, *args)
    pace.sent(count, waited_s)
    return count


def _within(pace: Pace, sock: socket.socket, call: Callable[..., T], *args: Any) -> tuple[T, float]:
    """Calls what waits for the other side, for as long as the pace allows; returns its result, and how long it took."""
    if (wait_s := pace.wait_s()) != sock.gettimeout():  # mostly it is the longest silence, and to set it takes a system call
        sock.settimeout(wait_s)
    start = time.monotonic()
    try:
        return call(*args), time.monotonic() - start
    except TimeoutError:
        pass  # raised outside, without the bare "timed out" as its cause
    raise pace.timed_out(time.monotonic() - start)
