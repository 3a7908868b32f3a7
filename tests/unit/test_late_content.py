"""Looking for content that turns up later than every listing looks back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes import FakeClock
from ualpipe.sources._late import EVERY_S, LateContent
from ualpipe.sources._windows import Window, earliest

STREAM = "Audit.Exchange"
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def late(clock: FakeClock) -> LateContent:
    return LateContent(clock)


def listed(clock: FakeClock, back: timedelta = DAY) -> Window:
    return Window(clock.now() - back, clock.now())


def test_it_is_looked_for_once_an_hour_and_not_at_once(late: LateContent, clock: FakeClock) -> None:
    looks = []
    for _minute in range(181):
        looks.append(late.due(STREAM, listed(clock)) is not None)
        clock.advance(60)
    assert [at for at, is_due in enumerate(looks) if is_due] == [60, 120, 180]


def test_the_look_goes_back_as_far_as_the_service_lists_and_touches_what_was_listed(late: LateContent, clock: FakeClock) -> None:
    late.due(STREAM, listed(clock))
    clock.advance(EVERY_S)
    assert late.due(STREAM, listed(clock)) == Window(earliest(clock.now()), listed(clock).start)


def test_content_types_take_turns_of_their_own(late: LateContent, clock: FakeClock) -> None:
    late.due(STREAM, listed(clock))
    clock.advance(EVERY_S)
    assert late.due("DLP.All", listed(clock)) is None
    assert late.due(STREAM, listed(clock)) is not None


def test_nothing_is_looked_for_where_all_was_listed(late: LateContent, clock: FakeClock) -> None:
    late.due(STREAM, listed(clock))
    clock.advance(EVERY_S)
    assert late.due(STREAM, Window(earliest(clock.now()), clock.now())) is None
