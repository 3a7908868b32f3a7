"""What the engine relies on in a sink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.stages import Batch, Sink
from ualpipe.testing.events import make_events


@dataclass(frozen=True, slots=True)
class SinkCase:
    """A sink under test, and the other side.

    Attributes:
        make: Returns a new sink for the same destination.
        received_ids: Returns the ``event.id`` of everything that the destination has by now, repeats included.
    """

    make: Callable[[], Sink]
    received_ids: Callable[[], Iterable[str]]


def everything_written_arrives(case: SinkCase) -> None:
    """Once ``write`` has returned, the destination has each event, once."""
    events = make_events(50)
    sink = case.make()
    sink.open()
    try:
        assert not sink.write(Batch(events))
    finally:
        sink.close()
    _assert_arrived(case, events, at_most=1)


def open_and_close_may_be_repeated(case: SinkCase) -> None:
    """The engine opens a sink again after a failure, and closes it in any state."""
    case.make().close()
    sink = case.make()
    sink.open()
    sink.open()
    events = make_events(3)
    assert not sink.write(Batch(events))
    sink.close()
    sink.close()
    sink.open()
    more = make_events(3)
    assert not sink.write(Batch(more))
    sink.close()
    _assert_arrived(case, [*events, *more], at_most=1)


def a_batch_may_come_again(case: SinkCase) -> None:
    """After a crash the same batch comes again: that is not an error."""
    events = make_events(5)
    for _attempt in range(2):
        sink = case.make()
        sink.open()
        assert not sink.write(Batch(events))
        sink.close()
    _assert_arrived(case, events, at_most=2)


def unusual_text_arrives_whole(case: SinkCase) -> None:
    """Line breaks, controls, quotes and characters outside the BMP in a value neither split nor break an event."""
    events = make_events(3, UserId='a"b\\c]|=\r\n\t\x00 zoë 𝄞 \u2028')
    sink = case.make()
    sink.open()
    assert not sink.write(Batch(events))
    sink.close()
    _assert_arrived(case, events, at_most=1)


def writes_at_once_arrive_whole(case: SinkCase) -> None:
    """As many writes as the sink takes at once, with an ``open`` beside them, keep each other's events apart."""
    sink = case.make()
    count = sink.limits.writes_at_once
    writes = [make_events(7) for _ in range(3 * count)]
    sink.open()
    try:
        with ThreadPoolExecutor(count) as pool:
            found = [pool.submit(sink.write, Batch(events)) for events in writes]
            if count > 1:
                sink.open()
        assert not any(future.result() for future in found)
    finally:
        sink.close()
    _assert_arrived(case, [event for events in writes for event in events], at_most=1)


def limits_are_sane(case: SinkCase) -> None:
    """The engine can cut batches to the limits of the sink."""
    limits = case.make().limits
    assert limits.max_events >= 1
    assert limits.max_bytes >= 1024
    assert limits.max_event_bytes is None or limits.max_event_bytes >= 1
    assert limits.writes_at_once >= 1


def _assert_arrived(case: SinkCase, events: Sequence[EncodedEvent], *, at_most: int) -> None:
    counts = Counter(case.received_ids())
    for event in events:
        assert 1 <= counts[event.id] <= at_most, f"{event.id} arrived {counts[event.id]} times"


SINK_CHECKS: list[Callable[[SinkCase], None]] = [
    everything_written_arrives,
    open_and_close_may_be_repeated,
    a_batch_may_come_again,
    unusual_text_arrives_whole,
    writes_at_once_arrive_whole,
    limits_are_sane,
]
