"""A real OpenSearch server, version 2 or 3, in plain text and without log-in: its security is a plug-in that is not published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from servers import installed
from servers.elasticsearch import LocalElasticsearch
from servers.elasticsearch_nodes import common_settings, java_options
from servers.install import fetch, unpacked
from servers.ports import HOST, free_ports
from servers.process import ServerProcess
from servers.run_folder import PLAIN_USER, give_away, lend, make_run_folder

Major = Literal[2, 3]

_START_S = 300  # with all its modules 3 takes ten seconds on a machine that does nothing else
_JAVA: dict[Major, int] = {2: 17, 3: 21}


@contextmanager
def opensearch(major: Major) -> Iterator[LocalElasticsearch]:
    """Serves on loopback, with data of its own that go with it. It is asked as Elasticsearch is.

    Raises:
        NotInstalled: Its parts are not here and can't be fetched, or Java is too old.
        ServerFailed: It did not come up.
    """
    http_port, transport_port = free_ports(2)
    process = _process(major, make_run_folder(), http_port, transport_port)
    server = LocalElasticsearch(f"http://{HOST}:{http_port}", process)
    try:
        process.start(server.is_serving, timeout_s=_START_S)
        yield server
    finally:
        server.stop()
        server.close()


def _process(major: Major, folder: Path, http_port: int, transport_port: int) -> ServerProcess:
    name = f"opensearch{major}"
    java = installed.java_home(_JAVA[major])
    parts = installed.jar_folder(name)
    fetch(parts, unpacked(name))
    (distribution,) = parts.glob("opensearch-*")
    program = lend(distribution, folder / "program")
    config = folder / "config"
    config.mkdir()
    (config / "log4j2.properties").write_bytes((distribution / "config" / "log4j2.properties").read_bytes())
    (config / "jvm.options").write_text(_jvm_options(distribution), encoding="utf-8")
    settings = common_settings(http_port, transport_port) | {
        "path.data": folder / "data",
        "path.logs": folder / "logs",
        "network.host": HOST,
    }
    (config / "opensearch.yml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()), encoding="utf-8")
    for path in (config, folder / "data", folder / "logs", folder / "tmp"):
        path.mkdir(exist_ok=True)
        give_away(path)
    environment = {
        "OPENSEARCH_JAVA_HOME": str(java),
        "OPENSEARCH_JAVA_OPTS": " ".join(("-XX:-UseG1GC", *java_options())),
        "OPENSEARCH_PATH_CONF": str(config),
        "OPENSEARCH_TMPDIR": str(folder / "tmp"),
    }
    return ServerProcess(name, [str(program / "bin" / "opensearch")], folder, environment=environment, user=PLAIN_USER)


def _jvm_options(distribution: Path) -> str:
    """Returns the product's own, without those that write below its program, which is not the server's."""
    lines = (distribution / "config" / "jvm.options").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if "logs/" not in line and "HeapDump" not in line)
