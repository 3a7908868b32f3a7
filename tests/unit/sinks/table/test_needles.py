"""Texts are found in JSON however its writer escaped them, and nothing else is."""

from __future__ import annotations

import json

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.sinks.archive import duck
from ualpipe.sinks.table.needles import pattern

CONNECTION = duckdb.connect()


def is_found(needle: str, text: str) -> bool:
    [[answer]] = CONNECTION.execute(f"SELECT regexp_matches({duck.text(text)}, {duck.text(pattern(needle))})").fetchall()
    return bool(answer)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@given(before=TEXTS, needle=TEXTS, after=TEXTS, ascii_only=st.booleans())
def test_a_text_is_found_in_each_spelling(before: str, needle: str, after: str, ascii_only: bool) -> None:
    assert is_found(needle, json.dumps({"a": f"{before}{needle}{after}"}, ensure_ascii=ascii_only))


@pytest.mark.parametrize(
    ("needle", "text", "expected"),
    [
        ("a.c", '"abc"', False),
        ("Shared/Docs", r'"shared\/docs"', True),
        ("é", r'"\u00E9"', True),
        ("\N{GRINNING FACE}", r'"\ud83d\ude00"', True),
        (r"a\b", r'"a\\b"', True),
        (r"a\b", '"ab"', False),
        ("it's", '"It\'s"', True),
        ("(?i)", '"x"', False),
        ("^", '"x"', False),
    ],
)
def test_examples(needle: str, text: str, expected: bool) -> None:
    assert is_found(needle, text) is expected
