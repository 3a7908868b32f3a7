"""The two ways to run an Elasticsearch node from what Maven brings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from servers import installed
from servers.certificates import Certificates
from servers.install import ELASTICSEARCH8_JAVA, ELASTICSEARCH9_JAVA
from servers.process import ServerProcess
from servers.run_folder import PLAIN_USER, give_away, lend

ADMIN = ("ualpipe-admin", "s3cret-admin")
WRITER = ("ualpipe-writer", "s3cret-writer")

LONG_RUN_VARIABLE = "UALPIPE_TEST_LONG_RUN"
"""Set where a server is to be fast for a long time rather than to start soon."""

_HEAP = ("-Xms512m", "-Xmx512m")
_LARGE_HEAP = ("-Xms4g", "-Xmx4g")  # a tenth of it takes what comes: with 1 GB small segments are merged all the time
_FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # without these a busy machine may take a minute to start it
WRITER_ROLE = """\
ualpipe_writer:
  indices:
    - names: [ "logs-*" ]
      privileges: [ "create_doc", "auto_configure" ]
"""


def node9(folder: Path, http_port: int, transport_port: int) -> ServerProcess:
    """Returns a node of version 9, with a heap of its own making: the published jars have no launcher."""
    java = installed.java_home(ELASTICSEARCH9_JAVA, compiler=True) / "bin/java"
    parts = lend(installed.require(installed.elasticsearch9_folder()), folder / "parts")
    home = folder / "home"
    (home / "config").mkdir(parents=True)
    settings = _local_settings(home, http_port, transport_port)
    settings |= {"path.home": home, "transport.type": "netty4", "http.type": "netty4"}
    give_away(home)
    command = [
        *(str(java), *java_options(), "--enable-native-access=ALL-UNNAMED"),
        "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
        *("-cp", f"{parts / 'classes'}:{parts / 'libs'}/*", "TestNode"),
        *(f"{key}={value}" for key, value in settings.items()),
    ]
    return ServerProcess("elasticsearch9", command, folder, user=PLAIN_USER)


def node8(folder: Path, http_port: int, transport_port: int, certificates: Certificates | None = None) -> ServerProcess:
    """Returns a node of version 8; with certificates it demands TLS and a log-in."""
    (distribution,) = installed.require(installed.jar_folder("elasticsearch8")).glob("elasticsearch-*")
    program = lend(distribution, folder / "program") / "bin"
    config = folder / "config"
    config.mkdir(parents=True)
    for name in ("jvm.options", "log4j2.properties"):
        (config / name).write_bytes((distribution / "config" / name).read_bytes())
    settings = _local_settings(folder, http_port, transport_port) | _security(config, certificates)
    (config / "elasticsearch.yml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()), encoding="utf-8")
    environment = _environment8(folder)
    if certificates:
        _add_users(program, config, environment)
    for path in (config, folder / "data", folder / "logs", folder / "tmp"):
        path.mkdir(exist_ok=True)
        give_away(path)
    return ServerProcess("elasticsearch8", [str(program / "elasticsearch")], folder, environment=environment, user=PLAIN_USER)


def java_options() -> tuple[str, ...]:
    return (*_LARGE_HEAP, "-XX:+UseSerialGC") if os.environ.get(LONG_RUN_VARIABLE) else (*_HEAP, *_FAST_START)


def common_settings(http_port: int, transport_port: int) -> dict[str, object]:
    return {
        "cluster.name": "ualpipe-tests",
        "node.name": "n1",
        "discovery.type": "single-node",
        "http.port": http_port,
        "transport.port": transport_port,
        # A developer's disk is often fuller than the 90 % at which indices become read-only.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        # Counts garbage too, and waits for the G1 collector to remove it: with the serial one it refuses every request for ever.
        "indices.breaker.total.use_real_memory": "false",
    }


def _local_settings(folder: Path, http_port: int, transport_port: int) -> dict[str, object]:
    folders = {"path.data": folder / "data", "path.logs": folder / "logs"}
    return common_settings(http_port, transport_port) | folders | {"network.host": "127.0.0.1"}


def _security(config: Path, certificates: Certificates | None) -> dict[str, object]:
    if certificates:
        for name, content in certificate_files(certificates).items():
            (config / name).write_bytes(content)
    return security_settings(with_log_in=certificates is not None)


def certificate_files(certificates: Certificates) -> dict[str, bytes]:
    """Returns the files by name; they have to stand in the server's config folder, as it reads nothing outside."""
    return {"server-cert.pem": certificates.server_cert.read_bytes(), "server-key.pem": certificates.server_key.read_bytes()}


def security_settings(*, with_log_in: bool) -> dict[str, object]:
    if not with_log_in:
        return {"xpack.security.enabled": "false"}
    return {
        "xpack.security.enabled": "true",
        "xpack.security.autoconfiguration.enabled": "false",
        "xpack.security.http.ssl.enabled": "true",
        "xpack.security.http.ssl.certificate": "server-cert.pem",
        "xpack.security.http.ssl.key": "server-key.pem",
    }


def _environment8(folder: Path) -> dict[str, str]:
    return {
        "ES_JAVA_HOME": str(installed.java_home(ELASTICSEARCH8_JAVA)),
        "ES_JAVA_OPTS": " ".join(("-XX:-UseG1GC", *java_options())),
        "ES_PATH_CONF": str(folder / "config"),
        "ES_TMPDIR": str(folder / "tmp"),
    }


def _add_users(program: Path, config: Path, environment: Mapping[str, str]) -> None:
    (config / "roles.yml").write_text(WRITER_ROLE, encoding="utf-8")
    for name in ("users", "users_roles"):  # the tool adds to them, but makes none
        (config / name).touch()
    for arguments in user_arguments():
        installed.run_tool([str(program / "elasticsearch-users"), *arguments], environment)


def user_arguments() -> list[list[str]]:
    """Returns what ``elasticsearch-users`` is told to make each user."""
    roles = ((ADMIN, "superuser"), (WRITER, "ualpipe_writer"))
    return [["useradd", name, "-p", password, "-r", role] for (name, password), role in roles]
