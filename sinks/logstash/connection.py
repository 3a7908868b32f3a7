"""A connection to one receiver: sends windows of events, two at a time, and counts what is acknowledged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.pace import LONGEST_SILENCES
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import client_context, tls_of
from ualpipe.pipeline.errors import SinkError, SinkUnavailable
from ualpipe.sinks.dialogue import Dialogue
from ualpipe.sinks.logstash.frames import Acks, NotLumberjack, window
from ualpipe.sinks.logstash.options import RECEIVER, LogstashSinkConfig
from ualpipe.sinks.socket_errors import gone

PIPELINED = 2
"""Windows under way: receivers read the next while they work on one. Beats have as many."""

_ACK_BYTES = 64 * 1024
"""So much a receiver may send during a write; who says each second that he lives sends 6 bytes a second."""
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake


class Connection:
    """A connection to one receiver.

    Attributes:
        address: Host and port of the receiver.
    """

    def __init__(
        self,
        address: tuple[str, int],
        config: LogstashSinkConfig,
        sockets: OpenSockets,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connects and, with TLS, makes the handshake.

        Args:
            address: Host and port.
            config: The sink's options.
            sockets: Takes the connection in.
            monotonic: Seconds, on a clock that only goes forward.

        Raises:
            SinkUnavailable: Nobody answers, or the connection breaks.
            SinkDenied: A certificate, theirs or ours, is refused, or a file of the options can't be used.
        """
        self.address = address
        self._timeout_s = config.timeout
        self._level = config.compression
        self._monotonic = monotonic
        self._acks = Acks()
        self._has_acknowledged = False
        self._heard_bytes = 0
        tls = None
        if config.tls:
            with as_sink_errors("logstash."):
                tls = client_context(tls_of(config))
        self._dialogue = Dialogue(address, config.timeout, peer=RECEIVER, sockets=sockets, tls=tls, server_name=address[0])

    @property
    def certificate(self) -> dict[str, object]:
        """The receiver's verified certificate; empty without TLS."""
        return self._dialogue.certificate

    def send(self, parts: Iterator[Sequence[bytes]]) -> tuple[int, SinkError | None]:
        """Sends windows of documents.

        Returns:
            How many documents the receiver has acknowledged, from the first on, and why it is not all of them; the connection is
            of no use any more then.
        """
        progress = Progress()
        self._heard_bytes = 0
        until = self._monotonic() + LONGEST_SILENCES * self._timeout_s
        part: Sequence[bytes] | None = next(parts, None)
        try:
            while part or progress.waiting:
                while part and len(progress.waiting) < PIPELINED:
                    self._begin_step(until)
                    self._dialogue.send(window(part, self._level))
                    progress.sent(len(part))
                    part = next(parts, None)
                self._begin_step(until)
                for number in self._received():
                    progress.acknowledged(number)
                    self._has_acknowledged = True
        except SinkError as exc:
            return progress.taken, self._explained(exc)
        return progress.taken, None

    def ask(self, wait_s: float) -> None:
        """Sends a window without events, and waits for what only another protocol answers.

        Raises:
            SinkUnavailable: It is another protocol, or the receiver closes the connection.
            SinkDenied: The receiver refuses our certificate.
        """
        self._dialogue.begin(_ACK_BYTES, wait_s, wait_s)
        try:
            self._dialogue.send(window([], 0))
            for _number in self._received():
                self._has_acknowledged = True
        except SinkUnavailable as exc:
            if not isinstance(exc.__cause__, TimeoutError):  # silence is as it should be
                raise self._explained(exc) from exc

    def is_closed(self) -> bool:
        """Returns whether the receiver has closed the connection since the last look, or said what makes no sense."""
        said = self._dialogue.pending()
        try:
            return said is None or any(self._acks.feed(said))
        except NotLumberjack:
            return True

    def close(self) -> None:
        self._dialogue.close()

    def _begin_step(self, until: float) -> None:
        if self._monotonic() >= until:
            raise SinkUnavailable(f"the receiver puts us off: not all is acknowledged after {LONGEST_SILENCES} times `timeout`")
        self._dialogue.begin(_ACK_BYTES - self._heard_bytes)

    def _received(self) -> Iterator[int]:
        data = self._dialogue.receive()
        self._heard_bytes += len(data)
        try:
            yield from self._acks.feed(data)
        except NotLumberjack:
            raise SinkUnavailable(_other_protocol(data)) from None

    def _explained(self, exc: SinkError) -> SinkError:
        """Returns an error, with what may be the cause where a connection ended before anything was acknowledged."""
        has_ended = isinstance(exc.__cause__, ConnectionError) or str(exc) == gone(RECEIVER)
        if self._has_acknowledged or not has_ended or not isinstance(exc, SinkUnavailable):
            return exc
        if self._dialogue.is_secured:
            return SinkUnavailable(f"{exc}: does it speak the Beats protocol at this port? Or it {RECEIVER.wants_certificate}")
        return SinkUnavailable(f"{exc}: does it speak the Beats protocol at this port, or TLS (`tls: true`)?")


class Progress:
    """What became of the windows that were sent.

    Attributes:
        taken: How many events are acknowledged, from the first on.
        waiting: Sizes of the windows under way, oldest first.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: deque[int] = deque()
        self._part = 0  # acknowledged of the oldest window

    def sent(self, count: int) -> None:
        """Notes that a window was sent."""
        self.waiting.append(count)

    def acknowledged(self, number: int) -> None:
        """Notes an acknowledgement: of the oldest window the events up to this number are taken; 0 says nothing of them.

        Raises:
            SinkUnavailable: No such event is under way.
        """
        if number > (self.waiting[0] if self.waiting else 0):
            raise SinkUnavailable(f"the receiver acknowledges event {number} of a window that has not so many")
        if number <= self._part:
            return
        self.taken += number - self._part
        self._part = number
        if number == self.waiting[0]:
            self.waiting.popleft()
            self._part = 0


def shown(address: tuple[str, int]) -> str:
    """Returns host and port of a receiver for messages."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _other_protocol(data: bytes) -> str:
    if data[:2] in _TLS_RECORDS:
        return "what answers at this port speaks TLS: say `tls: true`"
    if data[:5] == b"HTTP/":
        return "what answers at this port speaks HTTP, not the Beats protocol: give the port of the beats input"
    return "what answers at this port does not speak the Beats protocol: give the port of the beats input"
