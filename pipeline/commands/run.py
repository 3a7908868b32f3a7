"""``ualpipe run``: runs a pipeline until SIGTERM, SIGINT or, with ``--once``, until it is done."""

from __future__ import annotations

import argparse
import itertools
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.runtime import interpreter
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.supervisor.runner import Runner

LAST_RESORT_S = 14.0
"""How long after the first signal the kernel ends the process (SIGALRM): as at a kill, nothing is lost then."""

_log = logging.getLogger("ualpipe.config")
_security = logging.getLogger("ualpipe.security")


def run(args: argparse.Namespace) -> int:
    """Runs the command; see ``Runner.run`` for the exit code."""
    config = load_for_use(args.config)
    log.set_up(args.log_level, config.secrets)
    for warning in config.warnings:
        _log.warning("%s", warning)
    if config.weakened:
        _security.warning("settings that protect less than they could", extra={"weakened": list(config.weakened)})
    return run_pipeline(config, args, once=args.once)


def run_pipeline(config: PipelineConfig, args: argparse.Namespace, *, once: bool) -> int:
    """Runs a pipeline in the foreground; ``args`` say how much is logged and shown. See ``Runner.run`` for the exit code."""
    log.set_up(args.log_level, config.secrets)
    runner = Runner(config, once=once, affinity=CpuAffinity.of_process())
    interpreter.tune()
    with (
        _signals_heard(runner),
        _live_view(runner, is_wanted=not args.no_progress and sys.stderr.isatty(), level=args.log_level),
    ):
        return runner.run()


@contextmanager
def _signals_heard(runner: Runner) -> Iterator[None]:
    """Stops the run at the first SIGTERM or SIGINT, hurries it at the second, and has SIGHUP end nothing."""
    count = itertools.count()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if next(count):
            runner.hurry()
        else:
            runner.stop()
            # Whatever holds up the end then, in our code or in a library that keeps the interpreter: the kernel ends the process.
            signal.setitimer(signal.ITIMER_REAL, LAST_RESORT_S)

    def reload(_number: int, _frame: FrameType | None) -> None:
        runner.tell_of_reload()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which `nohup` sets
        signal.signal(signal.SIGHUP, reload)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _live_view(runner: Runner, *, is_wanted: bool, level: str) -> AbstractContextManager[object]:
    if not is_wanted:
        return nullcontext()
    from ualpipe.pipeline.commands._live_view import LiveView  # noqa: PLC0415 - rich is slow to import

    return LiveView(runner, level)
