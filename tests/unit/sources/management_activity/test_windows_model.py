"""The window arithmetic against a model of the service: whatever times it is polled at, nothing that it had is left out.

``make fuzz`` plays more histories.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ualpipe.sources.management_activity.windows import (
    CLOCK_TOLERANCE,
    LONGEST_WINDOW,
    MARGIN,
    RESOLUTION,
    RETENTION,
    Window,
    lost,
    reach,
    split_newest_first,
)

NONE = timedelta(0)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)
BEGIN = datetime(2026, 3, 28, 23, 0, 0, tzinfo=UTC)  # clocks in Europe change within the first hours


def spans(*limits: timedelta) -> st.SearchStrategy[timedelta]:
    """Draws a span between two limits in milliseconds; of several pairs, each as often."""
    pairs = zip(limits[::2], limits[1::2], strict=True)
    return st.one_of(
        *(st.integers(low // MILLISECOND, high // MILLISECOND).map(lambda n: n * MILLISECOND) for low, high in pairs)
    )


moments = spans(NONE, 5 * RESOLUTION, NONE, MINUTE, NONE, 3 * HOUR)
outages = spans(HOUR, 2 * DAY, 6 * DAY, 8 * DAY, 8 * DAY, 40 * DAY)
LITTLE = min(MARGIN, CLOCK_TOLERANCE) - 2 * RESOLUTION  # a clock that is no further off counts as right
near = spans(-LITTLE, LITTLE, LITTLE, LITTLE)
far = spans(-10 * DAY, -LITTLE, LITTLE, 400 * DAY)
reaches = spans(NONE, NONE, NONE, 10 * MINUTE, NONE, RETENTION)


class Polls(RuleBasedStateMachine):
    """A service that something becomes available at, and a source that lists it by a clock of its own.

    ``now`` is the service's time; ours is ``skew`` ahead, and was ``ahead`` at the last complete listing. ``unseen`` is what no
    complete listing and no gap has covered; ``excused`` of it what a wrong clock may cost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.skew = NONE
        self.is_exact = True
        self.since: datetime | None = None
        self.ahead = NONE
        self.unseen: set[datetime] = set()
        self.excused: set[datetime] = set()

    @initialize(start=reaches, lookback=reaches)
    def configure(self, start: timedelta, lookback: timedelta) -> None:
        self.start, self.lookback = start, lookback

    @rule(pause=moments)
    def something_becomes_available(self, pause: timedelta) -> None:
        self.now += pause
        self.unseen.add(self.now)

    @rule(pause=outages)
    def outage(self, pause: timedelta) -> None:
        self.now += pause

    @rule(skew=near)
    def clock_drifts(self, skew: timedelta) -> None:
        """As with daylight saving in a service that keeps UTC: nothing, or a little."""
        self.skew, self.is_exact = skew, False

    @rule()
    def clock_is_set(self) -> None:
        self.skew = NONE

    @rule(skew=far, pause=moments)
    def clock_is_wrong_for_a_while(self, skew: timedelta, pause: timedelta) -> None:
        before, self.skew, self.is_exact = self.skew, skew, False
        self.poll(pause)
        self.skew = before

    @rule(pause=moments)
    def poll_breaks_off(self, pause: timedelta) -> None:
        """What a listing finds before it fails counts, but not as listed."""
        self.now += pause
        self._windows()

    @rule(pause=moments)
    def poll(self, pause: timedelta) -> None:
        self.now += pause
        ours, windows = self.now + self.skew, self._windows()
        if windows[-1].start < self.now - RETENTION:
            assert not self._is_right(), "the service refuses a window, though the clock is right"
            return
        gap = self._gap(ours, windows)
        self._excuse_what_a_wrong_clock_claimed(ours)
        self._see(windows)
        if self.since is None:
            self._excuse_before(windows[-1].start)
        if gap or self._is_gap_near(ours):
            self._excuse_gap(gap or Window(ours - RETENTION + MARGIN, ours - RETENTION + MARGIN))
        if not self._is_right():  # a wrong clock may list beside the content until that is gone
            self.excused |= self.unseen
        self.since, self.ahead = ours, self.skew
        self._nothing_is_left_out()

    @invariant()
    def excuses_end_when_the_clock_is_right_again_in_time(self) -> None:
        self.excused &= self.unseen

    def _windows(self) -> list[Window]:
        ours = self.now + self.skew
        windows = split_newest_first(reach(ours, self.since, start=self.start, lookback=self.lookback))
        assert windows, "there is nothing to list"
        assert windows[0].end > ours >= windows[0].end - RESOLUTION
        assert all(NONE < window.end - window.start <= LONGEST_WINDOW for window in windows)
        assert all(newer.start == older.end for newer, older in itertools.pairwise(windows))
        assert windows[-1].start >= ours - RETENTION + MARGIN - RESOLUTION
        return windows

    def _gap(self, ours: datetime, windows: list[Window]) -> Window | None:
        gap = lost(ours, self.since)
        is_out_of_reach = self.since is not None and self.since < ours - RETENTION + MARGIN
        assert (gap is not None) == is_out_of_reach
        if gap:
            assert gap.start == self.since
            assert gap.end == ours - RETENTION + MARGIN
            assert windows[-1].start <= gap.end < windows[-1].start + RESOLUTION, "gap and windows do not touch"
        return gap

    def _see(self, windows: list[Window]) -> None:
        self.unseen = {moment for moment in self.unseen if not any(w.start <= moment < w.end for w in windows)}

    def _excuse_before(self, start: datetime) -> None:
        self.unseen = {moment for moment in self.unseen if moment >= start}

    def _is_gap_near(self, ours: datetime) -> bool:
        """Tells whether there would be a gap by a clock less ahead: a little, or as much as it was wrong at the last listing."""
        is_behind = self.since is not None and self.since - max(CLOCK_TOLERANCE, self.ahead) < ours - RETENTION + MARGIN
        return is_behind and not self.is_exact

    def _excuse_gap(self, gap: Window) -> None:
        tolerance = NONE if self.is_exact else max(CLOCK_TOLERANCE, self.ahead)
        self.unseen = {moment for moment in self.unseen if not gap.start - tolerance <= moment < gap.end + tolerance}

    def _excuse_what_a_wrong_clock_claimed(self, ours: datetime) -> None:
        """A listing by a clock further ahead than the lookback can't be told from one that took place later.

        While it still lies in the future, all that the service keeps is listed, so that only what is gone by now may be missing.
        """
        if self.since and self.ahead > max(self.lookback, LITTLE):
            kept = ours - RETENTION + MARGIN
            claimed = self.since if self.since <= ours + CLOCK_TOLERANCE else min(self.since, kept)
            self.unseen = {moment for moment in self.unseen if moment >= claimed}

    def _is_right(self) -> bool:
        return abs(self.skew) <= LITTLE

    def _nothing_is_left_out(self) -> None:
        if not self._is_right():
            return
        gone = {moment for moment in self.excused if moment < self.now + self.skew - RETENTION + MARGIN}
        left = {moment for moment in self.unseen - gone if moment <= min(self.now, self.now + self.skew)}
        assert not left, f"never listed, and in no gap: {sorted(left)}"


@pytest.mark.fuzz
def test_whatever_the_service_had_since_the_last_listing_is_listed_or_a_gap() -> None:
    machine = Polls.TestCase()
    machine.settings = settings(stateful_step_count=40, deadline=None)
    machine.runTest()
