"""A real VictoriaLogs: takes NDJSON, Loki's and Splunk's ways in, and is asked what it has."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import requests

from servers import installed
from servers.installed import NotInstalled
from servers.ports import HOST, free_ports
from servers.process import ServerProcess
from servers.run_folder import make_run_folder

MODULE = "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"
VERSION = "v1.52.1"

_START_S = 60
_REQUEST_S = 60


class VictoriaLogs:
    """A server, and what tests ask it.

    Attributes:
        url: ``http://host:port``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def query(self, query: str) -> list[dict[str, Any]]:
        """Returns the fields of all that a query in LogsQL finds (``_time:1h``, ``*``), of what has come by now."""
        self._get("/internal/force_flush")  # by itself it shows what came after a second or two
        return [orjson.loads(line) for line in self._get("/select/logsql/query", query=query).splitlines()]

    def count(self, query: str = "*") -> int:
        """Returns how much a query in LogsQL finds."""
        return int(self.query(f"{query} | stats count() as found")[0]["found"])

    def is_serving(self) -> bool:
        try:
            return self._get("/health") == b"OK"
        except requests.RequestException:
            return False

    def close(self) -> None:
        self._session.close()

    def _get(self, path: str, **parameters: str) -> bytes:
        answer = self._session.get(self.url + path, params=parameters, timeout=_REQUEST_S)
        answer.raise_for_status()
        return answer.content


@contextmanager
def victoria_logs(*flags: str) -> Iterator[VictoriaLogs]:
    """Serves on loopback, with data of its own that go with it.

    Args:
        flags: Of the command line, besides address and folder (``-splunk.maxRequestSize=1MB``).

    Raises:
        NotInstalled: Its program is not here and can't be built.
        ServerFailed: It did not come up.
    """
    (port,) = free_ports(1)
    folder = make_run_folder()
    where = [f"-httpListenAddr={HOST}:{port}", f"-storageDataPath={folder / 'data'}", "-retentionPeriod=10y"]
    process = ServerProcess("victoria-logs", [str(program()), *where, *flags], folder)
    server = VictoriaLogs(f"http://{HOST}:{port}")
    try:
        process.start(server.is_serving, timeout_s=_START_S)
        yield server
    finally:
        server.close()
        process.stop()


def program() -> Path:
    """Returns the program, which Go builds once for the cache.

    Raises:
        NotInstalled: There is no Go, or it can't build it.
    """
    folder = installed.cache_folder() / f"victoria-logs-{VERSION}"
    if not folder.is_dir():
        _build(folder)
    return folder / "victoria-logs"


def _build(folder: Path) -> None:
    """Builds the program; the folder appears whole or not at all."""
    if (go := shutil.which("go")) is None:
        raise NotInstalled(f"no go, which builds VictoriaLogs {VERSION}: install Go 1.26 or newer")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name, folder.name)
        installed.run_tool([go, "install", f"{MODULE}@{VERSION}"], {"GOBIN": str(made)})
        made.rename(folder)
