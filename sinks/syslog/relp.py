"""Syslog over RELP: each message is acknowledged by the receiver itself, so that none is lost and few are sent twice."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version

from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import client_context
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.dialogue import Dialogue, certificate_findings
from ualpipe.sinks.outcome import raise_if_all_failed
from ualpipe.sinks.socket_errors import gone
from ualpipe.sinks.syslog.options import RECEIVER, SyslogSinkConfig
from ualpipe.sinks.syslog.relp_frames import LAST_TXNR, MAX_ANSWER_BYTES, OK, Answer, Answers, NotRelp, frame, next_txnr

WINDOW = 128
"""Messages that are under way without an answer; librelp's own clients have as many."""
REFUSALS = 3
"""So often a message is refused while others are taken, until it is taken for one that this receiver never takes."""
LAST_WAIT_S = 2.0
"""How long the end of a session waits for the receiver's answer, which nothing depends on."""

_ANSWER_BYTES = 256  # what an answer to a message may have on average; they have some 15
_MOST_SUSPECTS = 10_000
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake
_OFFERS = b"relp_version=0\nrelp_software=ualpipe,%b\ncommands=syslog"


class Session:
    """A session with a receiver, over one connection.

    Attributes:
        software: What the receiver calls itself; empty where it does not say.
        is_broken: Whether nothing more can be said in it.
    """

    def __init__(self, dialogue: Dialogue, last_txnr: int = 0) -> None:
        """Says nothing yet.

        Args:
            dialogue: The connection.
            last_txnr: The transaction number before the first.
        """
        self.software = ""
        self.is_broken = False
        self._dialogue = dialogue
        self._answers = Answers()
        self._txnr = last_txnr

    @property
    def certificate(self) -> dict[str, object]:
        """The receiver's verified certificate; empty without TLS."""
        return self._dialogue.certificate

    def open(self) -> None:
        """Opens the session.

        Raises:
            SinkUnavailable: There is no answer, or none of RELP.
            SinkDenied: The receiver refuses the session or our certificate, or takes no syslog.
        """
        answer = self._asked(b"open", _OFFERS % version("ualpipe").encode())
        if answer.code != OK:
            raise SinkDenied(f"the receiver refuses the session: {answer.text}")
        if "syslog" not in answer.offers.get("commands", "").split(","):
            raise SinkDenied("the receiver speaks RELP and takes no syslog: its answer to `open` does not offer it")
        self.software = answer.offers.get("relp_software", "")[:100]

    def send(self, messages: Sequence[bytes]) -> tuple[dict[int, Answer], dict[int, SinkError]]:
        """Sends messages, a window of them at a time; returns those that were refused, and those that got no answer.

        All others have been acknowledged. Where some got no answer the session is broken.

        Raises:
            SinkError: It broke before any was answered.
        """
        refused: dict[int, Answer] = {}
        waiting: dict[int, int] = {}  # positions by transaction number
        sent = 0
        self._dialogue.begin(MAX_ANSWER_BYTES + _ANSWER_BYTES * len(messages))
        try:
            while sent < len(messages) or waiting:
                if sent < len(messages) and len(waiting) < WINDOW:
                    more = range(sent, min(len(messages), sent + WINDOW - len(waiting)))
                    sent = more.stop
                    self._dialogue.send(b"".join([self._message(messages[at], at, waiting) for at in more]))
                for answer in self._received():
                    _take(answer, waiting, refused)
        except SinkError as exc:
            self.is_broken = True
            unanswered = [*waiting.values(), *range(sent, len(messages))]
            if len(unanswered) == len(messages):
                raise
            return refused, dict.fromkeys(unanswered, exc)
        return refused, {}

    def is_closed(self) -> bool:
        """Returns whether the receiver has ended the session since the last look: unasked, it has nothing else to say."""
        return self.is_broken or self._dialogue.pending() != b""

    def close(self) -> None:
        """Ends the session and its connection. Never raises."""
        if not self.is_broken:
            with contextlib.suppress(SinkError):
                self._asked(b"close", wait_s=LAST_WAIT_S)
        self.drop()

    def drop(self) -> None:
        """Ends the connection."""
        self.is_broken = True
        self._dialogue.close()

    def _message(self, message: bytes, at: int, waiting: dict[int, int]) -> bytes:
        self._txnr = next_txnr(self._txnr)
        waiting[self._txnr] = at
        return frame(self._txnr, b"syslog", message)

    def _asked(self, command: bytes, data: bytes = b"", wait_s: float | None = None) -> Answer:
        """Sends a command; returns the answer to it, which may take the timeout, or another time."""
        self._txnr = next_txnr(self._txnr)
        try:
            self._dialogue.begin(0, wait_s, wait_s)
            self._dialogue.send(frame(self._txnr, command, data))
            self._dialogue.begin(2 * MAX_ANSWER_BYTES, wait_s, wait_s)
            for answer in self._forever():
                if answer.txnr == self._txnr and answer.command == b"rsp":
                    return answer
                raise _unexpected(answer)
        except SinkUnavailable as exc:
            raise SinkUnavailable(f"{exc}{_advice(exc, is_secured=self._dialogue.is_secured)}") from exc
        raise AssertionError("unreachable")

    def _forever(self) -> Iterator[Answer]:
        while True:
            yield from self._received()

    def _received(self) -> Iterator[Answer]:
        data = self._dialogue.receive()
        try:
            yield from self._answers.feed(data)
        except NotRelp:
            if data[:2] in _TLS_RECORDS:
                raise SinkUnavailable("what answers at this port speaks TLS: say `transport: relp+tls`") from None
            raise SinkUnavailable("what answers at this port does not speak RELP") from None


def _take(answer: Answer, waiting: dict[int, int], refused: dict[int, Answer]) -> None:
    """Takes note of an answer: its message waits no longer."""
    if answer.command != b"rsp" or answer.txnr not in waiting:
        raise _unexpected(answer)
    at = waiting.pop(answer.txnr)
    if answer.code != OK:
        refused[at] = answer


def _unexpected(answer: Answer) -> SinkUnavailable:
    if answer.command == b"serverclose":
        return SinkUnavailable("the receiver ends the session")
    return SinkUnavailable(f"the receiver answers what it was not asked (transaction {answer.txnr} of {LAST_TXNR} at most)")


def _advice(exc: SinkUnavailable, *, is_secured: bool) -> str:
    """Returns what a session that did not begin may lack."""
    if isinstance(exc.__cause__, TimeoutError):
        return " to the opening of a RELP session: a receiver of plain syslog gives none (`transport: tcp` or `tls`)"
    if not isinstance(exc.__cause__, ConnectionError) and str(exc) != gone(RECEIVER):
        return ""
    if is_secured:
        return f" instead of opening a RELP session: does this port speak RELP? Or it {RECEIVER.wants_certificate}"
    return " instead of opening a RELP session: does this port speak RELP, or TLS (`transport: relp+tls`)?"


class RelpLink:
    """The link to one receiver. It has a session from ``connect`` on until something goes wrong."""

    def __init__(self, config: SyslogSinkConfig, port: int) -> None:
        """Connects to nothing yet.

        Args:
            config: The sink's options.
            port: Port of the receiver.
        """
        self._config = config
        self._port = port
        self._session: Session | None = None
        self._sockets = OpenSockets()
        self._suspects: dict[bytes, int] = {}

    def connect(self) -> None:
        """Makes sure of a session. One that the receiver ended while nothing was under way is simply replaced.

        Raises:
            SinkUnavailable: The receiver can't be reached, or does not speak RELP.
            SinkDenied: The receiver refuses us, or a certificate is refused.
        """
        if self._session is not None and self._session.is_closed():
            self.disconnect()
        self._session = self._session or self.new_session()

    def send(self, messages: Sequence[bytes]) -> Mapping[int, SinkError]:
        """Sends messages; returns when the receiver has acknowledged all but those in the answer.

        Raises:
            SinkError: None is acknowledged.
        """
        self.connect()
        assert self._session is not None
        refused, errors = self._session.send(messages)
        if self._session.is_broken:
            self.disconnect()
        errors |= self._judged(refused, messages, taken=len(messages) - len(refused) - len(errors))
        raise_if_all_failed(errors, len(messages))
        return errors

    def interrupt(self) -> None:
        """Ends the connection at once, from any thread; whoever waits for it gets an error."""
        sockets, self._sockets = self._sockets, OpenSockets()
        sockets.cut()

    def disconnect(self) -> None:
        """Drops the connection. For the next one certificates are read again: they may have been renewed."""
        if self._session is not None:
            self._session.drop()
        self._session = None

    def part(self) -> int:
        """Ends the session; returns 0, as nothing that counted as delivered can be lost. Never raises."""
        if self._session is not None:
            self._session.close()
        self._session = None
        return 0

    def findings(self, where: str, now: datetime) -> Iterator[Finding]:
        """Yields what a session tells that is opened and closed without a message.

        Raises:
            SinkError: It can't be opened.
        """
        session = self.new_session()
        try:
            software = f" ({session.software})" if session.software else ""
            yield Finding("ok", where, f"reached; it speaks RELP and takes syslog{software}")
            yield from certificate_findings(session.certificate, RECEIVER, where, now)
        finally:
            session.close()

    def new_session(self) -> Session:
        """Opens a new session beside the present one, if there is one.

        Raises:
            SinkError: See ``connect``.
        """
        config, tls = self._config, None
        if config.transport == "relp+tls":
            with as_sink_errors("tls."):
                tls = client_context(config.tls)
        address, name = (config.host, self._port), config.tls.server_name or config.host
        dialogue = Dialogue(address, config.timeout, peer=RECEIVER, sockets=self._sockets, tls=tls, server_name=name)
        session = Session(dialogue)
        try:
            session.open()
        except BaseException:
            session.drop()
            raise
        return session

    def _judged(self, refused: Mapping[int, Answer], messages: Sequence[bytes], taken: int) -> dict[int, SinkError]:
        """Returns the errors of messages that were refused.

        A receiver that takes nothing is in trouble, which passes. One that takes others while it refuses a message again and
        again will never take that one.
        """
        errors: dict[int, SinkError] = {}
        if len(self._suspects) > _MOST_SUSPECTS:
            self._suspects.clear()
        for at, answer in refused.items():
            key = hashlib.sha256(messages[at]).digest()
            times = self._suspects.pop(key, 0)
            if not taken and not times:
                errors[at] = SinkUnavailable(f"the receiver takes no messages: {answer.text}")
            elif times + 1 >= REFUSALS:
                errors[at] = SinkRejected(f"the receiver refused the message {REFUSALS} times, and took others: {answer.text}")
            else:
                self._suspects[key] = times + 1
                errors[at] = SinkUnavailable(f"the receiver refuses a message: {answer.text}")
        return errors
