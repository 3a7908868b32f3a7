"""Free TCP and UDP ports on loopback."""

from __future__ import annotations

import contextlib
import random
import socket

HOST = "127.0.0.1"

# Below the range that Linux takes outgoing ports from (32768 and up): else, while a server is stopped, a client that tries to
# reach it could be given the very port it connects to, and would talk to itself.
_CANDIDATES = range(20000, 32000)


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens at, for TCP and UDP.

    Raises:
        OSError: Loopback has not as many.
    """
    found: list[int] = []
    for port in random.sample(_CANDIDATES, len(_CANDIDATES)):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"no {count} free ports on {HOST} between {_CANDIDATES.start} and {_CANDIDATES.stop}")
    return found


def is_listening(port: int) -> bool:
    """Whether a server accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True
