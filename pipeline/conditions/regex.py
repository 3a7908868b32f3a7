"""Regular expressions of users: searched for by ``re`` where that is quick for sure, else by an automaton."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable

from ualpipe.pipeline.conditions.automaton import Automaton, NotAutomaton
from ualpipe.pipeline.conditions.regex_cost import parsed, refused_as_config, search_cost
from ualpipe.pipeline.errors import ConfigError

MAX_PATTERN = 4_000
"""Longest expression, in characters."""

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_QUICK_STEPS = 100_000  # about a millisecond of `re`; an automaton takes 50 ns a character
_LEAST = 1_000  # characters; an expression that takes too long on these is refused
_REMEDY = "write a repetition within a repetition, or many in a row, as one, or make the inner one possessive: (?:\\w++\\.)+"


def searcher(pattern: str, flags: str = "") -> Callable[[str], bool]:
    """Returns the function that says whether an expression is found anywhere in a text, in time that grows with the text alone.

    What only ``re`` knows (look-arounds, references, possessive repetitions) is searched for in as much of the text as takes a
    tenth of a second: at least the first 1,000 characters.

    Args:
        pattern: An expression of Python's ``re``.
        flags: Letters of ``ims``.

    Raises:
        ConfigError: It is no expression, or it could take for ever and no automaton can be made of it.
    """
    flag = functools.reduce(operator.or_, (_FLAGS[letter] for letter in flags), re.NOFLAG)
    search = _compiled(pattern, flag).search
    tree = parsed(pattern, flag)
    cost = search_cost(tree)
    quick = cost.longest(_QUICK_STEPS)
    try:
        is_in = Automaton(tree).is_in
    except NotAutomaton as exc:
        limit = _limit(pattern, cost.longest(), str(exc))
        return lambda text: search(text if len(text) <= limit else text[:limit]) is not None
    return lambda text: search(text) is not None if len(text) <= quick else is_in(text)


def extractor(pattern: str) -> tuple[Callable[[str], re.Match[str] | None], int]:
    """Returns the function that finds an expression in a text, and how many groups it has.

    It finds nothing in a text so long that a search could take more than a tenth of a second.

    Raises:
        ConfigError: It is no expression, or takes too long on 1,000 characters.
    """
    made = _compiled(pattern, 0)
    limit = _limit(pattern, search_cost(parsed(pattern)).longest(), "")
    return (lambda text: made.search(text) if len(text) <= limit else None), made.groups


def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    if len(pattern) > MAX_PATTERN:
        raise ConfigError(f"the regular expression has {len(pattern):,} characters, more than {MAX_PATTERN:,}")
    with refused_as_config(pattern):
        return re.compile(pattern, flags)


def _limit(pattern: str, longest: int, why: str) -> int:
    if longest < _LEAST:
        because = f" ({why})" if why else ""
        raise ConfigError(f"{pattern!r} could search for hours in a text made for it{because}: {_REMEDY}")
    return longest
