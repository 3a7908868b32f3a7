"""Searches for a regular expression in a time that grows with the text alone, whatever the expression and the text.

The expression becomes an automaton whose states are made when a text first leads to them. It says whether there is a match, not
where. Each character is tested by ``re`` itself, so classes, case and Unicode mean the same.

Source: Russ Cox, "Regular Expression Matching Can Be Simple And Fast", 2007.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ualpipe.pipeline.conditions.regex_cost import parser

MAX_NODES = 2_000
"""Size of an automaton, in characters that the expression tells apart; counted repetitions are written out."""

_MAX_MOVES = 20_000  # remembered moves of one automaton, some 2 MB; then they begin anew
_LAST_BREAK = "\n$"  # a line break that ends the text: `$` stands before it, too
_compiler: Any = importlib.import_module("re._compiler")
_Context = tuple[str, str]
_Test = Callable[[_Context], bool]


class NotAutomaton(ValueError):
    """The expression needs more than an automaton, such as a look-around or a reference to a group, or too much room."""


class Automaton:
    """One regular expression, ready to search.

    Args:
        tree: The expression as ``regex_cost.parsed`` reads it.

    Raises:
        NotAutomaton: It can't be searched for in this way.
    """

    def __init__(self, tree: Any) -> None:
        self.nodes = _Nodes(tree)
        self._states: dict[tuple[frozenset[int], str], _State] = {}
        self._moves = 0
        self._start = self.state(frozenset(), "start")

    def is_in(self, text: str) -> bool:
        """Returns whether the expression is found anywhere in a text."""
        is_broken = text.endswith("\n")
        state = self._start
        for sign in text[:-1] if is_broken else text:
            state = state[sign]
        if is_broken:
            state = state[_LAST_BREAK]
        return state.is_match_at_end

    def state(self, nodes: frozenset[int], before: str) -> _State:
        """Returns the state that some nodes are together, behind a character of some kind."""
        found = self._states.get((nodes, before))
        if found is None:
            self._moves += 1
            found = self._states[nodes, before] = _State(self, nodes, before)
        return found

    def count_move(self) -> None:
        """Notes that one more move is remembered; at the most all are forgotten, as hostile text makes many that never return."""
        self._moves += 1
        if self._moves > _MAX_MOVES:
            self._moves = 0
            for state in list(self._states.values()):
                state.clear()
            self._states = {(self._start.nodes, self._start.before): self._start}


class _State(dict[str, "_State"]):
    """Where a search may stand at the same time; the items are its moves, by the character that comes next."""

    __slots__ = ("_automaton", "before", "is_match_at_end", "nodes")

    def __init__(self, automaton: Automaton, nodes: frozenset[int], before: str) -> None:
        super().__init__()
        self._automaton = automaton
        self.nodes = nodes
        self.before = before
        self.is_match_at_end = before == "match" or self._reaches((before, "end"))[1]

    def __missing__(self, sign: str) -> _State:
        automaton = self._automaton
        following = self if self.before == "match" else self._following(sign)
        automaton.count_move()
        self[sign] = following
        return following

    def _following(self, sign: str) -> _State:
        nodes = self._automaton.nodes
        kind = "last break" if sign == _LAST_BREAK else nodes.kind(sign)
        here, is_match = self._reaches((self.before, kind))
        if is_match:
            return self._automaton.state(frozenset(), "match")
        return self._automaton.state(frozenset(nodes.steps(here, sign[0])), nodes.kind(sign[0]))

    def _reaches(self, context: _Context) -> tuple[set[int], bool]:
        nodes = self._automaton.nodes
        return nodes.reach((nodes.start, *self.nodes), context)


class _Nodes:
    """The nodes of an automaton: each takes a character, or leads on without one.

    Attributes:
        start: The node that every search begins with.
    """

    def __init__(self, tree: Any) -> None:
        self._taking: dict[int, tuple[re.Pattern[str], int]] = {}
        self._leading: dict[int, tuple[_Test | None, tuple[int, ...]]] = {}
        self._word = re.compile(r"\w", re.ASCII if tree.state.flags & re.ASCII else re.NOFLAG)
        self._tests: dict[Any, re.Pattern[str]] = {}
        self._count = 0
        self._end = self._new()
        self.start = self._sequence(tree, tree.state.flags, self._end)

    def kind(self, sign: str) -> str:
        """Returns what a character is to ``^``, ``$`` and the edges of words."""
        return "break" if sign == "\n" else "word" if self._word.match(sign) else "other"

    def reach(self, begin: Iterable[int], context: _Context) -> tuple[set[int], bool]:
        """Returns all nodes that some lead to between two characters, and whether the end of the expression is among them."""
        seen: set[int] = set()
        todo = list(begin)
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            test, after = self._leading.get(node, (None, ()))
            if test is None or test(context):
                todo += after
        return seen, self._end in seen

    def steps(self, nodes: Iterable[int], sign: str) -> Iterator[int]:
        """Yields the nodes that a character leads to."""
        for node in nodes:
            if (taking := self._taking.get(node)) is not None and taking[0].match(sign):
                yield taking[1]

    def _new(self) -> int:
        self._count += 1
        if self._count > MAX_NODES:
            raise NotAutomaton(f"it is longer than {MAX_NODES:,} characters with its repetitions written out")
        return self._count

    def _lead(self, after: tuple[int, ...], test: _Test | None = None) -> int:
        node = self._new()
        self._leading[node] = (test, after)
        return node

    def _sequence(self, tree: Any, flags: int, after: int) -> int:
        for operator, argument in reversed(list(tree)):
            after = self._part(operator, argument, flags, after)
        return after

    def _part(self, operator: Any, argument: Any, flags: int, after: int) -> int:
        """Returns the node where a part of the expression begins that goes on at another node."""
        match str(operator):
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
                node = self._new()
                self._taking[node] = (self._test(operator, argument, flags), after)
                return node
            case "SUBPATTERN":
                _group, added, removed, body = argument
                return self._sequence(body, (flags | added) & ~removed, after)
            case "BRANCH":
                return self._lead(tuple(self._sequence(option, flags, after) for option in argument[1]))
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, body = argument
                return self._repeat(least, most, body, flags, after)
            case "AT":
                return self._lead((after,), _edge(str(argument), flags))
            case name:
                raise NotAutomaton(f"it holds {_NAMES.get(name, name)}")

    def _repeat(self, least: int, most: int, body: Any, flags: int, after: int) -> int:
        if most >= int(_MAXREPEAT):
            again = self._new()
            self._leading[again] = (None, (self._sequence(body, flags, again), after))
            node = again
        else:
            node = after
            for _ in range(most - least):
                node = self._lead((self._sequence(body, flags, node), after))
        for _ in range(least):
            node = self._sequence(body, flags, node)
        return node

    def _test(self, operator: Any, argument: Any, flags: int) -> re.Pattern[str]:
        key = (str(operator), str(argument), flags)
        if key not in self._tests:
            self._tests[key] = _compiler.compile(parser.SubPattern(parser.State(), [(operator, argument)]), flags)
        return self._tests[key]


_MAXREPEAT = parser.MAXREPEAT
_NAMES = {
    "ASSERT": "a look-around",
    "ASSERT_NOT": "a look-around",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
    "GROUPREF": "a reference back to a group",
    "GROUPREF_EXISTS": "a reference back to a group",
}


def _edge(name: str, flags: int) -> _Test:  # noqa: PLR0911 - a case for each kind of edge
    """Returns the test of a place between two characters, given by what stands before and behind it."""
    is_of_lines = bool(flags & re.MULTILINE)
    match name:
        case "AT_BEGINNING" if is_of_lines:
            return lambda context: context[0] in ("start", "break")
        case "AT_BEGINNING" | "AT_BEGINNING_STRING":
            return lambda context: context[0] == "start"
        case "AT_END" if is_of_lines:
            return lambda context: context[1] in ("end", "break", "last break")
        case "AT_END":
            return lambda context: context[1] in ("end", "last break")
        case "AT_END_STRING":
            return lambda context: context[1] == "end"
        case "AT_BOUNDARY":
            return lambda context: (context[0] == "word") != (context[1] == "word")
        case "AT_NON_BOUNDARY":
            return lambda context: (context[0] == "word") == (context[1] == "word")
    raise NotAutomaton(f"it holds {name}")
