"""Cookies of one server, for balancers that lead to the same node again by them. Bounded; nothing is kept beyond the process."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

MOST_COOKIES = 20
MOST_BYTES = 4096
"""Of one cookie, name and value."""


class Cookies:
    """The cookies that a server has set. Thread-safe.

    Attributes of cookies (domain, path, expiry) do not count: all requests go to one server, and for as long as it sets them.
    """

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def header(self) -> str:
        """Value of the header ``Cookie``; empty where there is none to send."""
        with self._lock:
            return "; ".join(f"{name}={value}" for name, value in self._values.items())

    def take(self, headers: Iterable[str]) -> None:
        """Takes the values of ``Set-Cookie`` headers; what can't be read, or is too large, is passed over."""
        for header in headers:
            name, value, is_removed = _read(header)
            with self._lock:
                self._values.pop(name, None)
                if name and not is_removed:
                    self._values[name] = value
                    if len(self._values) > MOST_COOKIES:
                        self._values.pop(next(iter(self._values)))


def _read(header: str) -> tuple[str, str, bool]:
    """Returns name and value as they are sent back, and whether the cookie is taken away; an empty name for none."""
    pair = header.partition(";")[0].strip()
    try:
        found = SimpleCookie(header[:MOST_BYTES])
    except CookieError:
        return "", "", False
    name, equals, value = pair.partition("=")
    if not equals or name not in found or len(pair) > MOST_BYTES or not (pair.isascii() and pair.isprintable()):
        return "", "", False
    return name, value, found[name]["max-age"] == "0"
