"""The errors of clients, which belong to neither sources nor sinks, and what they become at a stage's edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ualpipe.pipeline.errors import (
    PipelineError,
    SinkDenied,
    SinkError,
    SinkThrottled,
    SinkUnavailable,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
)


class ClientError(PipelineError):
    """Another system did not do what it was asked."""


class Unreachable(ClientError):
    """The network or the server fails: another attempt may succeed."""


class NotConnected(Unreachable):
    """No connection came about: the other system has got nothing."""


class Overloaded(Unreachable):
    """The other system does not keep up: it gives no answer in time, or says so."""


class Throttled(ClientError):
    """The other system asks for a pause.

    Attributes:
        retry_after_s: How long the other system asked to wait, in seconds; None where it did not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(ClientError):
    """Credentials, rights or certificates are not accepted, or a file of the config can't be used: somebody has to act."""


def source_error(error: ClientError) -> SourceError:
    """Returns a client's error as that of a source."""
    if isinstance(error, Throttled):
        return SourceThrottled(str(error), error.retry_after_s)
    if isinstance(error, Refused):
        return SourceDenied(str(error))
    return (SourceOverloaded if isinstance(error, Overloaded) else SourceUnavailable)(str(error))


def sink_error(error: ClientError, prefix: str = "") -> SinkError:
    """Returns a client's error as that of a sink; ``prefix`` stands before its text."""
    text = f"{prefix}{error}"
    if isinstance(error, Throttled):
        return SinkThrottled(text, error.retry_after_s)
    return (SinkDenied if isinstance(error, Refused) else SinkUnavailable)(text)


@contextmanager
def as_source_errors() -> Iterator[None]:
    """Turns the errors of clients into those of a source.

    Raises:
        SourceError: In place of a ``ClientError``.
    """
    try:
        yield
    except ClientError as exc:
        raise source_error(exc) from exc


@contextmanager
def as_sink_errors(prefix: str = "") -> Iterator[None]:
    """Turns the errors of clients into those of a sink.

    Args:
        prefix: Text in front of the error's; ``tls.`` where that begins with the name of an option of this section.

    Raises:
        SinkError: In place of a ``ClientError``.
    """
    try:
        yield
    except ClientError as exc:
        raise sink_error(exc, prefix) from exc


def root_of(exc: BaseException) -> BaseException:
    """Returns the first error in a chain: ``Connection refused`` under its wrappings."""
    return chain_of(exc)[-1]


def chain_of(exc: BaseException) -> list[BaseException]:
    """Returns an error and those that led to it, the first of all last."""
    chain = [exc]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(below)
    return chain
