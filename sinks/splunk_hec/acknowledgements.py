"""Waits for acknowledgements: of all writes that wait, one thread asks for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SinkError
from ualpipe.sinks.splunk_hec.channels import Awaited, Channel, Request, State

ASK_EVERY_S = 0.25
"""Between two questions to a server. Splunk Cloud takes about 1.2 s to acknowledge."""
MOST_ASKED = 1000
"""Ids in one question."""
REST = 4
"""So many times as long as it took, a server that gave no answer is not asked again: the others are, meanwhile."""

Ask = Callable[[str, str, Sequence[int]], Iterable[int]]
"""Returns which ids are acknowledged, of a server (base URL) and a channel (name). Raises ``SinkError``."""


@dataclass(eq=False)
class _Wait:
    """One write that waits."""

    left: list[Awaited]
    is_over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        self.left = [awaited for awaited in self.left if awaited.state is State.AWAITED]
        if not self.left:
            self.is_over.set()


class Acknowledgements:
    """The channels of a sink, and what is awaited on them. Thread-safe.

    Attributes:
        trouble: Why the last question had no answer; empty where it had one.
        is_interrupted: Whether nobody waits any more.
    """

    def __init__(self, ask: Ask, clock: Clock, timeout_s: float) -> None:
        """Asks nothing yet.

        Args:
            ask: Asks a server.
            clock: Says how long has been waited.
            timeout_s: Longest wait for an acknowledgement, in seconds.
        """
        self.trouble = ""
        self.is_interrupted = False
        self._ask = ask
        self._clock = clock
        self._timeout_s = timeout_s
        self._lock = threading.Lock()  # of all below
        self._asking = threading.Lock()  # held by the thread that asks for all
        self._ask_next_at = 0.0
        self._rests_until: dict[str, float] = {}  # servers
        self._channel = Channel()
        self._channels = [self._channel]
        self._waits: list[_Wait] = []

    def begin(self) -> Request:
        """Notes that a request is sent, on a channel that can be trusted."""
        with self._lock:
            if self._channel.is_left:
                self._channel = Channel()
                self._channels = [*(one for one in self._channels if not one.is_done), self._channel]
            return self._channel.begin()

    def answered(self, request: Request, server: str, number: int | None = None) -> Awaited | None:
        """Notes an answer, and the id in it; returns what is awaited now, or doubtful at once (see ``Channel.answered``)."""
        with self._lock:
            awaited = request.channel.answered(request, server, number)
            self._look()
            return awaited

    def unanswered(self, request: Request) -> None:
        """Notes that a request ended without an answer that tells what became of it."""
        with self._lock:
            request.channel.unanswered(request)
            self._look()

    def give_up(self, awaited: Awaited) -> None:
        """Awaits an acknowledgement no longer, on which nothing depends."""
        with self._lock:
            awaited.channel.give_up(awaited)

    def wait(self, awaited: Iterable[Awaited]) -> None:
        """Waits until each is acknowledged or doubtful: that is what they are when the time is over, or at an interruption."""
        wait = _Wait(list(awaited))
        deadline = self._clock.monotonic() + self._timeout_s
        with self._lock:
            self._waits.append(wait)
            wait.look()
        try:
            while not wait.is_over.is_set() and not self.is_interrupted:
                if (now := self._clock.monotonic()) >= deadline:
                    break
                self._clock.wait(wait.is_over, max(0.0, min(self._ask_next_at, deadline) - now) or ASK_EVERY_S)
                self._ask_for_all()
        finally:
            with self._lock:
                self._waits.remove(wait)
                for one in wait.left:
                    one.channel.give_up(one)

    def interrupt(self) -> None:
        """Ends all waiting at once, for good."""
        self.is_interrupted = True
        with self._lock:
            for wait in self._waits:
                wait.is_over.set()

    def _ask_for_all(self) -> None:
        """Asks the servers, if no other thread does just now, and it is time."""
        if not self._asking.acquire(blocking=False):
            return
        try:
            if self._clock.monotonic() >= self._ask_next_at and not self.is_interrupted:
                self._ask_each()
                self._ask_next_at = self._clock.monotonic() + ASK_EVERY_S
        finally:
            self._asking.release()

    def _ask_each(self) -> None:
        with self._lock:
            asked = [(one, server, numbers) for one in self._channels for server, numbers in one.asked_for().items()]
        for channel, server, numbers in asked:
            if self._rests_until.get(server, 0.0) > self._clock.monotonic():
                continue
            for start in range(0, len(numbers), MOST_ASKED):
                self._ask_one(channel, server, numbers[start : start + MOST_ASKED])

    def _ask_one(self, channel: Channel, server: str, numbers: Sequence[int]) -> None:
        began = self._clock.monotonic()
        try:
            found = self._ask(server, channel.name, numbers)
        except SinkError as exc:  # what it would have told stays unknown, and is asked for again
            self.trouble = str(exc)
            now = self._clock.monotonic()
            self._rests_until[server] = now + min(REST * (now - began), self._timeout_s / REST)
            return
        self.trouble = ""
        with self._lock:
            for number in found:
                channel.acknowledged(server, number)
            self._look()

    def _look(self) -> None:
        for wait in self._waits:
            wait.look()
