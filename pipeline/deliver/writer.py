"""Writes events to a sink until each is delivered or dead: opens it, tries again, pauses, and knows how the sink is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.batch_buffer import BatchBuffer
from ualpipe.pipeline.deliver.batching import Write, events_in, postpone
from ualpipe.pipeline.errors import (
    SinkDenied,
    SinkError,
    SinkRejected,
    SinkThrottled,
    SinkUnavailable,
    interrupt_quietly,
    unexpected_as,
)
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.observe.health import FailureLog, Health, PartHealth, State
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.retry import DENIED, ONCE, SINK
from ualpipe.pipeline.stages import Batch, Sink
from ualpipe.pipeline.wording import rounded


class SinkWriter:
    """Writes to one sink, in several threads where that takes several writes at once.

    What has failed is tried again by one thread at a time, and no new write begins meanwhile: a destination that is down is asked
    once after each pause, and said to be down once.

    Attributes:
        is_given_up: Whether nothing more is tried in this run.
    """

    def __init__(self, name: str, sink: Sink, buffer: BatchBuffer, context: RunContext, log: logging.Logger) -> None:
        """Opens nothing yet.

        Args:
            name: Name of the sink in the config.
            sink: The sink itself.
            buffer: Told how the sink is.
            context: The run.
            log: Gets a line for failures.
        """
        self.is_given_up = False
        self._name = name
        self._sink = sink
        self._buffer = buffer
        self._clock = context.clock
        self._metrics = context.metrics
        self._stop = context.stop
        self._once = context.once
        self._log = log
        self._health = Health(context.clock)
        self._said = FailureLog(context.clock, log, "delivering again")
        self._is_open = False
        self._is_interrupted = False
        self._opening = threading.Lock()
        self._trying_again = threading.Lock()

    @property
    def health(self) -> PartHealth:
        """Whether the sink works, or why it stands still."""
        return self._health.now

    @property
    def has_ended(self) -> bool:
        """Whether no write begins any more in this run."""
        return self._stop.is_set() or self.is_given_up

    def write(self, write: Write) -> None:
        """Writes events until each is delivered or dead, or left for the next start as the delivery ends."""
        with self._trying_again:
            pass  # what others try again goes first
        if self.has_ended:
            postpone(write)
            return
        left, causes = self._try(write, attempts=1)
        if left:
            self._write_again(left, causes, len(events_in(write)))
        elif not self._trying_again.locked():
            self.recovered()

    def pause(self, error: SinkError, failures: int) -> bool:
        """Waits before the next attempt; returns False when none follows: after a stop, or in a bounded run that gives up."""
        if self._is_interrupted:
            self._log.warning(
                "what was under way did not end in time for the stop, and is done again after the next start: %s", error
            )
            return False
        is_denied = isinstance(error, SinkDenied)
        policy = ONCE if self._once else DENIED if is_denied else SINK
        if (self._once and is_denied) or policy.is_exhausted(failures):
            self.give_up(str(error), State.DENIED if is_denied else State.GIVEN_UP)
            return False
        delay_s = policy.delay_s(failures, error.retry_after_s if isinstance(error, SinkThrottled) else None)
        what, wait = "access denied" if is_denied else "not delivered", rounded(delay_s)
        text = f"{what}; next try in {wait}: {error}"
        self._said.failed(text, "", names=(wait,), is_denied=is_denied, failures=failures, retry_in_s=round(delay_s, 1))
        self.stands_still(_state_of(error), str(error), delay_s)
        return not self._clock.wait(self._stop, delay_s)

    def give_up(self, reason: str, state: State = State.GIVEN_UP) -> None:
        """Ends the writes of a bounded run; what is left is for the next one."""
        self._log.error("given up for this run: %s", reason)
        self.is_given_up = True
        self.stands_still(state, reason)

    def has_no_room(self, reason: str, retry_in_s: float) -> None:
        """Notes that what was delivered can't be noted, as the journal has no room."""
        self._said.failed(f"can't note what was delivered; trying again: {reason}", "")
        self.stands_still(State.FULL, reason, retry_in_s)

    def recovered(self) -> None:
        """Notes that the sink works."""
        if self._health.works():
            self._buffer.note_health(self._name, self.health)
            self._said.works("")

    def stands_still(self, state: State, reason: str, retry_in_s: float | None = None) -> None:
        """Notes that the sink stands still."""
        self._health.stands_still(state, reason, retry_in_s)
        self._buffer.note_health(self._name, self.health)

    def note_work(self, *, has_work: bool) -> None:
        """Notes whether the sink has batches to deliver; whether one that stands still works again, only a write shows."""
        if self.health.state is (State.IDLE if has_work else State.WORKING):
            self._health.works(idle=not has_work)
            self._buffer.note_health(self._name, self.health)

    def interrupt(self) -> None:
        """Ends the writes under way, as a stop does that has waited for them. Safe from another thread."""
        self._is_interrupted = True
        interrupt_quietly(self._sink, self._log)

    def _write_again(self, write: Write, causes: list[SinkError], written: int) -> None:
        """Writes again what has failed once, until nothing is left; ``written`` events were written together."""
        is_first = self._trying_again.acquire(blocking=False)
        if not is_first:
            self._trying_again.acquire()
        try:
            if self.is_given_up or (self._stop.is_set() and not is_first):  # whoever was first has said why
                postpone(write)
            else:
                self._until_nothing_is_left(write, causes, written, pauses=is_first)
        finally:
            self._trying_again.release()

    def _until_nothing_is_left(self, write: Write, causes: list[SinkError], written: int, *, pauses: bool) -> None:
        """Writes again and again; without ``pauses`` the first time at once, as another write has just come through."""
        attempts, failures = 1, 0
        while write:
            failures = failures + 1 if len(causes) == written else 1
            self._metrics.add(m.EVENTS_RETRIED, len(causes), sink=self._name)
            if pauses and not self.pause(max(causes, key=_severity), failures):
                postpone(write)
                return
            pauses = True
            attempts += 1
            written = len(causes)
            write, causes = self._try(write, attempts)
        self.recovered()

    def _try(self, write: Write, attempts: int) -> tuple[Write, list[SinkError]]:
        return self._sort(write, self._attempt(events_in(write)), attempts)

    def _attempt(self, events: list[EncodedEvent]) -> Mapping[int, SinkError]:
        """Writes events once; returns errors by position. An error of the whole write counts for each event."""
        places = range(len(events))  # the sink may change the list
        try:
            with unexpected_as(SinkUnavailable, self._log, "writing"):
                self._open()
                errors = self._sink.write(Batch(events))
                if not isinstance(errors, Mapping) or any(index not in places for index in errors):
                    raise TypeError("write has to return a mapping of the events' indexes to errors")
        except SinkError as exc:
            self._is_open = False
            errors = dict.fromkeys(places, exc)
        self._metrics.add(m.WRITES, sink=self._name, outcome="partial" if errors else "ok")
        return errors

    def _open(self) -> None:
        with self._opening:
            if not self._is_open:
                self._sink.open()
                self._is_open = True

    def _sort(self, write: Write, errors: Mapping[int, SinkError], attempts: int) -> tuple[Write, list[SinkError]]:
        """Counts delivered events and sets rejected ones aside; returns the events to try again, and their errors."""
        again: Write = []
        causes: list[SinkError] = []
        start = 0
        for batch, events in write:
            failed = {at: error for at in range(len(events)) if (error := errors.get(start + at))} if errors else {}
            batch.settlement.delivered += len(events) - len(failed)
            left = []
            for at, error in failed.items():
                if isinstance(error, SinkRejected):
                    batch.set_aside(self._name, events[at], error, attempts)
                else:
                    left.append(events[at])
                    causes.append(error)
            if left:
                again.append((batch, left))
            start += len(events)
        return again, causes


def _state_of(error: SinkError) -> State:
    if isinstance(error, SinkDenied):
        return State.DENIED
    return State.THROTTLED if isinstance(error, SinkThrottled) else State.RETRYING


def _severity(error: SinkError) -> tuple[bool, float]:
    """Orders errors: a refusal first, then the longest wait asked for."""
    return isinstance(error, SinkDenied), getattr(error, "retry_after_s", None) or 0.0
