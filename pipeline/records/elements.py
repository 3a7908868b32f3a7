"""Finds the elements of a JSON array by its brackets and strings alone, whatever stands in them and however deep."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|["{}\[\],]', re.DOTALL)


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
