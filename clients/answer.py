"""An answer to an HTTP request, whichever library brought it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        headers: Headers, with names in any case.
        body: Body as received, without its content encoding; of an error perhaps the beginning alone.
        server: Base URL of the server that gave it, where there were several to choose from.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    server: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300
