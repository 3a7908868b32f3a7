"""Texts that are looked for in JSON as it was received, however its writer escaped them."""

from __future__ import annotations

import re
from functools import cache


@cache
def pattern(text: str) -> str:
    r"""Returns a regular expression (RE2's syntax) for a text within a string of JSON, without case.

    A character may stand in JSON as itself or as an escape (``é`` or ``\u00e9``, ``/`` or ``\/``, ``\\`` for ``\``).
    """
    return "(?i)" + "".join(map(_character, text))


_SHORT = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def _character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    escaped = "".join(f"\\\\u{unit:04x}" for unit in _utf_16(character))
    if character in '"\\':
        return f"(?:\\\\{re.escape(character)}|{escaped})"
    if character == "/":
        return r"(?:\\?/)"
    if character.isascii() and character.isprintable():
        return re.escape(character)
    if character.isascii():
        return f"(?:\\\\{_SHORT[character]}|{escaped})" if character in _SHORT else f"(?:{re.escape(character)}|{escaped})"
    return f"(?:{re.escape(character)}|{escaped})"


def _utf_16(character: str) -> list[int]:
    units = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
