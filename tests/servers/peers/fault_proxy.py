"""A TCP relay on loopback that spoils what goes through it, as told, and can be told otherwise at any time."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from servers.ports import HOST, free_ports

MAX_CONNECTIONS = 64
_READ_BYTES = 16 * 1024
_RECEIVE_BYTES = 128 * 1024  # what a proxy that reads nothing takes all the same; left to itself, the system takes up to 32 MB
_LOOK_S = 0.02  # how often a standing relay looks whether it was told otherwise
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that sends RST


class Mode(Enum):
    """What is done to connections, those that stand and new ones."""

    PASS = auto()
    RESET = auto()  # RST to both sides, as soon as the client has sent more than so many bytes
    SWALLOW = auto()  # after so many bytes what the client sends is taken and lost; RST when it ends its side, or after a while
    REFUSE = auto()  # nobody listens; what stands is reset
    DEAF = auto()  # accepts, reads nothing
    MUTE = auto()  # passes on what the client sends, and never an answer
    SLOW = auto()  # passes so many bytes a second in each direction
    LATE = auto()  # each piece waits before it goes on


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to spoil connections.

    Attributes:
        mode: The way.
        after_bytes: Of what the client sends, for RESET and SWALLOW: 0 is at once.
        wait_s: Of each piece for LATE; before the RST for SWALLOW, 0 for endless.
        bytes_per_s: For SLOW.
        resets: For RESET and SWALLOW: after so many the fault is over; 0 for never.
    """

    mode: Mode
    after_bytes: int = 0
    wait_s: float = 0.0
    bytes_per_s: int = 0
    resets: int = 0


NONE = Fault(Mode.PASS)


class FaultProxy:
    """Relays connections to one server, from the ``with`` statement to its end.

    Attributes:
        port: Where it listens, on loopback.
        hits: How often the present fault has struck.
        ends: How often one side's end of the stream was passed on to the other.
    """

    def __init__(self, port: int, *, listen_at: int = 0) -> None:
        """Listens at once.

        Args:
            port: Of the server, on loopback.
            listen_at: A port of one's own; 0 takes a free one.
        """
        self._server_port = port
        self._lock = threading.Lock()
        self._fault = NONE
        self._told = 0
        self._pairs: set[_Pair] = set()
        self._is_closed = False
        self._is_refusing = threading.Event()
        self._is_listening = threading.Event()
        self.hits = self.ends = self._resets = 0
        self.port = listen_at or free_ports(1)[0]
        self._listener = _listening(self.port)
        self._thread = threading.Thread(target=self._accept, daemon=True, name=f"proxy-{self.port}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_closed = True
        self.tell(Fault(Mode.REFUSE))
        self._thread.join(5)

    @property
    def fault(self) -> Fault:
        """What is done at present."""
        return self._fault

    @property
    def told(self) -> int:
        """Changes with each ``tell``."""
        return self._told

    @property
    def connections(self) -> int:
        """How many stand."""
        return len(self._pairs)

    def tell(self, fault: Fault = NONE) -> None:
        """Changes what is done, from now on. What a fault held back goes on when it ends."""
        with self._lock:
            self._fault, self._told, self.hits = fault, self._told + 1, 0
            self._resets = 0
        if fault.mode is Mode.REFUSE:
            self._is_refusing.wait(5)  # so that none is being accepted any more
            for pair in list(self._pairs):
                pair.reset()
                self.hit()
        else:
            self._is_listening.wait(5)

    def hit(self, *, reset: bool = False) -> None:
        """Counts that the present fault has struck."""
        with self._lock:
            self.hits += 1
            self._resets += reset
            if self._fault.resets and self._resets >= self._fault.resets:
                self._fault = NONE

    def forget(self, pair: _Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)

    def _accept(self) -> None:
        while not self._is_closed:
            if self._fault.mode is Mode.REFUSE:
                self._listener.close()
                self._is_listening.clear()
                self._is_refusing.set()
                time.sleep(_LOOK_S)
                continue
            if self._is_refusing.is_set():
                self._listener = _listening(self.port)
                self._is_refusing.clear()
            self._is_listening.set()
            with contextlib.suppress(TimeoutError):  # nobody came meanwhile
                self._relay(self._listener.accept()[0])
        self._listener.close()
        self._is_refusing.set()

    def _relay(self, client: socket.socket) -> None:
        if self._fault.mode is Mode.REFUSE or len(self._pairs) >= MAX_CONNECTIONS:
            _break_off(client)
            self.hit()
            return
        try:
            server = socket.create_connection((HOST, self._server_port), 5)
        except OSError:
            _break_off(client)
            return
        pair = _Pair(self, client, server)
        with self._lock:
            self._pairs.add(pair)
        pair.start()


class _Pair:
    """One connection: the client's to us and ours to the server, with a thread for each direction."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends = (client, server)
        self._is_over = threading.Event()
        self._open_ways = 2
        self._told, self._taken = proxy.told, 0  # what the fault has been counting since it was told
        self._lock = threading.Lock()
        for end in self._ends:
            end.settimeout(_LOOK_S)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for way in (self._ends, self._ends[::-1]):
            threading.Thread(target=self._pump, args=way, daemon=True).start()

    def reset(self) -> None:
        """Breaks both sides off."""
        self._is_over.set()
        for end in self._ends:
            _break_off(end)
        self._proxy.forget(self)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        is_from_client = source is self._ends[0]
        try:
            while not self._is_over.is_set():
                if is_from_client:
                    self._pass_on(source, target)
                else:
                    self._answer(source, target)
        except _End:
            if is_from_client and self._proxy.fault.mode is Mode.SWALLOW:
                self._struck(reset=True)
            else:
                self._half_close(target)
        except OSError:
            self.reset()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Passes one piece of the client's on, or does with it what the fault says."""
        piece = self._read(client)
        fault = self._proxy.fault  # that of now: it may have changed while we waited
        if self._told != self._proxy.told:
            self._told, self._taken = self._proxy.told, 0
        if fault.mode is Mode.RESET and not fault.after_bytes:
            self._struck(reset=True)
        if not piece:
            return
        room = max(0, fault.after_bytes - self._taken)
        self._taken += len(piece)
        if fault.mode not in (Mode.RESET, Mode.SWALLOW) or len(piece) <= room:
            self._hold(fault, piece)
            _write(server, piece, self._is_over)
            return
        _write(server, piece[:room], self._is_over)
        self._is_over.wait(fault.wait_s)
        self._struck(reset=fault.mode is Mode.RESET or bool(fault.wait_s))

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        piece = self._read(server)
        if self._proxy.fault.mode is Mode.MUTE and piece:
            self._struck()
        else:
            self._hold(self._proxy.fault, piece)
            _write(client, piece, self._is_over)

    def _read(self, source: socket.socket) -> bytes:
        """Returns a piece; nothing where there is none for a moment."""
        fault = self._proxy.fault
        if fault.mode is Mode.DEAF:
            self._struck()
            self._is_over.wait(_LOOK_S)
            return b""
        size = max(1, int(fault.bytes_per_s * _LOOK_S)) if fault.mode is Mode.SLOW else _READ_BYTES
        try:
            piece = source.recv(size)
        except TimeoutError:
            return b""
        if not piece:
            raise _End
        return piece

    def _hold(self, fault: Fault, piece: bytes) -> None:
        if not piece:
            return
        if fault.mode is Mode.LATE:
            self._struck()
            self._is_over.wait(fault.wait_s)
        elif fault.mode is Mode.SLOW:
            self._struck()
            self._is_over.wait(len(piece) / fault.bytes_per_s)

    def _struck(self, *, reset: bool = False) -> None:
        self._proxy.hit(reset=reset)
        if reset:
            self.reset()

    def _half_close(self, target: socket.socket) -> None:
        """Passes an end of stream on; after the second the connection is over."""
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
            self._proxy.ends += 1
        with self._lock:
            self._open_ways -= 1
        if not self._open_ways:
            self._is_over.set()
            for end in self._ends:
                end.close()
            self._proxy.forget(self)


class _End(Exception):
    """One side sends nothing more."""


def _listening(port: int) -> socket.socket:
    listener = socket.create_server((HOST, port))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)  # what it accepts has the same
    listener.settimeout(_LOOK_S)
    return listener


def _write(target: socket.socket, piece: bytes, is_over: threading.Event) -> None:
    view = memoryview(piece)
    while view and not is_over.is_set():
        with contextlib.suppress(TimeoutError):
            view = view[target.send(view) :]


def _break_off(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()
