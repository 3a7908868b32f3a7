"""A worker process: works on chunks as long as the pipeline that started it sends any."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.config.model import StageSpec
from ualpipe.pipeline.drift import Drift
from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.metrics import NotedMetrics
from ualpipe.pipeline.observe.log import context_of
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.process.worker_protocol import Job, JobResult, LogLine, WorkerSetup, packed_message, unpacked_message
from ualpipe.pipeline.runtime import core_dumps, interpreter
from ualpipe.pipeline.runtime.rate_limit import TokenBucket
from ualpipe.pipeline.stages import Env

_TRACES = logging.Formatter()


def main() -> None:
    """Serves the connection whose file descriptor is the argument, until the other side closes it or ends."""
    core_dumps.switch_off()
    # Ctrl-C and a stop of the service reach this process too; the pipeline says when its work is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)


def serve(connection: Connection) -> None:
    """Answers jobs until the other side closes the connection."""
    try:
        worker = Worker(unpacked_message(connection.recv_bytes()))
        connection.send_bytes(b"ready")
        while True:
            job = unpacked_message(connection.recv_bytes())
            connection.send_bytes(packed_message(worker.answer(job, connection.recv_bytes())))
    except (EOFError, OSError):  # the pipeline has ended, or needs this worker no longer
        return


class Worker:
    """Works on chunks with the transforms of a pipeline."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Opens the transforms.

        Raises:
            ConfigError: A table or database is missing or wrong.
        """
        self._drift = Drift()
        self._metrics = NotedMetrics()
        self._lines = _Lines()
        logging.basicConfig(handlers=[self._lines], level=setup.level, force=True)
        transforms = [spec.cls(spec.options, self._env(spec)) for spec in setup.transforms]
        for transform in transforms:
            transform.open()
        conditions = {name: compile_conditions(wanted) for name, wanted in setup.conditions.items()}
        self._processor = LocalProcessor([transform.apply for transform in transforms], conditions)
        interpreter.tune()

    def answer(self, job: Job, body: bytes) -> JobResult:
        """Works on a chunk; a failure stands in the answer."""
        origin = job.origin(body)
        found: dict[str, Any]
        try:
            if job.is_fetched:
                found = {"processed": self._processor.process(origin, transform=job.transform)}
            else:
                found = {"transformed": self._processor.transform(origin, job.duplicates, job.conflicts)}
        except ContentUndecodable as exc:
            found = {"undecodable": str(exc)}
        except Exception:  # noqa: BLE001 - reported by the pipeline, which tries it again
            found = {"failure": traceback.format_exc()}
        return JobResult(**found, drift=self._drift.take(), metrics=self._metrics.take(), lines=self._lines.take())

    def _env(self, spec: StageSpec) -> Env:
        clock = SystemClock()
        budget = TokenBucket(None, clock, threading.Event())
        return Env(spec.name, clock, logging.getLogger(f"ualpipe.{spec.name}"), self._metrics, budget, drift=self._drift)


class _Lines(logging.Handler):
    """Keeps log lines for the next answer: the pipeline writes them where all others go."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        context = {key: str(value) for key, value in context_of(record).items()}
        trace = f"\n{_TRACES.formatException(record.exc_info)}" if record.exc_info else ""
        self._kept.append(LogLine(record.name, record.levelno, f"{record.getMessage()}{trace}", context))

    def take(self) -> list[LogLine]:
        """Returns the lines since the last ``take``."""
        kept, self._kept = self._kept, []
        return kept
