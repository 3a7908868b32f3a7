"""Words that messages share."""

from __future__ import annotations

import difflib
from typing import Any


def did_you_mean(word: str, known: Any) -> str:
    """Returns `` (did you mean x?)``, or the list of what there is when it is short, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (there are: {', '.join(map(str, known))})" if 0 < len(known) <= 12 else ""


SHOWN_CHARACTERS = 300
"""So much of another system's own words goes into a message of ours."""


def shorten(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """Returns a text in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}..."
