"""A warm process that forks runs of the real command: one that is killed at work costs a tenth of a fresh interpreter.

Orders come on stdin, one JSON text a line; the answer goes to stdout when the run has ended. It never starts a thread, so what
it forks is whole.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import itertools
import json
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

import orjson

from chaos.crash_points import POINTS, Point, code_of
from runs import TENANT_ID
from ualpipe.pipeline import cli
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.events import Origin
from ualpipe.pipeline.process.transforming import events_of, transform_group
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.supervisor.stages import StageMaker
from ualpipe.simulator.records.generator import generate

LONGEST_RUN_S = 90.0
LONGEST_WORK_S = 3.0
"""After so long a run gets its signal although it has not used the processor for as long as it should: it has nothing to do."""
LONGEST_WORK_OF_WORKERS_S = 10.0
_LOOK_S = 0.003

_COMMITTING = (
    contextlib._GeneratorContextManager.__exit__.__code__,
    code_of("ualpipe.pipeline.journal.sqlite.file:JournalFile.transaction"),
)
_WARM = (
    *(f"ualpipe.pipeline.commands.{name}" for name in ("run", "dead_letters")),
    *(f"ualpipe.pipeline.journal.sqlite.{name}" for name in ("journal", "reader", "changes")),
    *(f"ualpipe.sinks.{name}" for name in ("file", "kafka", "kafka.producer_confluent", "elasticsearch", "http", "archive")),
    *(f"ualpipe.sinks.{name}" for name in ("logstash", "sentinel.connection", "splunk_hec", "sql", "syslog")),
    "ualpipe.sources.management_activity.source",
    "ualpipe.sources.management_activity.connection",
    *(f"ualpipe.transforms.{name}.transform" for name in ("validate", "ecs")),
    "ualpipe.schemas",
    "encodings.idna",
)


def main() -> None:
    warm_up(Path(sys.argv[1]))
    for line in sys.stdin:
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads can't be forked whole"
        print(json.dumps(carry_out(json.loads(line))), flush=True)


def warm_up(config_file: Path) -> None:
    """Does what each run would do at its start: imports, reads the tables, makes the code of the mapping."""
    for module in _WARM:
        importlib.import_module(module)
    config = load_config(config_file)
    transforms = StageMaker.for_command(config).open_transforms()
    records = list(generate(500, start=datetime.now(UTC), rate=1.0, tenant_id=TENANT_ID))
    origin = Origin("warm", TENANT_ID, "", "", Chunk(orjson.dumps(records), "array"))
    transform_group(list(events_of(origin)), [transform.apply for transform in transforms])
    gc.freeze()


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Forks a run and awaits its end, or brings it about.

    Args:
        order: ``arguments`` of the command and its ``log`` file; the ``point`` it is to die at, at its n-th ``passage``; or a
            ``signal`` that it gets ``after_s`` it has used ``after_cpu_s`` of the processor: itself, or its workers if
            ``by_workers``, of which one is killed first if ``kill_worker``.

    Returns:
        ``code`` (negative: the signal it died of), ``reached`` (the point was), ``seconds``, ``workers`` that it had when it got
        its signal.
    """
    reached, report = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        os.close(reached)
        _run(order, report)
    os.close(report)
    workers = _await_end(pid, order)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with os.fdopen(reached, "rb") as answer:
        return {"code": code, "reached": bool(answer.read()), "seconds": time.monotonic() - started, "workers": workers}


def _await_end(pid: int, order: dict[str, Any]) -> int:
    """Awaits the end of a run; returns how many workers it had when it got its signal.

    Where it is to get a signal, it gets it when it has worked for so long, which does not depend on what else the machine does,
    and some time after that, when it may be waiting as well.
    """
    process, workers = os.pidfd_open(pid), []
    try:
        if (after_cpu_s := order.get("after_cpu_s")) is not None:
            by_workers = order.get("by_workers", False)
            latest = time.monotonic() + (LONGEST_WORK_OF_WORKERS_S if by_workers else LONGEST_WORK_S)
            used_s = _workers_cpu_s if by_workers else _cpu_s
            while used_s(pid) < after_cpu_s and time.monotonic() < latest and not _has_ended(process, _LOOK_S):
                pass
            workers = _children(pid)
            if order.get("kill_worker") and workers:
                os.kill(workers[0], signal.SIGKILL)
            if not _has_ended(process, order["after_s"]):
                signal.pidfd_send_signal(process, order["signal"])
        if not _has_ended(process, LONGEST_RUN_S):
            signal.pidfd_send_signal(process, signal.SIGABRT)
    finally:
        os.close(process)
    return len(workers)


def _children(pid: int) -> list[int]:
    """Returns the processes that a process has started and that have not been waited for."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, children.read_text().split())
    return found


def _workers_cpu_s(pid: int) -> float:
    return sum(map(_cpu_s, _children(pid)))


def _has_ended(process: int, within_s: float) -> bool:
    return bool(select.select([process], [], [], within_s)[0])


def _cpu_s(pid: int) -> float:
    """Returns the processor time of a process; until it is waited for, also of one that has ended."""
    return time.clock_gettime(~pid << 3 | 2)  # CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it


def _run(order: dict[str, Any], report: int) -> NoReturn:
    """Is the run, in a process of its own; ends it."""
    code = 70
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(log, number)
        faulthandler.enable()  # a run that takes too long is aborted, and says where its threads are
        if name := order.get("point"):
            _watch(tripwire(replace(POINTS[name], passage=order.get("passage", POINTS[name].passage)), report))
        code = cli.main(order["arguments"])
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 70
    except BaseException:
        logging.getLogger("chaos").exception("the run failed")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _watch(look: Callable[[FrameType, str, Any], None]) -> None:
    threading.setprofile(look)
    sys.setprofile(look)


def tripwire(point: Point, report: int) -> Callable[[FrameType, str, Any], None]:
    """Returns what looks at each call of the interpreter, and kills the process at a point."""
    code, event = _watched(point)
    passages = itertools.count(1)

    def look(frame: FrameType, happening: str, argument: Any) -> None:
        if frame.f_code is not code or happening != event or not _is_at(point, frame, argument):
            return
        if next(passages) == point.passage:
            sys.setprofile(None)
            if point.act:
                point.act(frame)
            os.write(report, point.name.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return look


def _watched(point: Point) -> tuple[CodeType, str]:
    if point.moment == "uncommitted":
        return _COMMITTING[1], "c_call"
    return code_of(point.function), "c_call" if point.calling else {"before": "call", "after": "return"}[point.moment]


def _is_at(point: Point, frame: FrameType, argument: Any) -> bool:
    if point.calling:
        return bool(argument.__name__ == point.calling)
    if point.moment == "uncommitted":
        above = frame.f_back and frame.f_back.f_back
        is_commit = frame.f_back is not None and frame.f_back.f_code is _COMMITTING[0]
        return is_commit and argument.__name__ == "execute" and above is not None and above.f_code is code_of(point.function)
    return not point.within or _is_below(frame, code_of(point.within))


def _is_below(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


if __name__ == "__main__":
    main()
