"""Worker processes: decoding, transforms, encoding and compression on all cores, while one process collects and delivers.

Workers hold nothing that could be lost: no connection, no progress. They get the bytes of a chunk and return what became of it,
so a job whose worker ends in the middle is given to another one. They are started when this process has more to do than it can,
and ended when they have had nothing to do for a while. While there are any, this process may run on all processors, as they do.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from multiprocessing import Pipe

from ualpipe.pipeline.errors import ContentUndecodable, Stopped
from ualpipe.pipeline.events import Failure, Origin, Transformed
from ualpipe.pipeline.process.processor import LocalProcessor, ProcessedChunk
from ualpipe.pipeline.process.transforming import NO_CONFLICTS
from ualpipe.pipeline.process.worker_protocol import Job, JobResult, WorkerSetup, job_of, packed_message, unpacked_message
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity

ATTEMPTS = 3
"""Workers that may end over one chunk before it counts as a failure."""
START_TIMEOUT_S = 60.0
IDLE_S = 60.0
CAREFUL_S = 600.0
"""How long after a worker ended by itself this process works on no chunk: it may meet the one that ended the worker."""
_END_TIMEOUT_S = 5.0
_COMMAND = (sys.executable, "-P", "-c", "from ualpipe.pipeline.process.worker import main; main()")

_log = logging.getLogger("ualpipe.workers")


class WorkersEnded(RuntimeError):
    """Several worker processes ended over the same work."""


class WorkerPool:
    """Gives chunks to worker processes; works on them in this process while no worker is ready. Thread-safe."""

    def __init__(self, here: LocalProcessor, setup: WorkerSetup, most: int, context: RunContext, affinity: CpuAffinity) -> None:
        """Starts nothing yet.

        Args:
            here: Works on chunks in this process.
            setup: What a worker needs to know.
            most: Worker processes at a time.
            context: Gets what the transforms of workers note and count; its clock tells how long workers have been idle.
            affinity: Keeps this process on one processor while there are no workers.
        """
        self._here = here
        self._setup = setup
        self._most = most
        self._drift = context.drift
        self._metrics = context.metrics
        self._clock = context.clock
        self._affinity = affinity
        self._idle: list[_WorkerProcess] = []
        self._workers: set[_WorkerProcess] = set()  # idle or not
        self._is_starting = False
        self._is_closed = self._is_interrupted = False
        self._used_at = context.clock.monotonic()
        self._careful_until = 0.0
        self._changed = threading.Condition()

    def process(self, origin: Origin, *, transform: bool) -> ProcessedChunk:
        """See ``Processor``. Transforms that end the workers are left out: the delivery meets them again."""
        try:
            answer = self._answer(job_of(origin, is_fetched=True, transform=transform), origin)
        except WorkersEnded:
            return self._here.process(origin, transform=False)
        done = answer.processed if answer is not None else None
        if done is None:
            return self._here.process(origin, transform=transform)
        if done.transformed is not None:
            done.transformed.come_from(origin)
        return done

    def transform(self, origin: Origin, duplicates: Collection[int], conflicts: Mapping[int, str] = NO_CONFLICTS) -> Transformed:
        """See ``Processor``. A record that ends the workers is found by halving the chunk, and is a failure."""
        try:
            return self._transform(origin, frozenset(duplicates), conflicts)
        except WorkersEnded as exc:
            positions = frozenset(range(sum(1 for _record in origin.chunk.stream())))
            wanted = sorted(positions.difference(duplicates))
            if len(wanted) <= 1:
                return Transformed(failures=[Failure(index, str(exc), "") for index in wanted], taken=len(wanted))
            made = Transformed()
            for half in (wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :]):
                made.add(self.transform(origin, positions.difference(half), conflicts))
            return made

    def _transform(self, origin: Origin, left_out: frozenset[int], conflicts: Mapping[int, str]) -> Transformed:
        answer = self._answer(job_of(origin, is_fetched=False, duplicates=left_out, conflicts=dict(conflicts)), origin)
        made = answer.transformed if answer is not None else None
        if made is None:
            return self._here.transform(origin, left_out, conflicts)
        made.come_from(origin)
        return made

    def rest(self) -> None:
        """Ends the workers when there has been no job for a while."""
        with self._changed:
            if self._clock.monotonic() - self._used_at < IDLE_S or len(self._idle) < len(self._workers) or self._is_starting:
                return
            ended, self._idle = self._idle, []
            self._workers.clear()
            self._affinity.confine()
        for worker in ended:
            worker.end()

    def interrupt(self) -> None:
        """Kills all workers, also in the middle of a chunk; one that is just being started ends when this process does."""
        with self._changed:
            self._is_closed = self._is_interrupted = True
            killed = list(self._workers)
            self._changed.notify_all()
        for worker in killed:
            worker.kill()

    def close(self) -> None:
        """Ends all workers, once those that are being started are ready."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: not self._is_starting or self._is_interrupted, START_TIMEOUT_S)
            ended, self._idle = self._idle, []
        for worker in ended:
            worker.end()

    def _answer(self, job: Job, origin: Origin) -> JobResult | None:
        """Returns the answer of a worker; None when no worker is ready, and this process is to do the job.

        Raises:
            ContentUndecodable: The chunk holds no records, or not only records.
            RuntimeError: The worker failed unexpectedly.
            Stopped: The workers were interrupted.
            WorkersEnded: Several workers ended over this chunk.
        """
        ended = 0
        while ended < ATTEMPTS and (worker := self._take(must_start=self._must_start)) is not None:
            try:
                answer = worker.ask(job, origin.chunk.body)
            except (EOFError, OSError):
                self._lose(worker)
                ended += 1
            except BaseException:
                self._lose(worker)  # half an answer may wait in the connection, or one that can't be read
                raise
            else:
                self._give_back(worker)
                return self._checked(answer, origin)
        if self._is_interrupted:
            raise Stopped("the pipeline stops")
        if ended or self._must_start:
            raise WorkersEnded(f"worker processes that ended while they worked on it: {ended}")
        return None

    @property
    def _must_start(self) -> bool:
        """Whether jobs wait for a worker where none is ready: a chunk that ended a worker must not end this process."""
        return self._clock.monotonic() < self._careful_until

    def _checked(self, answer: JobResult, origin: Origin) -> JobResult:
        for line in answer.lines:
            line.log()
        self._drift.add(answer.drift)
        self._metrics.repeat(answer.metrics)
        if answer.undecodable:
            raise ContentUndecodable(answer.undecodable, origin.chunk.body)
        if answer.failure:
            raise RuntimeError(f"in a worker process:\n{answer.failure}")
        return answer

    def _take(self, *, must_start: bool) -> _WorkerProcess | None:
        """Waits for an idle worker and returns it; None where there is no worker yet, or no longer."""
        with self._changed:
            self._used_at = self._clock.monotonic()
            if not self._workers or (len(self._workers) < self._most and not self._idle):
                self._start_another(must_start=must_start)
            if not self._workers and not must_start:
                return None
            self._changed.wait_for(lambda: self._idle or self._is_interrupted or not (self._workers or self._is_starting))
            return self._idle.pop() if self._idle and not self._is_interrupted else None

    def _give_back(self, worker: _WorkerProcess) -> None:
        with self._changed:
            self._idle.append(worker)
            self._used_at = self._clock.monotonic()
            self._changed.notify()

    def _lose(self, worker: _WorkerProcess) -> None:
        """Notes that a worker has ended by itself; its job is done by another one."""
        code = worker.end()
        if not self._is_interrupted:
            _log.warning("a worker process ended by itself (%s); its work is done again", code)
        with self._changed:
            self._workers.discard(worker)
            self._careful_until = self._clock.monotonic() + CAREFUL_S
            self._changed.notify_all()

    def _start_another(self, *, must_start: bool) -> None:
        """Starts a worker in the background, when this process is busy, or must not do the job."""
        is_busy = bool(self._workers) or self._here.lock.locked()
        if (is_busy or must_start) and not self._is_starting and not self._is_closed:
            self._is_starting = True
            self._affinity.release()  # a process inherits the processors on which its parent may run
            threading.Thread(target=self._start, name="start-worker", daemon=True).start()

    def _start(self) -> None:
        worker = None
        try:
            worker = _WorkerProcess(packed_message(self._setup))
        except Exception as exc:  # noqa: BLE001 - a plugin's options may be such that they can't be sent, too
            _log.warning("no worker process could be started; one process goes on alone: %s", exc)
        with self._changed:
            self._is_starting = False
            if worker is None:
                self._most = len(self._workers)
            else:
                self._workers.add(worker)
                self._idle.append(worker)
            self._changed.notify_all()


class _WorkerProcess:
    """One process and the connection to it."""

    def __init__(self, setup: bytes) -> None:
        """Starts the process, and returns when it is ready.

        Raises:
            OSError, EOFError, RuntimeError: The process could not be started.
        """
        self._connection, other = Pipe()
        with other:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [*_COMMAND, str(other.fileno())], pass_fds=[other.fileno()], stdin=subprocess.DEVNULL
            )
        try:
            self._connection.send_bytes(setup)
            self._await_ready()
        except BaseException:
            self.end()
            raise

    def _await_ready(self) -> None:
        if not self._connection.poll(START_TIMEOUT_S):
            raise RuntimeError(f"it was not ready within {START_TIMEOUT_S:g} s")
        self._connection.recv_bytes()

    def ask(self, job: Job, body: bytes) -> JobResult:
        """Returns the answer to a job.

        Raises:
            EOFError, OSError: The process has ended.
        """
        self._connection.send_bytes(packed_message(job))
        self._connection.send_bytes(body)
        answer: JobResult = unpacked_message(self._connection.recv_bytes())
        return answer

    def kill(self) -> None:
        """Ends the process in the middle of whatever it does; whoever waits for its answer gets an error."""
        self._process.kill()

    def end(self) -> str:
        """Ends the process; returns how it ended."""
        self._connection.close()
        try:
            code = self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit {code}"
