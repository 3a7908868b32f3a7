"""Finds where JSON values begin and end, without keeping what they hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

BYTE_A_CHARACTER = "latin-1"  # for finding brackets and quotes: in UTF-8 their bytes are in no other character

# Possessive, so that a string takes no memory while it is matched: an alternation keeps a way back for each of its characters.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)

LARGE_BYTES = 2 * 1024 * 1024
MOST_VALUES = 500_000
"""Values that a text of ``LARGE_BYTES`` or more may hold: each takes some 60 bytes, decoded, and two of its text."""
MAX_DEPTH = 1_000_000

_WINDOW = 16 * 1024  # characters; where an error stands in more of them takes the decoder long to tell
_TAIL = 16  # characters; what breaks so near to the end may only not be there yet (`tru`, `\\u12`)


class NoEnd(ValueError):
    """No value ends behind the place.

    Attributes:
        at: How far the text was read.
        is_unfinished: Whether more text may bring the end.
    """

    def __init__(self, reason: str, at: int, *, is_unfinished: bool) -> None:
        super().__init__(reason)
        self.at = at
        self.is_unfinished = is_unfinished


def _nothing(_found: Any) -> None:
    return None


# Objects are let go of as soon as they end: decoded, they take ten times their text.
_SKIPPER = json.JSONDecoder(
    strict=False, object_pairs_hook=_nothing, parse_constant=_nothing, parse_float=_nothing, parse_int=_nothing
)


def value_end(text: str, at: int, *, is_crowded: bool = False) -> int:
    """Returns the position behind the value that begins at a place; one that is nested too deep is followed by its brackets.

    Args:
        text: JSON, a byte a character.
        at: Where the value begins; no blank.
        is_crowded: Follow its brackets at once: lists take thirty times their text until they end.

    Raises:
        NoEnd: It is no JSON, or not whole.
    """
    if is_crowded:
        return _end_by_brackets(text, at)
    if len(text) - at > _WINDOW:
        try:
            end = _end_in(text[at : at + _WINDOW], 0)
        except NoEnd as exc:
            if not exc.is_unfinished:
                raise NoEnd(str(exc), at + exc.at, is_unfinished=False) from None
        else:
            if end < _WINDOW - _TAIL:
                return at + end
    return _end_in(text, at)


def _end_in(text: str, at: int) -> int:
    try:
        end = _SKIPPER.raw_decode(text, at)[1]
    except RecursionError:
        return _end_by_brackets(text, at)
    except json.JSONDecodeError as exc:
        is_unfinished = exc.msg.startswith("Unterminated string") or exc.pos > len(text) - _TAIL
        raise NoEnd(exc.msg, exc.pos, is_unfinished=is_unfinished) from None
    return end


def _end_by_brackets(text: str, at: int) -> int:
    if (end := bracket_end(text, at, len(text))) is None:
        raise NoEnd("nested too deep, or without an end", len(text), is_unfinished=True)
    return end


def bracket_end(text: str, at: int, limit: int) -> int | None:
    """Returns the position behind the object or array that begins at a place, by brackets and strings alone.

    Args:
        text: A byte a character; need not be JSON.
        at: Position of the opening bracket.
        limit: How far is looked.
    """
    depth = 0
    for token in _TOKEN.finditer(text, at, limit):
        mark = token[0]
        if mark in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                return None
        elif mark in "}]":
            depth -= 1
            if depth <= 0:
                return token.end()
        elif mark == '"':
            return None
    return None


class NotWhole(ValueError):
    """The text ends inside an element or a string."""


def elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yields where each element begins and ends, blanks included.

    Args:
        text: JSON, well-formed as far as it goes.
        start: Position behind the opening bracket.

    Raises:
        NotWhole: Behind the last whole element, when the closing bracket is not there, or more than blanks follow it.
    """
    depth, begin = 0, start
    for token in _TOKEN.finditer(text, start):
        mark = token[0]
        if mark in "{[":
            depth += 1
        elif mark == "," and not depth:
            yield _filled(text, begin, token.start())
            begin = token.end()
        elif mark in "}]":
            depth -= 1
            if depth < 0:
                if begin > start or text[begin : token.start()].strip():
                    yield _filled(text, begin, token.start())
                if text[token.end() :].strip():
                    raise NotWhole("more text after the closing bracket")
                return
        elif mark == '"':
            raise NotWhole("a string has no end")
    raise NotWhole("there is no closing bracket")


def _filled(text: str, begin: int, end: int) -> tuple[int, int]:
    if not text[begin:end].strip():
        raise NotWhole("an element is missing between two commas")
    return begin, end
