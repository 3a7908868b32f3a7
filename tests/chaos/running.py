"""A running pipeline in a process of its own: what it says, how far its sinks are, and its orderly end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

END_S = 60
SHOWN_BYTES = 3000


@dataclass(slots=True)
class Running:
    """One ``ualpipe run``.

    Attributes:
        config: Its pipeline file; it logs to ``run.log`` beside it.
    """

    config: Path
    process: subprocess.Popen[bytes]
    _lines: list[dict[str, Any]] = field(default_factory=list)
    _read_bytes: int = 0

    @property
    def log_file(self) -> Path:
        return self.config.with_name("run.log")

    def log(self) -> list[dict[str, Any]]:
        """Returns all lines up to now."""
        with self.log_file.open("rb") as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._read_bytes += len(line)
                with contextlib.suppress(orjson.JSONDecodeError):  # a client library's own line, as librdkafka's
                    self._lines.append(orjson.loads(line))
        return self._lines

    def said(self, logger: str, since: int = 0) -> list[str]:
        """Returns the messages of a logger, leaving out the first so many lines of the log."""
        return [line["message"] for line in self.log()[since:] if line["logger"] == logger]

    def status(self) -> dict[str, Any]:
        """Asks ``ualpipe status`` beside it."""
        command = [sys.executable, "-m", "ualpipe.pipeline.cli", "status", "--json", str(self.config)]
        found: dict[str, Any] = orjson.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        return found

    def stop(self) -> None:
        """Ends it as an operator does; fails with the end of its log when it does not end well."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(END_S)
        assert code == 0, f"exit code {code}\n{self.log_file.read_bytes()[-SHOWN_BYTES:].decode(errors='replace')}"


@contextlib.contextmanager
def running(config: Path, *arguments: str, before: Sequence[str] = ()) -> Iterator[Running]:
    """Runs a pipeline from here to the end of the block, or until it is stopped.

    Args:
        config: Its file.
        arguments: Of ``ualpipe run``.
        before: Another program's command line, which has to become ours.
    """
    command = [*before, sys.executable, "-m", "ualpipe.pipeline.cli", "run", *arguments, str(config)]
    with config.with_name("run.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    try:
        yield Running(config, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(END_S)
