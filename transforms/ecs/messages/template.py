r"""Reads the text of a message template: words, ``{fields}`` and ``[optional parts]``.

- ``{name}`` is what stands in a field. ``{name|one|many}`` is a number with its noun: ``1 message``, ``3 messages``; of a list
  its length.
- ``[ in {mailbox}]`` is left out where one of its fields is missing; of ``[ in {mailbox}| in their own mailbox]`` the first
  whose fields are all there remains. Optional parts may stand in optional parts.
- ``\[``, ``\{``, ``\|`` and so on stand for the sign itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_NESTING = 8  # optional parts in optional parts

_TOKEN = re.compile(r"\\(?P<sign>.)|\{(?P<field>[^{}]*)\}|(?P<mark>[\[\]|{}\\])|(?P<words>[^\\{}\[\]|]+)", re.DOTALL)


class NotTemplate(ValueError):
    """The text is no template; the message says why."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A field in a template.

    Attributes:
        name: The field, as written.
        nouns: Singular and plural of what is counted; empty where the value itself is said.
    """

    name: str
    nouns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """An optional part: the first alternative whose fields are all there, or nothing."""

    alternatives: tuple[Parts, ...]


Part = str | Blank | Choice
Parts = tuple[Part, ...]


def read_template(text: str) -> Parts:
    """Returns the parts of a template.

    Raises:
        NotTemplate: A bracket or brace lacks its partner, or a field has no name.
    """
    levels: list[list[list[Part]]] = [[[]]]  # optional parts under way; of each its alternatives
    for match in _TOKEN.finditer(text):
        mark = match["mark"]
        if mark == "[":
            levels.append([[]])
        elif mark == "]" and len(levels) > 1:
            choice = Choice(tuple(map(tuple, levels.pop())))
            levels[-1][-1].append(choice)
        elif mark == "|" and len(levels) > 1:
            levels[-1].append([])
        elif mark and mark != "|":
            raise NotTemplate(rf'"{mark}" lacks its partner; write \{mark} for the sign itself')
        else:
            levels[-1][-1].append(_part(match))
        if len(levels) > MAX_NESTING:
            raise NotTemplate(f"optional parts stand in one another more than {MAX_NESTING} deep")
    if len(levels) > 1:
        raise NotTemplate(r'"[" lacks its partner; write \[ for the sign itself')
    return tuple(levels[0][0])


def _part(match: re.Match[str]) -> Part:
    if match["field"] is None:
        return match["sign"] or match["words"] or match[0]
    name, *nouns = (text.strip() for text in match["field"].split("|"))
    if not name:
        raise NotTemplate("{} names no field")
    if nouns and (len(nouns) != 2 or not all(nouns)):
        raise NotTemplate(f"{match[0]}: a number takes two nouns, as in {{{name}|message|messages}}")
    return Blank(name, tuple(nouns))


def blanks(parts: Sequence[Part]) -> Iterator[Blank]:
    """Yields the fields of a template, optional ones included."""
    for part in parts:
        if isinstance(part, Blank):
            yield part
        elif isinstance(part, Choice):
            for alternative in part.alternatives:
                yield from blanks(alternative)
