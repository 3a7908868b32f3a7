"""Says operations that have no template in words: ``WidgetCreated`` as "created a widget"."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[^\sA-Za-z_.]+")
_COMMAND = re.compile(r"^[A-Z][A-Za-z]+-[A-Z]\w+$")  # cmdlets are called, not said
_MOST_WORDS = 12
_UNCOUNTABLE = ("s", "ing", "data", "access", "information")


class Deeds:
    """Turns the names of operations into words.

    Args:
        verbs: Past tense of each verb.
    """

    def __init__(self, verbs: Mapping[str, str]) -> None:
        self._past = dict(verbs)
        self._base = {past: verb for verb, past in verbs.items()}
        self._base |= {past.replace("ys", "yz").replace("onis", "oniz"): verb for past, verb in self._base.items()}

    def deed(self, operation: str) -> str | None:
        """Returns what was done: ``created a widget``; None for a name without words."""
        found = self._read(operation)
        return f"{self._past[found[0]]}{found[1]}" if found else self._named("performed", operation)

    def attempt(self, operation: str) -> str | None:
        """Returns what was not done: ``failed to create a widget``; None for a name without words."""
        found = self._read(operation)
        return f"failed to {found[0]}{found[1]}" if found else self._named("failed to perform", operation)

    def _named(self, verb: str, operation: str) -> str | None:
        name = operation.strip(" .\t\r\n")
        return (
            f"{verb if not _COMMAND.match(name) else verb.replace('performed', 'ran').replace('perform', 'run')} {name}"
            if name
            else None
        )

    def _read(self, operation: str) -> tuple[str, str] | None:
        """Returns the verb in a name, and the words that stand behind it."""
        words = [_spelled(word) for word in _WORD.findall(operation)]
        if not 1 <= len(words) <= _MOST_WORDS or _COMMAND.match(operation.strip()):
            return None
        first, last = words[0].lower(), words[-1].lower()
        if first in self._past or first in self._base:
            return self._base.get(first, first), f" {' '.join(words[1:]) or 'something'}"
        if last in self._base:
            return self._base[last], f" {_with_article(' '.join(words[:-1]))}"
        return None


def _spelled(word: str) -> str:
    """Returns a word in lower case, an abbreviation as it is."""
    return word if word.isupper() and len(word) > 1 else word.lower()


def _with_article(words: str) -> str:
    if words.endswith(_UNCOUNTABLE):
        return words
    return f"{'an' if words[:1] in 'aeiouAEIOU' else 'a'} {words}"
