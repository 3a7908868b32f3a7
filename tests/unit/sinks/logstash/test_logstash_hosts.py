"""Which of several receivers a write goes to; no sockets here."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import FakeClock
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.sinks.logstash.hosts import REST_S, Hosts

ONE, TWO, THREE = ("one", 5044), ("two", 5044), ("three", 5044)


class Connection:
    """A connection that is closed when told."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.is_gone = self.was_closed = False

    def is_closed(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.was_closed = True


class Scene:
    """Three receivers, of which some fail."""

    def __init__(self, clock: FakeClock, *, in_turn: bool = False) -> None:
        self.failing: dict[tuple[str, int], SinkError] = {}
        self.tried: list[str] = []
        self.hosts = Hosts([ONE, TWO, THREE], self._connect, clock.monotonic, in_turn=in_turn)

    def _connect(self, address: tuple[str, int]) -> Any:
        self.tried.append(address[0])
        if address in self.failing:
            raise self.failing[address]
        return Connection(address)

    def used(self, writes: int) -> list[str]:
        """Returns which receivers some writes go to."""
        found = []
        for _write in range(writes):
            connection = self.hosts.borrow()
            found.append(connection.address[0])
            self.hosts.give_back(connection)
        return found


def test_one_receiver_serves_until_it_fails_and_then_the_next(clock: FakeClock) -> None:
    scene = Scene(clock)
    assert scene.used(3) == ["one"] * 3
    assert scene.tried == ["one"], "a connection serves many writes"
    scene.hosts.pass_over(ONE)
    assert scene.used(2) == ["two"] * 2
    scene.hosts.pass_over(ONE)
    assert scene.used(1) == ["two"], "that another write fails at the first does not move the turn"


def test_receivers_take_turns_and_one_that_fails_is_left_alone_for_a_while(clock: FakeClock) -> None:
    scene = Scene(clock, in_turn=True)
    assert scene.used(4) == ["one", "two", "three", "one"]
    scene.hosts.close()
    scene.failing[TWO] = SinkUnavailable("connection refused")
    assert scene.used(6) == ["three", "three", "one", "three", "three", "one"]
    assert scene.tried.count("two") == 2, "once when it served, once when it failed"
    scene.failing.clear()
    clock.advance(REST_S)
    assert "two" in scene.used(3)


def test_a_connection_that_the_receiver_has_closed_is_replaced(clock: FakeClock) -> None:
    scene = Scene(clock)
    first: Any = scene.hosts.borrow()
    scene.hosts.give_back(first)
    first.is_gone = True
    assert scene.hosts.borrow() is not first
    assert first.was_closed


def test_writes_at_once_have_connections_of_their_own(clock: FakeClock) -> None:
    scene = Scene(clock)
    first, second = scene.hosts.borrow(), scene.hosts.borrow()
    assert first is not second
    for connection in (first, second):
        scene.hosts.give_back(connection)
    scene.hosts.close()
    assert all(connection.was_closed for connection in (first, second))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("other", "kind"), [(SinkDenied("refused"), SinkDenied), (SinkUnavailable("gone"), SinkUnavailable)])
def test_when_all_fail_each_is_named_and_one_that_may_recover_is_waited_for(
    other: SinkError, kind: type[SinkError], clock: FakeClock
) -> None:
    scene = Scene(clock)
    scene.failing = {ONE: SinkDenied("no"), TWO: SinkDenied("no"), THREE: other}
    with pytest.raises(kind, match=rf"receiver one:5044: no; receiver two:5044: no; receiver three:5044: {other}"):
        scene.hosts.borrow()
