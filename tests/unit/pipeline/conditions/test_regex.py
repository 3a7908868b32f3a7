"""A user's expressions mean what ``re`` says they mean, and take no longer for who writes the text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.conditions.automaton import MAX_NODES, Automaton, NotAutomaton
from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.conditions.regex import MAX_PATTERN, extractor, searcher
from ualpipe.pipeline.conditions.regex_cost import parsed, search_cost
from ualpipe.pipeline.errors import ConfigError

SIZE = 64 * 1024
LIMIT_S = 0.5  # an automaton takes some 5 ms; other work goes on beside the tests

BACKTRACKING = (
    "(a+)+$",
    "(a|a)*b",
    "(a|aa)+$",
    "(a?){60}b",
    "a?" * 60 + "b",
    "(.*a){20}b",
    ".*.*.*=",
    r"(\w+\s?)*$",
    "(x+x+)+y",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    "(?:a{1,30}){1,30}b",
)
_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\W", r"\s", r"\d", "^", "$", r"\b", r"\B", r"\A", r"\Z", "ß"])
_COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "{0,2}", "{2,}"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, _COUNTS).map(lambda two: f"(?:{two[0]}){two[1]}"),
        inner.map(lambda one: f"(?i:{one})"),
        inner.map(lambda one: f"(?s-i:{one})"),
    ),
    max_leaves=6,
)
_FLAGS = st.sampled_from([0, re.IGNORECASE, re.MULTILINE, re.DOTALL, re.IGNORECASE | re.MULTILINE, re.ASCII])


@given(_PATTERNS, _FLAGS, st.text("abAB\n_ ßéK1", min_size=1, max_size=10))
def test_automaton_finds_what_re_finds(pattern: str, flags: int, text: str) -> None:
    assert Automaton(parsed(pattern, flags)).is_in(text) == (re.compile(pattern, flags).search(text) is not None)


@pytest.mark.parametrize("pattern", BACKTRACKING)
@pytest.mark.parametrize("unit", ["a", "x", "a ", "=a"])
def test_no_text_takes_long(pattern: str, unit: str) -> None:
    is_in = searcher(pattern)
    began = time.process_time()
    is_in(unit * (SIZE // len(unit)) + "!")
    assert time.process_time() - began < LIMIT_S


@pytest.mark.parametrize("pattern", BACKTRACKING)
def test_condition_finds_what_it_asks_for_in_long_text(pattern: str) -> None:
    holds = compile_conditions({"a|re": pattern})
    assert holds({"a": "q" * SIZE + "aaxxy=B" + "a" * 60 + ("" if pattern.endswith("+$") else "b")})


def test_text_full_of_other_characters_keeps_memory_bounded() -> None:
    automaton = Automaton(parsed("(a|b)*a(a|b){12}$"))
    assert not automaton.is_in("".join(map(chr, range(0x4E00, 0x4E00 + 20_000))) * 3)
    assert sum(map(len, automaton._states.values())) <= 20_001


@pytest.mark.parametrize(
    "pattern", [r"(?=.*a)(?=.*b).*.*.*c", r"(a)\1+(b)\2+.*.*.*", "(?:a+(?=b))+", "(?>(a+)+)b", "(?:a{40}){1,200}(?!b)(c+)+"]
)
def test_expression_that_could_take_for_ever_is_refused_with_what_to_write(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"could search for hours.*possessive: \(\?:"):
        searcher(pattern)


@pytest.mark.parametrize("pattern", [r"(?<!x)admin", r"^(?!svc-).+@", r"(?:\w++\.)+com", r"(.)\1\1", "(?>a+)b"])
def test_expression_that_only_re_knows_is_searched_for_in_bounded_time(pattern: str) -> None:
    is_in = searcher(pattern)
    began = time.process_time()
    for unit in ("a", "a.", "x@", "adm"):
        is_in(unit * (SIZE // len(unit)))
    assert time.process_time() - began < 4 * LIMIT_S
    assert is_in(next(text for text in ("admin", "a@b", "a.b.com", "xxx", "aab") if re.search(pattern, text)))


def test_message_expression_says_nothing_of_text_that_would_take_too_long() -> None:
    find, groups = extractor(r"(\w+)x")
    assert groups == 1
    assert find("aaax") is not None
    began = time.process_time()
    assert find("a" * SIZE) is None
    assert time.process_time() - began < LIMIT_S
    with pytest.raises(ConfigError, match="could search for hours"):
        extractor(r"((?:a+)+)b")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(" * 5_000, "has 5,000 characters, more than 4,000"),
        ("(?:" * 900 + ")" * 900, "nested too deep"),
        ("a{99999999999999}", "no regular expression"),
        ("[", "no regular expression"),
    ],
)
def test_expression_that_is_none_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        searcher(pattern)


def test_expression_is_never_longer_than_an_automaton_takes() -> None:
    assert MAX_PATTERN > MAX_NODES
    with pytest.raises(NotAutomaton, match="longer than 2,000"):
        Automaton(parsed("a{3000}"))
    assert searcher("a{3000}")("a" * 3000)


@pytest.mark.parametrize(
    ("pattern", "exponent"),
    [("abc", 1), ("^abc", 0), ("^a*", 1), ("a*b", 2), (".*a.*", 3), ("a++b", 2), (r"(?:\w++\.)+x", 2), ("(?>a*)b*", 2)],
)
def test_cost_grows_with_what_may_begin_anywhere(pattern: str, exponent: int) -> None:
    assert search_cost(parsed(pattern)).exponent == exponent


@pytest.mark.parametrize("pattern", ["*a*a*a*a*c", "a*a*a*a*a*a*b*c", "*a?a*a?a*b", "*?*?*?*?*!", "*" * 50 + "b"])
@pytest.mark.parametrize("place", ["", "|contains", "|startswith", "|endswith", "|cased"])
def test_wildcards_take_time_that_grows_with_the_text_alone(pattern: str, place: str) -> None:
    holds = compile_conditions({f"a{place}": pattern})
    began = time.process_time()
    holds({"a": "a" * SIZE})
    assert time.process_time() - began < LIMIT_S
