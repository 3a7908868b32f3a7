"""Redaction: secrets, also those that come to be known in the middle of a run, are blanked in logs and messages."""

from __future__ import annotations

import re
from collections.abc import Iterable

MIN_SECRET_LENGTH = 4  # a shorter "secret" would blank ordinary words

_BEARER = re.compile(
    r"(?i)(bearer\s+|client_secret=|client_assertion=|password=|access_token[\"']?\s*[:=]\s*[\"']?)[\w\-.~+/=%]+"
)

_texts: set[str] = set()


def hide(text: str) -> None:
    """Makes a text a secret, for the rest of the process."""
    _texts.add(text)


def hidden() -> frozenset[str]:
    """Returns the texts that were made secrets."""
    return frozenset(_texts)


def count() -> int:
    """Returns how many texts were made secrets, for telling cheaply whether there is a new one."""
    return len(_texts)


class Redactor:
    """Blanks known secrets, and what looks like a token, in any text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secrets)
        self._known: re.Pattern[str] | None = None
        self._later = -1  # how many of the hidden texts the pattern covers

    def __call__(self, text: str) -> str:
        if self._later != count():
            self._learn()
        if self._known:
            text = self._known.sub("***", text)
        return _BEARER.sub(r"\1***", text)

    def _learn(self) -> None:
        later = hidden()
        words = sorted({word for word in self._secrets | later if len(word) >= MIN_SECRET_LENGTH}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, words))) if words else None
        self._later = len(later)


_redact = Redactor()


def blanked(text: str) -> str:
    """Blanks every secret that this process knows of in a text that is kept: a service may say again what it was told."""
    return _redact(text)
