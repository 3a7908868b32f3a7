"""Errors of clients at the edge of a stage: the same reaction, whoever asked."""

from __future__ import annotations

import pytest

from ualpipe.clients.errors import ClientError, Overloaded, Refused, Throttled, Unreachable, as_sink_errors, as_source_errors
from ualpipe.pipeline.errors import (
    SinkDenied,
    SinkError,
    SinkThrottled,
    SinkUnavailable,
    SourceDenied,
    SourceError,
    SourceOverloaded,
    SourceThrottled,
    SourceUnavailable,
    split_advice,
    with_advice,
)


@pytest.mark.parametrize(
    ("error", "source", "sink"),
    [
        (Unreachable("x"), SourceUnavailable, SinkUnavailable),
        (Overloaded("x"), SourceOverloaded, SinkUnavailable),
        (Throttled("x", 17), SourceThrottled, SinkThrottled),
        (Refused("x"), SourceDenied, SinkDenied),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ClientError) else value.__name__,
)
def test_each_error_asks_for_the_same_reaction_of_sources_and_sinks(
    error: ClientError, source: type[SourceError], sink: type[SinkError]
) -> None:
    with pytest.raises(SourceError) as of_source, as_source_errors():
        raise error
    with pytest.raises(SinkError) as of_sink, as_sink_errors("kafka.tls."):
        raise error
    assert (type(of_source.value), str(of_source.value)) == (source, "x")
    assert (type(of_sink.value), str(of_sink.value)) == (sink, "kafka.tls.x")
    assert of_sink.value.__cause__ is error


def test_throttling_keeps_the_wait_it_was_told() -> None:
    with pytest.raises(SourceThrottled) as of_source, as_source_errors():
        raise Throttled("x", 17)
    with pytest.raises(SinkThrottled) as of_sink, as_sink_errors():
        raise Throttled("x", 17)
    assert (of_source.value.retry_after_s, of_sink.value.retry_after_s) == (17, 17)


def test_errors_of_others_pass_as_they_are() -> None:
    with pytest.raises(KeyError), as_source_errors(), as_sink_errors():
        raise KeyError


@pytest.mark.parametrize(("happened", "advice"), [("login failed", "mend it"), ("login failed", "")])
def test_advice_can_be_told_from_what_happened(happened: str, advice: str) -> None:
    assert split_advice(Refused(with_advice(f"{happened}.", advice))) == (happened + ("" if advice else "."), advice)
