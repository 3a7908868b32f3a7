"""Delivers events to whatever takes JSON by HTTP: NDJSON, an array or one event a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ualpipe.pipeline.errors import SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.http.answers import Refusal, Success, judged
from ualpipe.sinks.http.bodies import body_of, pieces, size_of, texts_of
from ualpipe.sinks.http.delivery import Delivery, RefusedInARow
from ualpipe.sinks.http.options import HttpSinkConfig
from ualpipe.sinks.http.probe import probe
from ualpipe.sinks.http.requests import Requests
from ualpipe.sinks.outcome import raise_if_all_failed


class HttpSink:
    """Sends events in the body of a request, as many as go into one.

    The server keeps no account of what it got: an event whose answer was lost comes again, and is there twice.
    """

    Config = HttpSinkConfig

    def __init__(self, config: HttpSinkConfig, env: Env) -> None:
        self.limits = SinkLimits(
            max_events=1 if config.format == "single" else config.max_events,
            max_bytes=config.max_body_bytes,
            writes_at_once=config.concurrency,
        )
        self._config = config
        self._env = env
        self._success = Success.of(config)
        self._in_a_row = RefusedInARow()
        self._largest: int = config.max_body_bytes  # bytes of a body that the server takes, as far as we know
        self._requests: Requests | None = None

    def check(self) -> Iterable[Finding]:
        """Asks the server, in a way that leaves nothing behind, whether it lets us in."""
        return probe(self._config, self._env.clock)

    def open(self) -> None:
        """Makes ready to connect.

        Raises:
            SinkDenied: A file of the TLS options can't be used.
        """
        if self._requests is None:
            self._requests = Requests(self._config, self._env.clock)

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Sends the events; returns when the server has said that it has them."""
        config = self._config
        texts = texts_of(batch.events, original=config.payload == "original")
        delivery = Delivery(self._send, self._in_a_row, self._note_too_large)
        errors: dict[int, SinkError] = {}
        for piece in pieces(texts, config.format, self._largest):
            part = texts[piece.start : piece.stop]
            if (size := size_of(part, config.format)) > config.max_body_bytes:
                errors[piece.start] = SinkRejected(
                    f"the event makes a body of {size} bytes, and `max_body_bytes` is {config.max_body_bytes}"
                )
                continue
            errors |= {piece.start + at: error for at, error in delivery.deliver(part).items()}
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def interrupt(self) -> None:
        """Ends all connections at once."""
        if (requests := self._requests) is not None:
            requests.cut()

    def close(self) -> None:
        """Closes the connections."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    def _send(self, texts: Sequence[bytes]) -> Refusal | None:
        if (requests := self._requests) is None:
            raise SinkUnavailable("write before open")
        answer = requests.ask(self._config.method, body_of(texts, self._config.format))
        return judged(answer, self._success, self._env.clock.now())

    def _note_too_large(self, texts: Sequence[bytes]) -> None:
        """From now on no request has more than half of what was too large; the engine is asked for writes of that size."""
        self._largest = max(1, min(self._largest, size_of(texts, self._config.format) // 2))
        self.limits = replace(self.limits, max_bytes=self._largest)
