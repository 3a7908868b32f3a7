"""A server as a child process: started and awaited, stopped or killed, and ended with this interpreter in any case."""

from __future__ import annotations

import abc
import atexit
import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_POLL_S = 0.05
_SHOWN_LOG_BYTES = 4000


class ServerFailed(Exception):
    """A server did not come up, or not go down; the message ends with its log."""


class Server(abc.ABC):
    """A server of ours, which can be started again after its end, however it is run."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abc.abstractmethod
    def is_running(self) -> bool:
        """Whether there is a process."""

    def start(self, is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Starts the server and returns when it serves.

        Raises:
            ServerFailed: It ended at once, or does not serve after ``timeout_s``.
        """
        self._spawn()
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if not self.is_running:
                raise ServerFailed(
                    f"{self.name} ended while starting, exit code {self._end(signal.SIGKILL)}.\n{self._log_tail()}"
                )
            if time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                raise ServerFailed(f"{self.name} does not serve after {timeout_s:g} s.\n{self._log_tail()}")
            time.sleep(_POLL_S)

    def stop(self, *, timeout_s: float = 30) -> None:
        """Ends the server in an orderly way; does nothing when it is down.

        Raises:
            ServerFailed: It went on after SIGTERM, and was killed.
        """
        try:
            self._end(signal.SIGTERM, timeout_s)
        except TimeoutError:
            self.kill()
            raise ServerFailed(f"{self.name} did not end {timeout_s:g} s after SIGTERM.\n{self._log_tail()}") from None

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self._end(signal.SIGKILL)

    @abc.abstractmethod
    def _spawn(self) -> None:
        """Starts it; does not wait for it."""

    @abc.abstractmethod
    def _end(self, number: signal.Signals, timeout_s: float = 10) -> int | None:
        """Sends a signal and waits for the end.

        Returns:
            The exit code; None when it was down.

        Raises:
            TimeoutError: It goes on.
        """

    @abc.abstractmethod
    def _log_tail(self) -> str:
        """Returns the end of what it logged."""


class ServerProcess(Server):
    """One server process.

    Args:
        name: For error messages and the log file.
        command: Program and arguments; it must stay in the foreground.
        folder: Where it runs and logs.
        environment: Added to ours.
        user: Runs as this user, where we are root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        super().__init__(name)
        self.log_file = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        self._environment = os.environ | dict(environment or {})
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _spawn(self) -> None:
        if self.is_running:
            raise ServerFailed(f"{self.name} runs already")
        # A process group of its own: the end of the server takes its children with it, and Ctrl-C reaches the test run only.
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                **_identity(self._user),
            )
        atexit.register(self.kill)

    def _end(self, number: signal.Signals, timeout_s: float = 10) -> int | None:
        process = self._process
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            raise TimeoutError from exc
        self._process = None
        atexit.unregister(self.kill)
        return code

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return self.log_file.read_bytes()[-_SHOWN_LOG_BYTES:].decode(errors="replace")
        return ""


def is_root() -> bool:
    return os.geteuid() == 0


def _identity(user: str | None) -> dict[str, Any]:
    if user is None or not is_root():
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
