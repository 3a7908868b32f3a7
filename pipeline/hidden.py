"""Secrets that came to be known in the middle of a run: whatever writes logs or messages blanks these too."""

from __future__ import annotations

_texts: set[str] = set()


def hide(text: str) -> None:
    """Makes a text a secret, for the rest of the process."""
    _texts.add(text)


def hidden() -> frozenset[str]:
    """Returns the secrets that were not known at the start."""
    return frozenset(_texts)


def count() -> int:
    """Returns how many there are, for telling cheaply whether there is a new one."""
    return len(_texts)
