"""``ualpipe run``: runs a pipeline until SIGTERM, SIGINT or, with ``--once``, until it is done."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from types import FrameType

from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.runtime import interpreter
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.supervisor.runner import Runner

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
    _stop_on_signals(runner)
    interpreter.tune()
    with _live_view(runner, is_wanted=not args.no_progress and sys.stderr.isatty(), level=args.log_level):
        return runner.run()


def _stop_on_signals(runner: Runner) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        runner.stop()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)


def _live_view(runner: Runner, *, is_wanted: bool, level: str) -> AbstractContextManager[object]:
    if not is_wanted:
        return nullcontext()
    from ualpipe.pipeline.commands._live_view import LiveView  # noqa: PLC0415 - rich is slow to import

    return LiveView(runner, level)
