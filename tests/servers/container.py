"""A server in a Docker container, by testcontainers: what ``ServerProcess`` is for local ones.

Ports have the same number inside and outside, and are published on loopback alone. Ports and data outlive ``stop`` and ``kill``;
the container goes with this interpreter. One whose interpreter was killed goes when the next run begins.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import docker_engine
from servers.ports import HOST
from servers.process import Server, ServerFailed

LABEL = "ualpipe.tests.process"
"""Label of our containers: which process they belong to."""

_SHOWN_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a server is run in a container.

    Attributes:
        command: Replaces the image's own.
        ports: TCP, and UDP as ``514/udp``.
        files: Content by path, copied into the container when it is made; everybody may read them.
        mounts: Folders of this machine that stand at the same path in the container, and may be written to.
        environment: Variables.
        user: ``uid:gid``; the image's own by default.
    """

    image: str
    command: Sequence[str]
    ports: Iterable[int | str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    mounts: Iterable[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None


class ServerContainer(Server):
    """One server in a container."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        super().__init__(name)
        self._recipe = recipe
        self._made: Any = None

    @property
    def is_running(self) -> bool:
        if self._made is None:
            return False
        self._made.reload()
        return bool(self._made.status == "running")

    def _spawn(self) -> None:
        if self.is_running:
            raise ServerFailed(f"{self.name} runs already")
        from docker.errors import DockerException  # noqa: PLC0415

        try:
            if self._made is None:
                remove_left_over()
                self._made = _container(self._recipe)
                atexit.register(self._made.stop)
                self._made.start()
            else:
                self._made.get_wrapped_container().start()
        except DockerException as exc:
            raise ServerFailed(f"Docker can't start {self._recipe.image}: {exc}") from exc

    def _end(self, number: signal.Signals, timeout_s: float = 10) -> int | None:
        import requests  # noqa: PLC0415
        from docker.errors import APIError  # noqa: PLC0415

        if self._made is None:
            return None
        container = self._made.get_wrapped_container()
        with contextlib.suppress(APIError):  # it is down
            container.kill(number.name)
        try:
            return int(container.wait(timeout=timeout_s)["StatusCode"])
        except requests.RequestException as exc:  # the engine says nothing for so long
            raise TimeoutError from exc

    def _log_tail(self) -> str:
        return self._made.get_wrapped_container().logs(tail=_SHOWN_LINES).decode(errors="replace") if self._made else ""


def _container(recipe: Recipe) -> Any:
    """Returns a container that is not made yet."""
    os.environ["DOCKER_HOST"] = docker_engine.address() or ""  # where testcontainers looks
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    testcontainers_config.ryuk_disabled = True  # a container more, with an image that may not be there
    made = DockerContainer(recipe.image).with_command(list(recipe.command))
    made.with_kwargs(labels={LABEL: str(os.getpid())}, **({"user": recipe.user} if recipe.user else {}))
    for port in recipe.ports:
        made.ports[str(port)] = (HOST, int(str(port).partition("/")[0]))
    for path, content in recipe.files.items():
        made.with_copy_into_container(content, path)
    for folder in recipe.mounts:
        made.with_volume_mapping(folder, str(folder), "rw")
    for name, value in recipe.environment.items():
        made.with_env(name, value)
    return made


@functools.cache
def remove_left_over() -> None:
    """Removes the containers of runs that were killed."""
    with docker_engine.connected() as client:
        for container in client.containers.list(all=True, filters={"label": LABEL}):
            if not _is_alive(int(container.labels[LABEL])):
                container.remove(force=True, v=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
