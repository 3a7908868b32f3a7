"""A Docker engine on this machine, if one answers, and the images of the servers, if it has them or can get them.

The engine is looked for at its socket alone, without its library: where there is none, that takes no time.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servers.installed import HERE

SWITCH = "UALPIPE_TEST_DOCKER"
"""``0`` leaves Docker out."""

KAFKA = "apache/kafka:4.3.1"
ELASTICSEARCH8 = "docker.elastic.co/elasticsearch/elasticsearch:8.19.21"
ELASTICSEARCH9 = "docker.elastic.co/elasticsearch/elasticsearch:9.5.3"
POSTGRES = "postgres:15"
RSYSLOG = "ualpipe-tests-rsyslog:bookworm-relp"
"""Built from ``rsyslog.Dockerfile``: rsyslog's own images come without the GnuTLS driver that the tests speak to."""

_DOCKERFILES = {RSYSLOG: "rsyslog.Dockerfile"}
_SOCKETS = (
    "/var/run/docker.sock",
    "~/.docker/run/docker.sock",  # Docker Desktop
    "~/.colima/default/docker.sock",
    "~/.orbstack/run/docker.sock",
    "~/.rd/docker.sock",  # Rancher Desktop
    "$XDG_RUNTIME_DIR/docker.sock",  # rootless
)
_ANSWER_S = 1.0
_SILENCE_S = 30  # of an engine that fetches an image: then its registry is not reached

_failed: list[str] = []
"""The image that is being fetched, or could not be: others are not tried then."""

notes: list[str] = []
"""Why local processes serve although an engine answers; shown at the end of the run."""


@functools.cache
def address() -> str | None:
    """Returns the address of an engine on this machine that answers (``unix:///var/run/docker.sock``); None without one."""
    if os.environ.get(SWITCH) == "0":
        return None
    named = os.environ.get("DOCKER_HOST")
    if named and not named.startswith("unix://"):
        notes.append(f"Docker at {named} is left out: only servers of an engine on this machine listen on its loopback")
        return None
    paths = [named.removeprefix("unix://")] if named else [str(Path(os.path.expandvars(path)).expanduser()) for path in _SOCKETS]
    return next((f"unix://{path}" for path in paths if _answers(path)), None)


@functools.cache
def has(image: str) -> bool:
    """Returns whether the engine has an image; fetches or builds it where it has not. Where that fails a note says why."""
    if address() is None:
        return False
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415 - takes half a second

    try:
        with connected() as client:
            try:
                client.images.get(image)
            except ImageNotFound:
                _fetch(client, image)
    except (DockerException, OSError) as exc:  # OSError: the engine fell silent
        notes.append(f"local processes in place of {image}, which Docker has not and can't get: {_first_line(exc)}")
        return False
    return True


def forget_failure() -> None:
    """Tries to fetch images again, although one could not be had."""
    _failed.clear()


def has_all() -> bool:
    """Returns whether the engine has the images of all servers; fetches them where it has not."""
    return all(map(has, (KAFKA, ELASTICSEARCH8, ELASTICSEARCH9, POSTGRES, RSYSLOG)))


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    import docker  # noqa: PLC0415

    client = docker.DockerClient(base_url=address(), timeout=_SILENCE_S)
    try:
        yield client
    finally:
        client.close()


def _fetch(client: Any, image: str) -> None:
    if _failed:
        raise OSError(f"{_failed[0]} could not be fetched either")
    _failed.append(image)
    print(f"servers: fetching {image}", file=sys.stderr, flush=True)
    if image in _DOCKERFILES:
        client.images.build(path=str(HERE), dockerfile=_DOCKERFILES[image], tag=image, rm=True)
    else:
        repository, _, tag = image.rpartition(":")
        for _progress in client.api.pull(repository, tag, stream=True):
            pass
        client.images.get(image)
    _failed.clear()


def _answers(path: str) -> bool:
    """Returns whether an engine listens at a socket, within a second."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(_ANSWER_S)
        asked.connect(path)
        asked.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
        return b" 200 " in asked.recv(64)
    return False


def _first_line(exc: Exception) -> str:
    text = str(getattr(exc, "explanation", None) or exc)  # the engine's own words, where it answered
    return text.splitlines()[0][:200] if text else type(exc).__name__
