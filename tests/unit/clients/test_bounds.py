"""Numbers of other systems: whatever comes, what goes on is within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.clients.bounds import bounded_number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        ("5", 5.0),
        (-1, 0.0),
        (11, 10.0),
        (10**400, 10.0),
        (-(10**400), 0.0),
        ("9" * 5000, 10.0),
        ("inf", 10.0),
        ("nan", 7.0),
        (float("-inf"), 0.0),
        (None, 7.0),
        (True, 7.0),
        ("soon", 7.0),
        ([], 7.0),
    ],
)
def test_a_number_is_brought_within_bounds_and_anything_else_is_the_default(value: object, number: float) -> None:
    assert bounded_number(value, 0.0, 10.0, 7.0) == number


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none())
def test_nothing_leads_out_of_the_bounds(value: object) -> None:
    assert 0.0 <= bounded_number(value, 0.0, 10.0, 7.0) <= 10.0
