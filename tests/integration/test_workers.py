"""Worker processes: they make what this process would make, and nothing is lost when one of them ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import FakeClock, NoOptions, body, record, until
from runs import generated, ids_in, served, start, write_config
from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.errors import ContentUndecodable, Stopped
from ualpipe.pipeline.events import EncodedEvent, Origin, Transformed
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.process.worker_pool import ATTEMPTS, IDLE_S, WorkerPool
from ualpipe.pipeline.process.worker_protocol import WorkerSetup
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from worker_transforms import ByOperation

WANTED = {"some": {"event.action": "keep"}}
MOST = 2

Made = Callable[[], WorkerPool]


@pytest.fixture
def context(clock: FakeClock) -> RunContext:
    return RunContext(once=False, clock=clock)


@pytest.fixture
def here() -> LocalProcessor:
    transform = ByOperation(NoOptions(), None)  # type: ignore[arg-type] - asked only where a record says so
    return LocalProcessor([transform.apply], {name: compile_conditions(wanted) for name, wanted in WANTED.items()})


@pytest.fixture
def workers(here: LocalProcessor, context: RunContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    """One worker that is ready, and room for another."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    setup = WorkerSetup([StageSpec("odd", "odd", ByOperation, NoOptions())], WANTED, logging.INFO)
    made = WorkerPool(here, setup, MOST, context, CpuAffinity())
    made._start()
    assert len(made._workers) == 1, "the worker did not start"
    yield made
    made.close()


def origin(*operations: str, **fields: Any) -> Origin:
    found = [record(at, Operation=operation, **fields) for at, operation in enumerate(operations)]
    return Origin("source", "tenant", "stream", "item", Chunk(body(found), "array"), "2026-11-20T08:00:00.000Z")


def shown(made: Transformed | None) -> Any:
    """Returns all that sinks and dead letters see, but for the process that did it."""
    assert made is not None
    return [seen(event) for event in made.events], made.refusals


def seen(event: EncodedEvent) -> tuple[Any, ...]:
    document = event.decode_document()
    assert document
    del document["pid"]
    facts = (event.id, event.tenant, event.record_type, event.time, event.action, event.code, event.kind, event.outcome)
    return (event.index, facts, event.unwanted, document, event.raw, event.decode_record())


def pids(made: Transformed | None) -> set[int]:
    assert made is not None
    return {orjson.loads(event.encoded)["pid"] for event in made.events}


def test_a_worker_makes_what_this_process_makes(workers: WorkerPool, here: LocalProcessor) -> None:
    chunk = origin("keep", "filter", "refuse", "other", "keep")
    ours, theirs = here.process(chunk, transform=True), workers.process(chunk, transform=True)
    assert shown(theirs.transformed) == shown(ours.transformed)
    assert (theirs.digests, theirs.sha256, theirs.packed) == (ours.digests, ours.sha256, ours.packed)
    assert pids(ours.transformed) == {os.getpid()}
    assert os.getpid() not in pids(theirs.transformed)
    assert shown(workers.transform(chunk, {0, 2})) == shown(here.transform(chunk, {0, 2}))
    assert workers.process(chunk, transform=False).transformed is None
    for made in (workers.transform(chunk, {0, 2}, {4: "c"}), here.transform(chunk, {0, 2}, {4: "c"})):
        assert [(event.index, event.conflict) for event in made.events] == [(3, ""), (4, "c")]


def test_what_a_worker_notes_counts_and_logs_arrives_here(
    workers: WorkerPool, context: RunContext, caplog: pytest.LogCaptureFixture
) -> None:
    for _chunk in range(2):
        workers.process(origin("note", "note"), transform=True)
    assert context.drift.take() == {(Thing(FIELD, "6", "New"), "source"): 4}
    assert (context.metrics.get("odd.seen", operation="note"), context.metrics.get("odd.last")) == (4, 1)
    assert [(line.name, line.getMessage(), line.item) for line in caplog.records] == [
        ("ualpipe.odd", "seen something", "item")
    ] * 4


def test_a_chunk_without_records_is_undecodable_in_a_worker_too(workers: WorkerPool) -> None:
    chunk = Origin("source", "tenant", "stream", "item", Chunk(b"<html>", "array"))
    with pytest.raises(ContentUndecodable) as error:
        workers.process(chunk, transform=True)
    assert error.value.body == b"<html>"


def test_an_event_on_which_a_transform_fails_unexpectedly_is_named(workers: WorkerPool) -> None:
    chunk = origin("keep", "fail", "keep")
    assert workers.process(chunk, transform=True).transformed is None
    made = workers.transform(chunk, {0})
    (failure,) = made.failures
    assert (failure.index, failure.reason) == (1, "ZeroDivisionError: unexpected")
    assert "worker_transforms" in failure.trace
    assert ([event.index for event in made.events], made.taken) == ([2], 2)


def test_the_work_of_a_worker_that_ends_is_done_by_another(
    workers: WorkerPool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chunk = origin("keep", "end once", Marker=str(tmp_path / "ended"))
    found = workers.process(chunk, transform=True)
    assert found.transformed is not None
    assert len(found.transformed.events) == 2
    assert os.getpid() not in pids(found.transformed)
    assert "a worker process ended by itself (signal 9); its work is done again" in caplog.text


def test_records_that_end_each_worker_are_singled_out_and_end_no_other_process(workers: WorkerPool) -> None:
    chunk = origin("keep", "keep", "end", "filter", "keep")
    stored = workers.process(chunk, transform=True)
    assert (len(stored.digests), stored.transformed) == (5, None), "the records are safe before they are tried again"
    made = workers.transform(chunk, {0})
    (failure,) = made.failures
    assert (failure.index, failure.reason) == (2, f"worker processes that ended while they worked on it: {ATTEMPTS}")
    assert ([event.index for event in made.events], made.taken) == ([1, 4], 4)
    assert os.getpid() not in pids(made)
    assert workers.process(origin("keep"), transform=True).digests, "the others are done as before"


def test_workers_without_work_end_after_a_while_and_come_back(
    workers: WorkerPool, clock: FakeClock, here: LocalProcessor
) -> None:
    (process,) = [worker._process for worker in workers._idle]
    clock.advance(IDLE_S - 1)
    workers.rest()
    assert process.poll() is None
    clock.advance(2)
    workers.rest()
    assert process.poll() == 0
    assert pids(workers.process(origin("keep"), transform=True).transformed) == {os.getpid()}, "nothing else is under way"
    with here.lock:
        assert workers._take(must_start=False) is None
    until(lambda: len(workers._workers) == 1, "another worker", timeout_s=30)
    assert os.getpid() not in pids(workers.process(origin("keep"), transform=True).transformed)


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="Linux, and two processors to choose from"
)
def test_with_workers_all_processors_are_used_and_without_them_one(here: LocalProcessor, clock: FakeClock) -> None:
    affinity, allowed = CpuAffinity.of_process(), os.sched_getaffinity(0)
    made = WorkerPool(here, WorkerSetup([], {}, logging.INFO), MOST, RunContext(once=False, clock=clock), affinity)
    affinity.confine()
    try:
        with here.lock:
            made._take(must_start=False)
        until(lambda: len(made._workers) == 1, "a worker", timeout_s=30)
        assert affinity.home is None
        assert os.sched_getaffinity(made._idle[0]._process.pid) == allowed
        clock.advance(IDLE_S + 1)
        made.rest()
        assert affinity.home in allowed
    finally:
        affinity.release()
        made.close()


def test_workers_that_cannot_start_leave_the_work_to_this_process(
    here: LocalProcessor, context: RunContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ualpipe.pipeline.process.worker_pool._COMMAND", ("/nonexistent/python",))
    made = WorkerPool(here, WorkerSetup([], {}, logging.INFO), MOST, context, CpuAffinity())
    made._start()
    assert "no worker process could be started; one process goes on alone" in caplog.text
    with here.lock:
        assert made._take(must_start=False) is None
    assert pids(made.process(origin("keep"), transform=True).transformed) == {os.getpid()}
    made.close()


def test_options_that_cannot_be_sent_leave_the_work_to_this_process(
    here: LocalProcessor, context: RunContext, caplog: pytest.LogCaptureFixture
) -> None:
    made = WorkerPool(
        here, WorkerSetup([StageSpec("odd", "odd", ByOperation, lambda: None)], {}, logging.INFO), MOST, context, CpuAffinity()
    )
    made._start()
    assert "no worker process could be started; one process goes on alone" in caplog.text
    assert pids(made.process(origin("keep"), transform=True).transformed) == {os.getpid()}
    made.close()


def test_an_answer_that_cannot_be_read_costs_its_worker_and_no_other(
    workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("ualpipe.pipeline.process.worker_pool.unpacked_message", lambda _text: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            workers.process(origin("keep"), transform=True)
    assert not workers._workers, "nobody waits for it"
    assert workers.process(origin("keep"), transform=True).digests


@pytest.mark.parametrize("work", ["process", "transform"])
def test_a_worker_in_the_middle_of_a_long_chunk_is_ended_by_a_stop_and_its_work_is_not_done_here(
    workers: WorkerPool, caplog: pytest.LogCaptureFixture, work: str
) -> None:
    def interrupt() -> None:
        until(lambda: not workers._idle, "the work", timeout_s=30)
        workers.interrupt()

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    start = time.monotonic()
    chunk = origin("keep", "hang")
    with pytest.raises(Stopped):
        workers.process(chunk, transform=True) if work == "process" else workers.transform(chunk, ())
    with pytest.raises(Stopped):
        workers.process(origin("keep"), transform=True)
    workers.close()
    assert time.monotonic() - start < 5
    assert not caplog.messages, "that a worker ends is what a stop wants"
    interrupting.join()


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if parent_of(path) == pid]


def parent_of(process: Path) -> int:
    with contextlib.suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def await_worker(pipeline: subprocess.Popen[bytes]) -> list[int]:
    """Returns the worker processes of a pipeline, once there is one; fails with what the pipeline said where there is none."""
    deadline = time.monotonic() + 60
    while not (found := children(pipeline.pid)):
        if pipeline.poll() is not None or time.monotonic() > deadline:
            pipeline.send_signal(signal.SIGABRT)
            _out, log = pipeline.communicate(timeout=30)
            pytest.fail(f"no worker came about; the pipeline ended with {pipeline.returncode}:\n{log.decode()}")
        time.sleep(0.01)
    return found


def test_a_run_with_workers_of_which_one_is_killed_delivers_everything_once(tmp_path: Path) -> None:
    sink = {"sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}}, "workers": MOST}
    with served(tmp_path, generated(20_000), records_per_blob=200) as tenant:
        process = start(write_config(tmp_path, tenant.sections, sink))
        await_worker(process)
        time.sleep(0.5)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        _out, log = process.communicate(timeout=120)
    assert process.returncode == 0, log.decode()
    found = ids_in(tmp_path / "out")
    assert sorted(found) == sorted(tenant.ids)


def test_workers_end_when_the_pipeline_is_killed(tmp_path: Path) -> None:
    sink = {"sinks": {"local": {"type": "file", "path": "out/audit.ndjson"}}, "workers": MOST}
    with served(tmp_path, generated(20_000), records_per_blob=200) as tenant:
        process = start(write_config(tmp_path, tenant.sections, sink))
        left = await_worker(process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    until(lambda: not any(Path("/proc", str(pid)).exists() for pid in left), "the end of all workers", timeout_s=20)
