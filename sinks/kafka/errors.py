"""What Kafka's error codes mean for the engine. Both client libraries use the codes of the protocol."""

from __future__ import annotations

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkThrottled, SinkUnavailable

# Refused for good; the fault is the message's own.
_TOO_LARGE = 10
_REJECTED = {
    _TOO_LARGE: "larger than the topic's `max.message.bytes`",
    18: "the record batch is larger than the topic's `segment.bytes`",
    32: "the time of the message is out of the topic's bounds",
    87: "the broker takes no such message (a compacted topic wants a key)",
}
_DENIED = {
    29: "grant Write on the topic",
    30: "grant access to the consumer group",
    31: "grant IdempotentWrite on the cluster, or Write on the topic",
    33: "choose another `sasl.mechanism`",
    35: "the broker is too old for idempotent producers",
    43: "the topic's message format is too old for idempotent producers",
    58: "check `sasl.username` and `sasl.password`",
    76: "choose another `compression`",
}
_THROTTLED = {89}
_PRODUCER_IS_LOST = {45, 47, 59, 90}  # sequence or producer id no longer known: only a new producer can go on


def of_code(code: int, said: str, topic: str) -> SinkError:
    """Returns the error for one message, by the protocol's error code.

    Unknown codes, and the client libraries' own negative ones, mean trying again: dead-lettering for a failure of the cluster
    would empty the stream.
    """
    text = f"topic {topic}: {said} (error {code})"
    if code in _REJECTED:
        return SinkRejected(f"{text}: {_REJECTED[code]}")
    if code in _DENIED:
        return SinkDenied(f"{text}: {_DENIED[code]}")
    return SinkThrottled(text) if code in _THROTTLED else SinkUnavailable(text)


def loses_producer(code: int) -> bool:
    """Returns whether a producer can't go on after this error."""
    return code in _PRODUCER_IS_LOST
