"""Writes the reports of the schedule, each in a process of its own, one at a time: what it takes of memory goes with it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from ualpipe.pipeline.config.model import PipelineConfig, ScheduleOptions
from ualpipe.pipeline.report.schedule import Ended, LastRun, due, keep_runs, key_of, read_runs
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.wording import shorten

TIMEOUT_S = 1800.0
"""Longest time that a report may take."""
_POLL_S = 0.1
_END_S = 5.0
_INSTALLED_COMMAND = (  # by its entry point: the command line lies above this layer
    "import sys; from importlib.metadata import entry_points; "
    "(command,) = entry_points(group='console_scripts', name='ualpipe'); sys.exit(command.load()())"
)
COMMAND = (sys.executable, "-P", "-c", _INSTALLED_COMMAND)

_log = logging.getLogger("ualpipe.reports")


class ReportRuns:
    """The schedule of one run of a pipeline. Used by one thread."""

    def __init__(self, config: PipelineConfig, context: RunContext, command: Sequence[str] = COMMAND) -> None:
        """Starts nothing yet.

        Args:
            config: The pipeline.
            context: The run: its clock tells what is due.
            command: What runs ``ualpipe``.
        """
        self._config = config
        self._context = context
        self._command = command
        self._zone = ZoneInfo(config.reports.business_hours.timezone)
        self._runs = read_runs(config.state_dir) if config.reports.schedule else {}
        self._current: _Writing | None = None

    def look(self) -> None:
        """Notes what has been written, and begins with the next report that is due."""
        if self._current is not None:
            if self._current.is_alive:
                return
            self._note(self._current)
            self._current = None
        now = self._context.clock.now()
        for entry in self._config.reports.schedule:
            if (period := due(entry, self._zone, self._runs.get(key_of(entry)), now)) is not None:
                self._current = _Writing(entry, period, [*self._command, *arguments(self._config, entry, period)])
                return

    def write_all(self) -> None:
        """Writes all reports that are due, for a run that ends by itself; a stop ends that."""
        self.look()
        while self._current is not None and not self._context.stop.wait(_POLL_S):
            self.look()

    def end(self) -> None:
        """Ends what is being written: it is begun anew by the next run."""
        if self._current is not None:
            self._current.end()
            self._current = None

    def _note(self, done: _Writing) -> None:
        key, before = key_of(done.entry), self._runs.get(key_of(done.entry))
        attempts = before.attempts + 1 if before and before.until == done.period.until else 1
        run = LastRun(done.period.until, self._context.clock.now(), done.is_written, done.message, attempts)
        self._runs[key] = run
        if run.is_written:
            _log.info("wrote the report %s: %s", done.entry.report, run.message)
        else:
            _log.warning("the report %s could not be written: %s", done.entry.report, run.message)
        known = {key_of(entry) for entry in self._config.reports.schedule}
        try:
            keep_runs(self._config.state_dir, {key: one for key, one in self._runs.items() if key in known})
        except OSError as exc:
            _log.warning("what became of reports can't be noted now: %s", exc.strerror)


def arguments(config: PipelineConfig, entry: ScheduleOptions, period: Ended) -> list[str]:
    """Returns the arguments of ``ualpipe`` that write a report of the schedule."""
    tenants = [word for tenant in entry.tenants for word in ("--tenant", tenant)] or ["--each-tenant"]
    return [
        *("report", entry.report, str(config.path)),
        *("--since", period.since.isoformat(), "--until", period.until.isoformat()),
        *("--timezone", config.reports.business_hours.timezone),
        *tenants,
        *(("--user", entry.user) if entry.user else ()),
        *(("--workload", ",".join(entry.workloads)) if entry.workloads else ()),
        *(("--sink", entry.sink) if entry.sink else ()),
        *("--format", entry.format, "--output", f"{entry.output}/"),
    ]


class _Writing:
    """One report that is being written.

    Attributes:
        entry: The entry of the schedule.
        period: The period that it is for.
        is_written: Whether it was; before the end False.
        message: The last line that the command said.
    """

    def __init__(self, entry: ScheduleOptions, period: Ended, command: Sequence[str]) -> None:
        self.entry = entry
        self.period = period
        self.is_written = False
        self.message = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, args=(command,), name=f"report {entry.report}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it is still being written."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Ends it."""
        with self._lock:
            self._is_ended = True
            if self._process is not None:
                self._process.kill()
        self._thread.join(_END_S)

    def _run(self, command: Sequence[str]) -> None:
        try:
            with self._lock:
                if self._is_ended:
                    return
                self._process = subprocess.Popen(  # noqa: S603 - our own command, with options of the config as arguments
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                )
        except OSError as exc:
            self.message = f"the process can't be started: {exc.strerror}"
            return
        try:
            _, said = self._process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            self.message = f"not done after {TIMEOUT_S / 60:.0f} minutes: ask for less (`workloads`, `tenants`)"
            return
        lines = said.decode("utf-8", "replace").strip().splitlines()
        self.is_written = self._process.returncode == 0
        self.message = shorten(lines[-1]) if lines else "" if self.is_written else f"exit code {self._process.returncode}"
