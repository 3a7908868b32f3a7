from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.transforms.ecs.conversions import values
from ualpipe.transforms.memo import MAX_ENTRIES, MAX_LENGTH, Memo, MemoGroup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T08:15:04", "2026-11-20T08:15:04.000Z"),
        ("2026-11-20T08:15:04Z", "2026-11-20T08:15:04.000Z"),
        ("2026-11-20 08:15:04Z", "2026-11-20T08:15:04.000Z"),
        ("2026-11-20T08:15:04.5", "2026-11-20T08:15:04.500Z"),
        ("2026-11-20T08:15:04.1234567Z", "2026-11-20T08:15:04.123456Z"),
        ("2026-11-20T08:15:04.0000000Z", "2026-11-20T08:15:04.000Z"),
        ("2026-11-20T10:15:04+02:00", "2026-11-20T08:15:04.000Z"),
        ("2026-11-20T08:15", "2026-11-20T08:15:00.000Z"),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026-13-20T08:15:04", None),
        ("2026-W47-5T08:15:04", None),
        ("2026-11-20", None),
        ("20261120T081504", None),
        ("yesterday", None),
        ("", None),
        ("2026-11-20T08:15:04" + "0" * 50, None),
        ("2026-11-20T12:00+01", "2026-11-20T11:00:00.000Z"),
        ("2026-11-20T24:00:00", None),
        ("2026-W47-5T00:00:00", None),
    ],
)
def test_date_is_read_as_utc(text: str, expected: str | None) -> None:
    assert values.date(text) == expected


EARLIEST, LATEST = datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("9999-12-30")


@given(st.datetimes(EARLIEST, LATEST), st.integers(-14 * 60, 14 * 60))
def test_every_instant_survives(moment: datetime, offset_min: int) -> None:
    local = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset_min)))
    found = values.date(local.isoformat())
    assert found is not None
    assert datetime.fromisoformat(found) == local


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        ("", None),
        (None, None),
        ({"a": 1}, None),
        (["a"], None),
    ],
)
def test_keyword_is_text_of_plain_values(value: Any, expected: str | None) -> None:
    assert values.keyword(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        ("5", 5),
        (" -5 ", -5),
        (5.0, 5),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        ("9" * 30, None),
        ("5x", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
        (5.5, None),
        (True, None),
        ("", None),
        (None, None),
        (1e300, None),
    ],
)
def test_whole_numbers_have_64_bits(value: Any, expected: int | None) -> None:
    assert values.whole_number(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("False", False), ("TRUE", True), ("yes", None), (1, None)])
def test_booleans_are_read_from_text(value: Any, expected: bool | None) -> None:
    assert values.boolean(value) is expected


@pytest.mark.parametrize("nothing", ["None", "none", " N/A ", "-", "", "0", "Unknown"])
def test_words_for_nothing_are_no_reason(nothing: str) -> None:
    reason = values.make_reason(["None", "N/A", "-", "Unknown"])
    assert reason(nothing) is None
    assert reason(" None of these ") == "None of these"


def test_guid_is_lowered_and_other_text_is_not() -> None:
    assert values.guid("ABCDEF01-2345-4789-8ABC-DEF012345678") == "abcdef01-2345-4789-8abc-def012345678"
    assert values.guid(" Contoso ") == "Contoso"
    assert values.guid(" ") is None


def test_sha256_is_nothing_else() -> None:
    assert values.sha256("AB" * 32) == "ab" * 32
    assert values.sha256("AB" * 16) is None


def test_trimmed_and_lowered_text_is_never_empty() -> None:
    assert (values.trimmed(" a "), values.trimmed(" "), values.lower(" A "), values.lower(" ")) == ("a", None, "a", None)


def test_results_are_remembered_in_bounds() -> None:
    calls: list[str] = []
    known = Memo(lambda text: calls.append(text) or text.upper())  # type: ignore[func-returns-value]
    assert (known["a"], known["a"], known["x" * (MAX_LENGTH + 1)]) == ("A", "A", "X" * (MAX_LENGTH + 1))
    assert calls == ["a", "x" * (MAX_LENGTH + 1)]
    for number in range(3 * MAX_ENTRIES):
        assert known[str(number)] == str(number)
    assert len(known) <= MAX_ENTRIES


def test_what_several_make_of_a_text_is_remembered_once_whoever_asks() -> None:
    calls: list[str] = []
    upper = Memo(lambda text: calls.append(text) or text.upper())  # type: ignore[func-returns-value]
    first, length = Memo(lambda text: text[0]), Memo(len)
    group = MemoGroup()
    assert group.of([upper, length])["ab"] == ("AB", 2)
    assert group.of([upper, length])["ab"] == ("AB", 2)
    assert calls == ["ab"]
    assert group.of([upper, first])["ab"] == ("AB", "a")
    assert group.of([length, upper])["ab"] == (2, "AB")
