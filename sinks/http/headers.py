"""Headers that a config names: which can't be sent, are the sink's to send, or should be secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ualpipe.pipeline.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_OURS = {"connection", "content-encoding", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
_SECRET = re.compile(r"authorization|cookie|secret|token|passw|api-?key", re.IGNORECASE)


def see_to_headers(plain: Iterable[str], secret: Iterable[str], *, has_log_in: bool) -> None:
    """Refuses headers that can't be meant.

    Args:
        plain: Names in ``headers``.
        secret: Names in ``secret_headers``.
        has_log_in: Another option makes the header ``Authorization``.

    Raises:
        ConfigError: The text names the header, never a value.
    """
    plain, secret = list(plain), list(secret)
    for name in (*plain, *secret):
        if not _NAME.fullmatch(name):
            raise ConfigError(f"http: {name!r} is no name of a header")
        if name.lower() in _OURS:
            raise ConfigError(f"http: the sink sends the header {name} itself")
    if found := next(filter(_SECRET.search, plain), None):
        raise ConfigError(f"http: the header {found} holds a secret, as it seems: put it under `secret_headers`")
    if both := {name.lower() for name in plain} & {name.lower() for name in secret}:
        raise ConfigError(f"http: {min(both)} stands in `headers` and in `secret_headers`")
    if has_log_in and "authorization" in {name.lower() for name in secret}:
        raise ConfigError("http: `secret_headers` holds Authorization, which another option makes: leave out one of them")
