"""Shares of batches: each record accounted for, and cut to what one write takes."""

import itertools
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.deliver.batching import GROUP_BYTES, SinkBatch, events_in, split_into_writes, take_group
from ualpipe.pipeline.errors import SinkRejected
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.journal.types import BatchRef, Settlement
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import SinkLimits


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=6), st.integers(1, 8), st.integers(1, 100))
def test_writes_keep_order_and_limits(sizes, max_events, max_bytes):
    origin = Origin("s", "", "s", "i", Chunk(b"[]", "array"))
    events = [[EncodedEvent(b"x" * size, at, origin) for at, size in enumerate(one)] for one in sizes]
    batches = [SinkBatch(BatchRef(at, len(one), 10), one, Settlement(at), len(one)) for at, one in enumerate(events)]
    writes = list(split_into_writes(batches, SinkLimits(max_events=max_events, max_bytes=max_bytes)))
    assert [event for write in writes for event in events_in(write)] == [event for one in events for event in one]
    assert all(event in batch.events for write in writes for batch, part in write for event in part)
    lengths = [[len(event.encoded) for event in events_in(write)] for write in writes]
    for found, after in itertools.pairwise([*lengths, []]):
        assert 1 <= len(found) <= max_events
        assert sum(found) <= max_bytes or len(list(filter(None, found))) == 1
        assert not after or len(found) == max_events or sum(found) + after[0] > max_bytes, "one more would have fitted"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2 * GROUP_BYTES)), max_size=12), st.integers(1, 100))
def test_groups_take_everything_in_order_and_fit_one_write(shapes, max_events):
    refs = [BatchRef(at, count, size) for at, (count, size) in enumerate(shapes)]
    backlog, taken = deque(refs), []
    while backlog:
        group = take_group(backlog, SinkLimits(max_events=max_events))
        assert len(group) == 1 or (sum(r.records for r in group) <= max_events and sum(r.bytes for r in group) <= GROUP_BYTES)
        taken += group
    assert taken == refs


def test_a_sink_batch_is_conserved_only_when_each_record_is_accounted_for():
    event = EncodedEvent(b"{}", 1, Origin("s", "", "s", "i", Chunk(b'[{"Id": "x"}, {"Id": "a"}]', "array")))
    batch = SinkBatch(BatchRef(1, 4, 10), [event], Settlement(1, delivered=1, filtered=1), 4)
    assert not batch.is_conserved()
    batch.set_aside("sink", event, SinkRejected("bad"), 2)
    batch.settlement.pending.append(3)
    assert batch.is_conserved()
