"""The errors of the pipeline. An error's class is the reaction of the engine; there is no other list of exceptions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

_ADVICE = ". What to do: "


class PipelineError(Exception):
    """Anything that goes wrong in ualpipe and is not a bug."""


class ConfigError(PipelineError):
    """The configuration is wrong: the command stops with exit code 2."""


class JournalError(PipelineError):
    """The journal can't be used: the command stops and says how to recover. Nothing is deleted."""


class JournalFull(JournalError):
    """The journal has no room for more records; fetching pauses until it has. Nothing is wrong with it."""


class JournalInUse(JournalError):
    """A running pipeline uses the journal."""


class LeaseLost(JournalError):
    """Somebody else has the work item now; whoever lost it lets go of it. Nothing is wrong with the journal."""


class EngineFailed(PipelineError):
    """A part of the engine failed unexpectedly: the run ends, the journal is as it was."""


class Stopped(PipelineError):
    """The pipeline is stopping; the work under way is done again after the next start."""


class SourceError(PipelineError):
    """A source could not do what was asked."""


class SourceUnavailable(SourceError):
    """Network trouble or a server error: retried with growing delay."""


class SourceOverloaded(SourceUnavailable):
    """The service does not keep up (it answers too late, or says so): retried, with fewer requests at the same time."""


class SourceThrottled(SourceError):
    """The service asks for a pause: retried.

    Attributes:
        retry_after_s: How long the service asked to wait, in seconds; None where it did not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SourceDenied(SourceError):
    """Credentials, permission or auditing are not in order: this stream pauses, says why, and is probed again rarely."""


class ContentGone(SourceError):
    """The content expired or does not exist any more: counted and kept as a dead letter without bytes."""


class ContentUndecodable(SourceError):
    """The bytes of a work item are no audit records: dead-lettered whole.

    Attributes:
        body: The bytes as received.
    """

    def __init__(self, message: str, body: bytes) -> None:
        super().__init__(message)
        self.body = body


class ContentRefused(ContentUndecodable):
    """The content is what it is, and no audit records; it is dead-lettered at the first attempt, as no other brings more."""


class EventError(PipelineError):
    """One event can't go on: its bytes and the reason go to the dead letters."""


class NotJson(EventError):
    """The record is not JSON."""


class IdConflict(EventError):
    """Another record with this Id and other content came before."""


class SchemaMismatch(EventError):
    """The record does not fit its schema.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the offending value.
    """

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class MappingFailed(EventError):
    """A mapping rule failed on this record.

    Attributes:
        pointer: JSON pointer to the source field, where one is to blame.
    """

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class TransformFailed(EventError):
    """A transform failed unexpectedly on this event, again and again: a bug of the transform, which holds up no other event."""


class QueryError(PipelineError):
    """A question to a store of events is none that it answers, or failed there; the message says where and why."""


class SinkError(PipelineError):
    """A sink could not deliver."""


class SinkUnavailable(SinkError):
    """The destination can't be reached or is in trouble: retried with growing delay."""


class SinkThrottled(SinkError):
    """The destination asks for a pause: retried.

    Attributes:
        retry_after_s: How long the destination asked to wait, in seconds; None where it did not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkRejected(SinkError):
    """The destination refuses this event for good (mapping conflict, too large): dead-lettered."""


class SinkDenied(SinkError):
    """The destination refuses our credentials or rights: this sink pauses and says why."""


def with_advice(happened: str, advice: str) -> str:
    """Returns the text of an error: what happened, and what to do about it where that is known."""
    return f"{happened.rstrip('.')}{_ADVICE}{advice}" if advice else happened


def split_advice(error: PipelineError) -> tuple[str, str]:
    """Returns what happened and what to do about it, from an error's text."""
    happened, _, advice = str(error).partition(_ADVICE)
    return happened, advice


@contextmanager
def unexpected_as(error: type[PipelineError], log: logging.Logger, what: str) -> Iterator[None]:
    """Turns an unexpected exception into an error of the pipeline: a bug must neither empty a stream nor end a thread unseen.

    Args:
        error: The error that it becomes. Errors of the same family (``SinkError``), and those of the engine, pass as they are;
            ``Stopped`` comes from a source's budget.
        log: Gets the traceback.
        what: What was being done (``listing``).
    """
    expected: tuple[type[BaseException], ...] = (error.__bases__[0], JournalError, EngineFailed)
    if issubclass(error, SourceError):
        expected += (Stopped,)
    try:
        yield
    except expected:
        raise
    except Exception as exc:  # the one place where everything is caught
        log.exception("%s failed unexpectedly; nothing is lost", what)
        raise error(f"{what} failed unexpectedly: {type(exc).__name__}: {exc}") from exc


class _Closable(Protocol):
    def close(self) -> None: ...


def close_quietly(stage: _Closable, log: logging.Logger) -> None:
    """Closes a stage; an exception, unexpected here, is logged and goes no further."""
    with suppress(EngineFailed), unexpected_as(EngineFailed, log, "closing"):
        stage.close()


def interrupt_quietly(stage: object, log: logging.Logger) -> None:
    """Interrupts a stage that can be interrupted; an exception, unexpected here, is logged and goes no further."""
    if (interrupt := getattr(stage, "interrupt", None)) is not None:
        with suppress(EngineFailed), unexpected_as(EngineFailed, log, "interrupting"):
            interrupt()
