"""How long a regular expression may search in hostile text, estimated from its parts before it meets any."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.errors import ConfigError

# Python has no public reader of its own expressions; a test notices where these move.
parser: Any = importlib.import_module("re._parser")
_UNIT_STEPS = 40_000_000
"""So many steps of ``re`` take about a tenth of a second."""

_ENDLESS = 1_000  # repetitions; fewer are counted as that many ways


@dataclass(frozen=True, slots=True)
class Cost:
    """Steps that a search may take: ``factor * length ** exponent``.

    Attributes:
        factor: Ways that do not depend on the text: alternatives, bounded repetitions.
        exponent: Repetitions that may each begin anew at every place of the text.
    """

    factor: float
    exponent: int

    def longest(self, steps: int = _UNIT_STEPS) -> int:
        """Returns the length of text, in characters, on which a search takes no more than some steps; 0 where no length does."""
        room = steps / self.factor
        return 0 if room < 1 else int(min(room ** (1 / max(1, self.exponent)), 1 << 40))


def parsed(pattern: str, flags: int = 0) -> Any:
    """Returns an expression as the parts that it is made of.

    Raises:
        ConfigError: It is no regular expression, or nested deeper than it can be read.
    """
    with refused_as_config(pattern):
        return parser.parse(pattern, flags)


@contextmanager
def refused_as_config(pattern: str) -> Iterator[None]:
    """Raises what Python has against an expression as a ``ConfigError``."""
    try:
        yield
    except (re.error, OverflowError) as exc:
        raise ConfigError(f"{pattern!r} is no regular expression: {exc}") from exc
    except RecursionError as exc:
        raise ConfigError("the regular expression is nested too deep") from exc


def search_cost(tree: Any) -> Cost:
    """Estimates the cost of a search from above; infinite where repetitions are nested, as in ``(a+)+``."""
    ways, work = _sequence(tree)
    starts = 0 if _is_anchored(tree) else 1
    return Cost(ways.factor, starts + max(ways.exponent, work))


def _is_anchored(tree: Any) -> bool:
    first = tree[0] if len(tree) else ("", None)
    return str(first[0]) == "AT" and str(first[1]) == "AT_BEGINNING" and not tree.state.flags & re.MULTILINE


def _sequence(tree: Any) -> tuple[Cost, int]:
    """Returns the ways in which parts match one behind the other, and the exponent of the work that this takes from one place."""
    factor, exponent, most_work = 1.0, 0, 0
    for operator, argument in tree:
        ways, work = _part(str(operator), argument)
        most_work = max(most_work, exponent + work)  # the part is tried behind each way of those before it
        factor, exponent = factor * ways.factor, exponent + ways.exponent
    return Cost(factor, exponent), most_work


def _part(name: str, argument: Any) -> tuple[Cost, int]:  # noqa: PLR0911 - a case for each kind of part
    match name:
        case "BRANCH":
            options = [_sequence(option) for option in argument[1]]
            exponent = max(ways.exponent for ways, _ in options)
            return Cost(sum(ways.factor for ways, _ in options), exponent), max(work for _, work in options)
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repetition(*argument)
        case "POSSESSIVE_REPEAT":
            ways, work = _repetition(*argument)
            return Cost(1.0 if math.isfinite(ways.factor) else math.inf, 0), max(ways.exponent, work)
        case "ATOMIC_GROUP" | "ASSERT" | "ASSERT_NOT":
            ways, work = _sequence(argument if name == "ATOMIC_GROUP" else argument[1])
            return Cost(ways.factor, 0), max(ways.exponent, work)
        case "SUBPATTERN":
            return _sequence(argument[-1])
        case "GROUPREF_EXISTS":
            return Cost(math.inf, 0), 0
    return Cost(1.0, 0), int(name == "GROUPREF")


def _repetition(least: int, most: int, body: Any) -> tuple[Cost, int]:
    ways, work = _sequence(body)
    if most > 1 and (ways.exponent or ways.factor > 1 or (work and _looks_around(body))):
        return Cost(math.inf, 0), work
    is_endless = most - least > _ENDLESS
    return Cost(1.0 if is_endless else ways.factor + most - least, ways.exponent + is_endless), max(work, int(is_endless))


def _looks_around(tree: Any) -> bool:
    """Tells whether a part reads text that it does not take: what is repeated reads it again each time."""
    for operator, argument in tree:
        name = str(operator)
        if name.startswith("ASSERT") or any(map(_looks_around, _INNER.get(name, _nothing)(argument))):
            return True
    return False


def _nothing(_argument: Any) -> list[Any]:
    return []


_INNER: dict[str, Callable[[Any], list[Any]]] = {
    "SUBPATTERN": lambda argument: [argument[-1]],
    "BRANCH": lambda argument: list(argument[1]),
    "ATOMIC_GROUP": lambda argument: [argument],
    **dict.fromkeys(("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"), lambda argument: [argument[2]]),
}
