r"""Regular expressions of JSON Schema, which are those of ECMA-262, for Python's ``re``.

``$`` is the end of the text in ECMA-262, not the place before a last line break too; ``\d`` and ``\w`` are ASCII; ``\s`` is
another set of blanks.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.json_schema import accelerator

_PIECE = re.compile(r"\\.|\(\?<(?![=!])|.", re.DOTALL)
_LAST = 0x10FFFF
_SETS = {  # first and last character of each range, in order
    "d": [(0x30, 0x39)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "s": [
        *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
        *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
    ],
}


def matches(pattern: str, text: str) -> bool:
    r"""Returns whether a pattern is found in a text.

    Raises:
        ConfigError: Python can't read the pattern (``\p{L}``), and there is no jsonschema-rs that can.
    """
    try:
        return _compiled(pattern).search(text) is not None
    except re.error as exc:
        accelerated = accelerator.compiled({"pattern": pattern})
        if accelerated is None:
            raise ConfigError(f"the pattern {pattern!r} of an option can't be read without jsonschema-rs: {exc}") from exc
        return accelerated.is_valid(text)  # type: ignore[no-any-return]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translated(pattern))


def translated(pattern: str) -> str:
    """Returns an expression of ECMA-262 as one of Python."""
    pieces = []
    in_class = False
    for piece in _PIECE.findall(pattern):
        pieces.append(_translated_piece(piece, in_class=in_class))
        in_class = piece == "[" or (in_class and piece != "]")
    return "".join(pieces)


def _translated_piece(piece: str, *, in_class: bool) -> str:
    name = piece[1:]
    if len(piece) == 2 and name.lower() in _SETS:
        members = _members(name)
        return members if in_class else f"[{members}]"
    return piece if in_class else {"$": r"\Z", "(?<": "(?P<"}.get(piece, piece)


def _members(name: str) -> str:
    r"""Returns what ``\d``, or for ``D`` all but it, is within brackets."""
    ranges = _SETS[name.lower()]
    if name.isupper():
        edges = [(-1, -1), *ranges, (_LAST + 1, _LAST + 1)]
        ranges = [(before[1] + 1, after[0] - 1) for before, after in pairwise(edges)]
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in ranges)
