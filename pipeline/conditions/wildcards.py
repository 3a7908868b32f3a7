"""Text with wildcards: matched part by part, so that the time grows with the text, however many stars there are."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\\([*?\\])|([*?])|(.)", re.DOTALL)
_PLACED = {"": ("", ""), "startswith": ("", "*"), "endswith": ("*", ""), "contains": ("*", "*")}


def without_wildcards(text: str) -> str | None:
    """Returns the text that is meant, escapes resolved; None when it has wildcards."""
    tokens = _TOKEN.findall(text)
    return None if any(wild for _escaped, wild, _plain in tokens) else "".join(escaped or plain for escaped, _, plain in tokens)


def compiled(texts: Sequence[str], place: str = "") -> re.Pattern[str]:
    r"""Returns an expression for ``fullmatch`` that takes any of some texts with ``*`` and ``?``.

    Args:
        texts: ``\*``, ``\?`` and ``\\`` stand for the character itself.
        place: Empty, or ``contains``, ``startswith``, ``endswith``.
    """
    before, behind = _PLACED[place]
    return re.compile("|".join(_expression(_parts(f"{before}{text}{behind}")) for text in texts), re.DOTALL)


@functools.lru_cache(maxsize=4096)
def starred(text: str) -> re.Pattern[str]:
    """Returns an expression for ``fullmatch`` that takes a text in which only ``*`` has a meaning."""
    return re.compile(_expression([[re.escape(sign) for sign in part] for part in text.split("*")]), re.DOTALL)


def _parts(text: str) -> list[list[str]]:
    """Returns what stands between stars, as expressions of one character each."""
    parts: list[list[str]] = [[]]
    for escaped, wild, plain in _TOKEN.findall(text):
        if wild == "*":
            parts.append([])
        else:
            parts[-1].append("." if wild else re.escape(escaped or plain))
    return parts


def _expression(parts: Sequence[Sequence[str]]) -> str:
    """Returns an expression that looks for each part behind the one before; where it is found first is as good as any place."""
    first, *middle = ("".join(part) for part in parts)
    if not middle:
        return first
    last = middle.pop()
    found = "".join(f"(?>.*?{part})" for part in middle if part)
    end = f".{{{len(parts[-1])}}}.*+(?<={last})" if last else ".*+"
    return f"{first}{found}{end}"
