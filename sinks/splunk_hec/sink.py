"""Delivers events to Splunk by its HTTP Event Collector, and waits until the indexer says that it has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ualpipe.clients.errors import as_sink_errors
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.pipeline.wording import counted, rounded
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.outcome import raise_if_all_failed
from ualpipe.sinks.splunk_hec.acknowledgements import Acknowledgements
from ualpipe.sinks.splunk_hec.answers import error_of, reaction_to, read
from ualpipe.sinks.splunk_hec.channels import Awaited, State
from ualpipe.sinks.splunk_hec.codes import CODES, Reaction
from ualpipe.sinks.splunk_hec.collector import Collector
from ualpipe.sinks.splunk_hec.envelope import composer
from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig
from ualpipe.sinks.splunk_hec.probe import probe
from ualpipe.sinks.splunk_hec.sending import BEGUN_ANEW, NO_ACK, Learned, Sending

MOST_EVENT_BYTES = 5 * 1024 * 1024
"""Of one event with its envelope. Source: `maxEventSize` in inputs.conf."""
ASKED_CHANNEL = "00000000-0000-4000-8000-000000000000"
"""Where nothing is ever sent: what is asked about it only tells whether the token has acknowledgement."""
_NOT_IN_TIME = "if that goes on, a load balancer without sticky sessions stands in between, or `ack_timeout` is too short"


class SplunkHecSink:
    """Sends events to Splunk's HTTP Event Collector.

    Where the token has indexer acknowledgement, events count as delivered when the indexer says that it has them; else when
    Splunk has taken them in. What is not acknowledged in time, and what was sent when a connection broke, is sent again, and may
    be there twice.
    """

    Config = SplunkHecSinkConfig

    def __init__(self, config: SplunkHecSinkConfig, env: Env) -> None:
        self.limits = SinkLimits(max_events=2000, max_bytes=8 * 1024 * 1024, writes_at_once=config.concurrency)
        self._config = config
        self._env = env
        self._compose = composer(config)
        self._collector: Collector | None = None
        self._learned = Learned(
            config.max_body_bytes,
            is_known=config.ack is False,
            must_acknowledge=config.ack is True,
            ignores_acknowledgement=config.ack is False,
        )
        self._acks = Acknowledgements(self._acknowledged, env.clock, config.ack_timeout)
        self._has_told = False

    def check(self) -> Iterable[Finding]:
        """Asks each collector, without sending an event, whether it knows the token."""
        try:
            collector = Collector(self._config)
        except SinkError as exc:
            yield Finding("error", "splunk", str(exc), "check the TLS options and `proxy`")
            return
        try:
            for server in collector.servers:
                yield from probe(collector, server, self._config.ack, ASKED_CHANNEL)
        finally:
            collector.close()

    def open(self) -> None:
        """Makes the sink ready; asks, the first time, whether the token has acknowledgement.

        Raises:
            SinkUnavailable: No collector answers.
            SinkThrottled: The collector is busy.
            SinkDenied: The token is refused; or it has no acknowledgement, which the config wants.
        """
        self._collector = self._collector or Collector(self._config)
        if not self._learned.is_known:
            self._ask_how_the_token_is(self._collector)
            self._learned.is_known = True

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Sends the events, and waits for their acknowledgements where the token has them."""
        if self._collector is None:
            raise SinkUnavailable("write before open")
        if (error := self._learned.slow_down) is not None:
            self._learned.slow_down = None
            raise error
        objects, errors = self._objects(batch.events)
        sending = Sending(objects, self._collector.send, self._acks, self._learned, self._env.clock)
        sending.send_all()
        self._await(sending)
        errors |= sending.errors
        self._note_uncertain(sending.uncertain)
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def interrupt(self) -> None:
        """Ends all connections and all waiting at once."""
        self._acks.interrupt()
        if (collector := self._collector) is not None:
            collector.cut()

    def close(self) -> None:
        """Closes the connections."""
        if self._collector is not None:
            self._collector.close()
            self._collector = None

    def _objects(self, events: Sequence[EncodedEvent]) -> tuple[dict[int, bytes], dict[int, SinkError]]:
        """Returns what is sent, and errors of events that can't be, both by position."""
        objects, errors = encoded(events, lambda some: list(map(self._compose, some)))
        for at in [at for at, one in objects.items() if len(one) > MOST_EVENT_BYTES]:
            size = len(objects.pop(at))
            errors[at] = SinkRejected(f"the event has {size} bytes, Splunk takes at most {MOST_EVENT_BYTES} (maxEventSize)")
        return objects, errors

    def _await(self, sending: Sending) -> None:
        """Waits until each request is acknowledged; what is not fails, and is uncertain."""
        self._acks.wait([awaited for awaited, _positions in sending.awaited])
        doubtful = [(awaited, positions) for awaited, positions in sending.awaited if awaited.state is not State.ACKNOWLEDGED]
        for awaited, positions in doubtful:
            sending.uncertain.update(positions)
            sending.errors.update(dict.fromkeys(positions, self._unacknowledged(awaited, len(positions))))

    def _unacknowledged(self, awaited: Awaited, count: int) -> SinkUnavailable:
        if awaited.state is State.BEGUN_ANEW:
            what = BEGUN_ANEW
        elif self._acks.is_interrupted:
            what = "not acknowledged yet at the stop"
        else:
            why = f" ({trouble})" if (trouble := self._acks.trouble) else ""
            what = f"not acknowledged within {rounded(self._config.ack_timeout)}{why}: {_NOT_IN_TIME}"
        return SinkUnavailable(f"{awaited.server}: {what} ({counted(count, 'event')} may arrive twice)")

    def _note_uncertain(self, positions: Collection[int]) -> None:
        """Counts events that are sent again and may be there twice, and says so the first time."""
        if not positions:
            return
        self._env.metrics.add(m.EVENTS_UNCERTAIN, len(positions), sink=self._env.name)
        if not self._has_told:
            self._has_told = True
            self._env.log.warning(
                "%s may arrive twice: nobody said what became of them; further ones are counted (%s)",
                *(counted(len(positions), "event"), m.EVENTS_UNCERTAIN),
            )

    def _acknowledged(self, server: str, channel: str, numbers: Sequence[int]) -> frozenset[int]:
        if (collector := self._collector) is None:
            raise SinkUnavailable("the sink was closed")
        return collector.acknowledged(server, channel, numbers)

    def _ask_how_the_token_is(self, collector: Collector) -> None:
        with as_sink_errors():
            answer = collector.ask_acks(None, ASKED_CHANNEL, [0])
        said = read(answer)
        wants = self._config.ack is True
        self._learned.must_acknowledge = wants
        if answer.is_ok and said.code is None:  # it answers the question
            self._learned.must_acknowledge = True
        elif said.code is CODES[14]:
            if wants:
                raise SinkDenied(NO_ACK)
            self._env.log.info(
                "the token has no indexer acknowledgement: events count as delivered when Splunk has taken them in"
            )
        elif said.code is not None and (reaction := reaction_to(answer, said)) in (Reaction.DENIED, Reaction.SLOW_DOWN):
            raise error_of(answer, said, reaction, self._env.clock.now())
        # Anything else tells nothing, as that of products which only take events: the answers to those will.
