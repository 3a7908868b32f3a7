"""Numbers by name and labels, from many threads."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline import metrics
from ualpipe.pipeline.metrics import EVENTS_DELIVERED, SINK_BACKLOG, Metrics


def test_a_counter_adds_up():
    numbers = Metrics()
    numbers.add(EVENTS_DELIVERED, 3, sink="a")
    numbers.add(EVENTS_DELIVERED, sink="a")
    assert numbers.get(EVENTS_DELIVERED, sink="a") == 4


def test_a_gauge_is_what_it_was_set_to_last():
    numbers = Metrics()
    numbers.set(SINK_BACKLOG, 7, sink="a")
    numbers.set(SINK_BACKLOG, 2, sink="a")
    assert numbers.get(SINK_BACKLOG, sink="a") == 2


def test_what_was_never_counted_is_zero():
    assert Metrics().get(EVENTS_DELIVERED, sink="a") == 0


def test_a_sum_is_over_all_that_has_the_labels_asked_for():
    numbers = Metrics()
    numbers.add(EVENTS_DELIVERED, 1, sink="a", stream="x")
    numbers.add(EVENTS_DELIVERED, 2, sink="a", stream="y")
    numbers.add(EVENTS_DELIVERED, 4, sink="b", stream="x")
    numbers.add(SINK_BACKLOG, 100, sink="a")
    assert numbers.get(EVENTS_DELIVERED) == 7
    assert numbers.get(EVENTS_DELIVERED, sink="a") == 3
    assert numbers.get(EVENTS_DELIVERED, stream="x", sink="a") == 1
    assert numbers.get(EVENTS_DELIVERED, sink="c") == 0


def test_the_order_of_labels_does_not_matter():
    numbers = Metrics()
    numbers.add(EVENTS_DELIVERED, 1, sink="a", stream="x")
    numbers.add(EVENTS_DELIVERED, 1, stream="x", sink="a")
    assert list(numbers) == [(EVENTS_DELIVERED, {"sink": "a", "stream": "x"}, 2)]


def test_rows_are_sorted_and_stay_while_counting_goes_on():
    numbers = Metrics()
    numbers.add("b", sink="2")
    numbers.add("b", sink="1")
    numbers.add("a")
    rows = []
    for row in numbers:
        numbers.add("c")
        rows.append(row)
    assert rows == [("a", {}, 1), ("b", {"sink": "1"}, 1), ("b", {"sink": "2"}, 1)]


def test_no_count_is_lost_between_threads():
    numbers = Metrics()
    begin = threading.Barrier(4)

    def count() -> None:
        begin.wait()
        for _turn in range(2000):
            numbers.add(EVENTS_DELIVERED, 1, sink="a")

    threads = [threading.Thread(target=count) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers.get(EVENTS_DELIVERED) == 8000


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 100))))
def test_the_parts_add_up_to_the_whole(steps):
    numbers = Metrics()
    for sink, stream, amount in steps:
        numbers.add(EVENTS_DELIVERED, amount, sink=sink, stream=stream)
    assert numbers.get(EVENTS_DELIVERED) == sum(amount for _sink, _stream, amount in steps)
    assert sum(numbers.get(EVENTS_DELIVERED, sink=sink) for sink in "ab") == numbers.get(EVENTS_DELIVERED)
    assert sum(value for _name, _labels, value in numbers) == numbers.get(EVENTS_DELIVERED)


def test_every_name_is_dotted_and_stands_once():
    names = [value for name, value in vars(metrics).items() if name.isupper()]
    assert len(names) == len(set(names)) > 10
    assert all(name.count(".") >= 1 and name == name.lower() for name in names)
