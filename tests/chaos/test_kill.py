"""Killed and stopped at random moments: nothing is lost, and nothing is doubled where the destination can tell."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chaos.crash_scene import Destinations, Scene, served_scene
from chaos.crash_trial import Tallies, Trial

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

KILLS = int(os.environ.get("UALPIPE_CHAOS_KILLS", "200"))
STOPS = max(20, KILLS // 10)
KILLS_WITH_WORKERS = max(10, KILLS // 20)
SEED = 20
BLOBS = 400
LARGE_BLOB = 100  # records: workers take a second to start, and are to have something to do then
LONGEST_WORK_S = 2.0  # of the workers before a kill, a good half of it their start
LITTLE = 30  # blobs and undelivered records: a run of its own would do nothing but wait for the blobs that can't be read
FIRST_REACH_S = 0.3
"""Longest processor time of a run before it is ended, at first; then such that every third or so comes to do something."""
MORE, LESS = 1.1, 0.83
REACHES = (1, 1, 1, 1, 1, 2)  # some live long enough for the sink that takes longest to begin
LONGEST_WAIT_S = 0.04
EXPECTED_CODES = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (0, 1, -signal.SIGTERM)}
"""SIGTERM before the command listens for it ends the process as it does every other; nothing is begun then."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with served_scene(tmp_path_factory.mktemp("tenant"), BLOBS, concurrency=4) as scene:
        yield scene


@pytest.fixture
def make_trial(tmp_path: Path, warm_process: Any, kafka: Any, elasticsearch: Any, rsyslog: Any) -> Callable[..., Trial]:
    def make(name: str, scene: Scene, *sections: Mapping[str, Any]) -> Trial:
        destinations = Destinations(tmp_path / name / "out", name, kafka, elasticsearch, rsyslog)
        return Trial(tmp_path / name, scene, warm_process, destinations, *sections)

    return make


@pytest.fixture
def new_trial(make_trial: Callable[..., Trial], scene: Scene) -> Callable[[str], Trial]:
    return lambda name: make_trial(name, scene)


def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing_in_elasticsearch(new_trial, capsys):
    tallies = ended_early(new_trial, "kill", KILLS, signal.SIGKILL)
    with capsys.disabled():
        print(tallies.table(f"{KILLS:,} kills at random moments"))
    assert all(tally.ends == KILLS and not tally.lost for tally in tallies.values())
    assert not tallies["search"].doubled


def test_stops_at_random_moments_lose_nothing_and_double_nothing_anywhere(new_trial, capsys):
    tallies = ended_early(new_trial, "stop", STOPS, signal.SIGTERM)
    with capsys.disabled():
        print(tallies.table(f"{STOPS:,} stops at random moments"))
    assert all(tally.ends == STOPS for tally in tallies.values())
    assert not any(tally.lost or tally.doubled or tally.torn for tally in tallies.values())


def test_kill_9_with_workers_at_work_loses_nothing_and_doubles_nothing_in_elasticsearch(make_trial, tmp_path, capsys):
    rng = random.Random(SEED)
    tallies, workers = Tallies(), 0
    with served_scene(tmp_path / "large", BLOBS, LARGE_BLOB, concurrency=4) as scene:
        for at in itertools.count(1):
            trial = make_trial(f"workers-{at}", scene, {"workers": 2})
            workers += kill_with_workers(trial, rng, KILLS_WITH_WORKERS - tallies["search"].ends)
            trial.finish()
            assert not (wrong := trial.account(tallies)), "\n".join(wrong)
            if tallies["search"].ends == KILLS_WITH_WORKERS:
                break
    with capsys.disabled():
        print(
            tallies.table(
                f"{KILLS_WITH_WORKERS:,} kills with {workers:,} workers at work, of which one dies first each other time"
            )
        )
    assert workers >= KILLS_WITH_WORKERS
    assert not any(tally.lost for tally in tallies.values())
    assert not tallies["search"].doubled


def kill_with_workers(trial: Trial, rng: random.Random, most: int) -> int:
    """Kills runs of one trial until little is left to do; returns how many workers they had."""
    workers = 0
    while trial.ends < most and not 0 <= trial.left <= LITTLE:
        reach_s, wait_s = rng.uniform(0.1, LONGEST_WORK_S), rng.uniform(0, LONGEST_WAIT_S)
        ended = trial.runs.killed_with_workers(reach_s, wait_s, worker_first=bool(trial.ends % 2))
        assert ended.was_killed, f"{ended}\n{trial.runs.tail()}"
        trial.ends += 1
        workers += ended.workers
    return workers


def ended_early(new_trial: Callable[[str], Trial], name: str, ends: int, number: signal.Signals) -> Tallies:
    """Ends runs at random moments, in as many trials as it takes; each trial until little is left to do, and then to its end."""
    rng = random.Random(SEED)
    tallies = Tallies()
    left = ends
    for trial in map(new_trial, (f"{name}-{at}" for at in itertools.count(1))):
        left -= end_early(trial, rng, left, number)
        trial.finish()
        assert not (wrong := trial.account(tallies)), "\n".join(wrong)
        if not left:
            return tallies
    raise AssertionError


def end_early(trial: Trial, rng: random.Random, most: int, number: signal.Signals) -> int:
    """Ends runs of one trial early; returns how many."""
    reach_s = FIRST_REACH_S
    seen = trial.left
    while trial.ends < most and (seen < 0 or seen > LITTLE):
        ended = trial.runs.signalled(number, rng.uniform(0.05, reach_s * rng.choice(REACHES)), rng.uniform(0, LONGEST_WAIT_S))
        assert ended.code in EXPECTED_CODES[number], f"{ended}\n{trial.runs.tail()}"
        trial.ends += 1
        before, seen = seen, trial.left
        # One that dies before it has done anything proves little; one that does much leaves little for the others.
        reach_s *= MORE if seen == before else LESS
    return trial.ends
