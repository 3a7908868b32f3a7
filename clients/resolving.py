"""Names become addresses in a bounded time: the system's own look-up can't be given up, so that it has a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

Address = tuple[int, int, int, str, Any]
"""What ``socket.getaddrinfo`` returns of an address: family, type, protocol, canonical name, and what ``connect`` takes."""

LOOK_S = 0.1
"""How often a look-up that takes long looks whether anybody still waits for it."""


class _LookUp(threading.Thread):
    """One look-up of one name, for all that ask for it meanwhile."""

    def __init__(self, host: str, port: int, kind: int) -> None:
        super().__init__(name=f"look up {host}", daemon=True)
        self.asked = (host, port, kind)
        self.found: list[Address] = []
        self.failure: OSError | None = None

    def run(self) -> None:
        host, port, kind = self.asked
        try:
            self.found = list(socket.getaddrinfo(host, port, type=kind))
        except OSError as exc:
            self.failure = exc
        except UnicodeError as exc:  # an empty label, or one that is too long
            self.failure = socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is no host name: {exc}")
        finally:
            with _lock:
                _under_way.pop(self.asked, None)


_lock = threading.Lock()
_under_way: dict[tuple[str, int, int], _LookUp] = {}


def resolve(host: str, port: int, kind: int, timeout_s: float, check: Callable[[], None]) -> list[Address]:
    """Returns the addresses of a host.

    Args:
        host: Name or address.
        port: 1 to 65535.
        kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
        timeout_s: Longest wait, in seconds. A look-up that takes longer goes on, for the next that asks for the same.
        check: Called now and then; raises when nobody waits any more.

    Raises:
        TimeoutError: There is no answer in time.
        OSError: The name can't be resolved.
    """
    look_up = _look_up(host, port, kind)
    left_s = timeout_s
    while look_up.is_alive() and left_s > 0:
        check()
        look_up.join(min(LOOK_S, left_s))
        left_s -= LOOK_S
    if look_up.is_alive():
        raise TimeoutError(f"the name {host} was not resolved within {timeout_s:g} s")
    if look_up.failure is not None:
        raise look_up.failure
    return look_up.found


def _look_up(host: str, port: int, kind: int) -> _LookUp:
    with _lock:
        if (known := _under_way.get((host, port, kind))) is not None:
            return known
        made = _LookUp(host, port, kind)
        _under_way[made.asked] = made
        made.start()
        return made
