"""The connections to several receivers: one at a time until it fails, or all in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.sinks.logstash.connection import Connection, shown

Address = tuple[str, int]

REST_S = 30.0
"""So long a receiver that failed comes behind all others: each attempt may take the whole timeout."""


class Hosts:
    """Connections that writes borrow, and give back when all went well. Thread-safe."""

    def __init__(
        self,
        addresses: Sequence[Address],
        connect: Callable[[Address], Connection],
        monotonic: Callable[[], float],
        *,
        in_turn: bool,
    ) -> None:
        """Connects to nothing yet.

        Args:
            addresses: Host and port of each receiver.
            connect: Makes a connection; raises a ``SinkError`` where it can't.
            monotonic: Seconds, on a clock that only goes forward.
            in_turn: Whether each write goes to another receiver than the one before; else to the same until it fails.
        """
        self._addresses = addresses
        self._connect = connect
        self._monotonic = monotonic
        self._in_turn = in_turn
        self._failed_at: dict[Address, float] = {}
        self._idle: dict[Address, list[Connection]] = {address: [] for address in addresses}
        self._at = 0
        self._lock = threading.Lock()

    def borrow(self) -> Connection:
        """Returns a connection to the receiver whose turn it is; where that can't be reached, to the next that can.

        Raises:
            SinkUnavailable: None can be reached.
            SinkDenied: All of them refuse us, or a certificate of theirs is refused.
        """
        failures: list[SinkError] = []
        for address in self._order():
            try:
                return self._live(address) or self._connect(address)
            except SinkError as exc:
                failures.append(type(exc)(f"receiver {shown(address)}: {exc}"))
                self.pass_over(address)
        kinds = {type(failure) for failure in failures}
        raise (kinds.pop() if len(kinds) == 1 else SinkUnavailable)("; ".join(map(str, failures)))

    def give_back(self, connection: Connection) -> None:
        """Keeps a connection for the next write."""
        with self._lock:
            self._idle[connection.address].append(connection)

    def pass_over(self, address: Address) -> None:
        """Notes that a receiver failed: for a while others come first."""
        with self._lock:
            self._failed_at[address] = self._monotonic()
            if not self._in_turn and self._addresses[self._at] == address:
                self._at = (self._at + 1) % len(self._addresses)

    def close(self) -> None:
        """Closes the connections that nobody has borrowed."""
        with self._lock:
            idle = [connection for connections in self._idle.values() for connection in connections]
            self._idle = {address: [] for address in self._addresses}
        for connection in idle:
            connection.close()

    def _order(self) -> list[Address]:
        """Returns the receivers in the order in which they are tried."""
        with self._lock:
            order = [*self._addresses[self._at :], *self._addresses[: self._at]]
            if self._in_turn:
                self._at = (self._at + 1) % len(self._addresses)
            resting = {address for address, at in self._failed_at.items() if self._monotonic() - at < REST_S}
        return sorted(order, key=resting.__contains__)

    def _live(self, address: Address) -> Connection | None:
        """Returns an idle connection to a receiver that it has not closed meanwhile."""
        while True:
            with self._lock:
                if not self._idle[address]:
                    return None
                found = self._idle[address].pop()
            if not found.is_closed():
                return found
            found.close()
