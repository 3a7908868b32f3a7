"""Words that messages share: suggestions, counts, lengths of time."""

from __future__ import annotations

import difflib
import unicodedata
from typing import Any

from ualpipe.pipeline.redaction import blanked


def did_you_mean(word: str, known: Any) -> str:
    """Returns `` (did you mean x?)`` for a word that is not known, the list of known words where that is short, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (there are: {', '.join(map(str, known))})" if 0 < len(known) <= 12 else ""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns ``no dead letters``, ``1 dead letter``, ``2,000 dead letters``; ``plural`` is for nouns that do not take an s."""
    return f"1 {noun}" if number == 1 else f"{f'{number:,}' if number else 'no'} {plural or noun + 's'}"


def rounded(seconds: float) -> str:
    """Returns a time as ``40s``, ``25m``, ``3h 20m`` or ``2d 5h``; at least ``1s``."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole}s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {rest}m" if rest else f"{hours}h"
    days, left = divmod(round(minutes / 60), 24)
    return f"{days}d {left}h" if left else f"{days}d"


OTHER_REASONS = "other reasons"
"""Stands for reasons that are counted together, as there are too many to tell apart."""

SHOWN_CHARACTERS = 300
"""So much of another system's own words goes into a message of ours."""


LONGEST_READ = 64 * 1024
"""Characters of another system's answer that are looked at for a message."""


def shorten(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """Returns a text in one line of bounded length, in characters that can be seen.

    Secrets in it are blanked first, as half of one would not be known.
    """
    line = visible(" ".join(blanked(text[:LONGEST_READ]).split()))
    return line if len(line) <= limit else f"{line[:limit]}..."


_NAMES = {"\t": "tab", "\n": "line break", "\r": "carriage return", "\0": "NUL", "\ufeff": "byte order mark"}
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def is_unseen(sign: str) -> bool:
    """Returns whether a character is one that a reader can't see, or takes for a blank that it is not."""
    return sign != " " and unicodedata.category(sign) in _UNSEEN


def named(sign: str) -> str:
    """Returns the name of a character: ``no-break space, U+00A0``."""
    name = _NAMES.get(sign) or unicodedata.name(sign, "").lower()
    return ", ".join(filter(None, [name, f"U+{ord(sign):04X}"]))


def visible(text: str) -> str:
    """Returns a text in which what a reader can't see stands by its name: ``contoso<no-break space, U+00A0>``."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(f"<{named(sign)}>" if is_unseen(sign) else sign for sign in text)
