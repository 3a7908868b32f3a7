"""The sink `sql` against a real PostgreSQL: what arrives, what comes again, and where it stands."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archives.databases import Server, do, ids_in, make_sink, opened, rows
from archives.scene import events_of
from fakes import FakeClock, record
from ualpipe.pipeline.errors import SinkRejected
from ualpipe.pipeline.metrics import EVENTS_EXISTING
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.sql.tables import LONGEST_INDEXED, SHORTENED
from ualpipe.sinks.table.columns import NAMES
from ualpipe.testing import SINK_CHECKS, SinkCase, make_events

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def batch(*records: dict[str, Any]) -> Batch:
    return Batch(events_of(records))


def without_time(made: Batch, number: int) -> Batch:
    """Returns a batch in which one record has no time, as without ``ecs`` one whose time nobody can read."""
    for event in made.events:
        if event.id.endswith(f"{number:012d}"):
            event.time = "no time"
    return made


def places(server: Server, schema: str) -> dict[int, str]:
    """Returns in which partition each record stands, by its number."""
    found = rows(server, f'SELECT id, tableoid::regclass::text FROM "{schema}".events')
    return {int(event_id[-12:]): table.rpartition(".")[2] for event_id, table in found}


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_the_sink_keeps_the_contract(check: Any, postgres: Server, schema: str) -> None:
    check(SinkCase(lambda: make_sink(postgres, schema), lambda: ids_in(postgres, schema)))


def test_what_comes_again_is_there_once_with_and_without_a_time(postgres: Server, schema: str) -> None:
    first = [record(1), record(2), record(3, CreationTime="2012-01-01T00:00:00")]
    with opened(postgres, schema) as sink:
        assert not sink.write(without_time(batch(*first), 2))
        assert not sink.write(without_time(batch(*first, record(4), *first), 2))
        assert sink._env.metrics.get(EVENTS_EXISTING, sink="database") == 6
    assert places(postgres, schema) == {1: "events_2026_11", 2: "events_default", 3: "events_default", 4: "events_2026_11"}
    assert len(ids_in(postgres, schema)) == 4


def test_each_column_holds_what_the_row_has(postgres: Server, schema: str) -> None:
    with opened(postgres, schema) as sink:
        sink.write(batch(record(1, ClientIP="192.0.2.7", ObjectId="a\tb\\n\r\n", ExternalAccess=True, FileSizeBytes=1 << 60)))
    [row] = rows(postgres, f'SELECT ip, object, external_access, file_size, "time", record FROM "{schema}".events')
    assert row[:5] == ("192.0.2.7", "a\tb\\n\r\n", True, 1 << 60, datetime(2026, 11, 20, 8, tzinfo=UTC))
    assert '"ObjectId":"a\\tb\\\\n\\r\\n"' in row[5]
    columns = rows(postgres, f"SELECT attname FROM pg_attribute WHERE attrelid = '{schema}.events'::regclass AND attnum > 0")
    assert [name for (name,) in columns] == list(NAMES)


def test_text_that_no_database_holds_is_replaced(postgres: Server, schema: str) -> None:
    events = make_events(2)
    events[1].code = "a\0b\ud800"
    with opened(postgres, schema) as sink:
        assert not sink.write(Batch(events))
    assert sorted(found for (found,) in rows(postgres, f'SELECT record_type_name FROM "{schema}".events')) == [
        "25",
        "a\N{REPLACEMENT CHARACTER}b?",
    ]


def test_values_longer_than_an_index_takes_are_cut_and_stand_whole_in_the_record(postgres: Server, schema: str) -> None:
    long = "".join(chr(0x1F300 + number % 700) for number in range(5000))
    made = record(1, UserId=long, Operation=long, MailboxOwnerUPN=long, ClientIP=long, Id=long)
    with opened(postgres, schema) as sink:
        assert not sink.write(batch(made))
    chosen = ", ".join(f'length("{name}")' for name in SHORTENED)
    [(*lengths, whole)] = rows(postgres, f'SELECT {chosen}, length(record) FROM "{schema}".events')
    assert all(length in (None, LONGEST_INDEXED) for length in lengths)
    assert LONGEST_INDEXED in lengths
    assert whole > 20_000


def test_a_row_that_is_refused_is_refused_alone(postgres: Server, schema: str) -> None:
    events = make_events(40)
    events[7].code = events[31].code = "too long for it"
    with opened(postgres, schema) as sink:
        do(postgres, f'ALTER TABLE "{schema}".events ALTER record_type_name TYPE varchar(6)')
        found = sink.write(Batch(events))
    assert {at: type(error) for at, error in found.items()} == {7: SinkRejected, 31: SinkRejected}
    assert "value too long" in str(found[7])
    assert len(ids_in(postgres, schema)) == 38


def test_events_stand_in_the_partition_of_their_month_and_odd_ones_in_the_default_one(postgres: Server, schema: str) -> None:
    times = ["2026-10-31T23:59:59", "2026-11-01T00:00:00", "2027-06-01T00:00:00", "2011-05-01T00:00:00", "2026-11-05T00:00:00"]
    with opened(postgres, schema, clock=FakeClock(NOW)) as sink:
        sink.write(without_time(batch(*(record(number, CreationTime=time) for number, time in enumerate(times))), 4))
    default = "events_default"
    assert places(postgres, schema) == {0: "events_2026_10", 1: "events_2026_11", 2: default, 3: default, 4: default}


def test_a_month_that_is_made_later_takes_over_its_events(postgres: Server, schema: str) -> None:
    clock = FakeClock(NOW)
    with opened(postgres, schema, clock=clock) as sink:
        sink.write(batch(record(1, CreationTime="2027-06-30T12:00:00"), record(2, CreationTime="2027-07-01T00:00:00")))
        clock.advance(timedelta(days=200).total_seconds())
        sink.write(batch(record(1, CreationTime="2027-06-30T12:00:00"), record(3, CreationTime="2027-06-01T00:00:00")))
    assert places(postgres, schema) == {1: "events_2027_06", 2: "events_default", 3: "events_2027_06"}
    assert len(ids_in(postgres, schema)) == 3


def test_months_older_than_keep_are_dropped(postgres: Server, schema: str) -> None:
    times = ["2026-08-31T23:00:00", "2026-09-01T00:00:00", "2026-11-20T00:00:00", "2026-11-21T00:00:00", "2012-01-01T00:00:00"]
    made = [record(number, CreationTime=time) for number, time in enumerate(times)]
    clock = FakeClock(NOW)
    with opened(postgres, schema, clock=clock, keep="90d") as sink:
        sink.write(batch(*made))  # from 2 September on is kept, and so all of September
        assert places(postgres, schema).keys() == {1, 2, 3}
        sink.write(batch(made[0]))
        assert 0 in places(postgres, schema)
        clock.advance(timedelta(hours=7).total_seconds())
        sink.write(batch(made[2]))
    assert places(postgres, schema).keys() == {1, 2, 3}


def test_two_sinks_that_write_the_same_events_write_each_once(postgres: Server, schema: str) -> None:
    events = make_events(600)
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        mine = events[number:] + events[:number]
        with opened(postgres, schema) as sink:  # all make the tables at the same time, too
            barrier.wait()
            for begin in range(0, len(mine), 100):
                assert not sink.write(Batch(mine[begin : begin + 100]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (0, 150, 300, 450)))
    assert sorted(ids_in(postgres, schema)) == sorted(event.id for event in events)
