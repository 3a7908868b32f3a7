"""What sinks read of events and documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.sinks.event_fields import first_text, parse_instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-20T08:15:30Z", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("2026-11-20T08:15:30.1234567Z", datetime(2026, 11, 20, 8, 15, 30, 123456, tzinfo=UTC)),
        ("2026-11-20T10:15:30+02:00", datetime(2026, 11, 20, 8, 15, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (1795162530, None),
    ],
)
def test_times_with_and_without_a_zone_are_utc_and_anything_else_is_none(text: Any, instant: datetime | None) -> None:
    assert parse_instant(text) == instant


@given(st.text())
def test_no_text_breaks_the_reading_of_a_time(text: str) -> None:
    found = parse_instant(text)
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"user": {"email": "zoë@contoso.com", "id": "7"}}, "zoë@contoso.com"),
        ({"user": {"email": "", "id": "7"}}, "7"),
        ({"user": {"email": None, "id": 7}}, "7"),
        ({"user": {"email": ["a", None, "b", 3], "id": "7"}}, "a,b,3"),
        ({"user": {"email": {"address": "a"}, "id": True}}, "true"),
        ({"user": "zoë"}, ""),
        ({}, ""),
    ],
)
def test_the_first_field_with_text_is_read(document: dict[str, Any], text: str) -> None:
    assert first_text("user.email", "user.id")(document) == text
