"""Flaws of records are counted by what is alike in them, a bounded number of reasons apart."""

import pytest

from ualpipe.pipeline.deliver.flaws import MAX_REASON, MAX_REASONS, count_flaws, legible_reason
from ualpipe.pipeline.events import Flaw
from ualpipe.pipeline.redaction import hide
from ualpipe.pipeline.wording import OTHER_REASONS


def flaw(index, reason="Id is missing", kind="invalid", record="a"):
    return Flaw(index, "contoso", kind, reason, record)


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        ("/Folders/12/Path: must be text; is a list of length 1,204", "/Folders/…/Path: must be text; is a list of length …"),
        (
            "must be a time such as 2026-11-20T08:15:00; is text of length 3",
            "must be a time such as 2026-11-20T08:15:00; is text of length …",
        ),
        ("two\nlines\x1b[31m", "two lines\\x1b[…m"),
        ("lone \ud800", "lone \\ud800"),
        ("x" * 5000, "x" * MAX_REASON + "..."),
    ],
)
def test_a_reason_is_one_line_without_figures(reason, counted):
    assert legible_reason(reason) == counted


def test_the_first_record_with_a_flaw_is_its_example():
    (found,) = count_flaws([flaw(0, "at 1", record="first"), flaw(1, "at 2", record="second")])
    assert (found.kind, found.reason, found.records, found.example) == ("invalid", "at …", 2, "first")


def test_more_reasons_than_anybody_reads_are_counted_together_and_none_is_lost():
    words = [f"{chr(97 + at // 26)}{chr(97 + at % 26)} is odd" for at in range(MAX_REASONS + 5)]
    found = count_flaws([flaw(at, word) for at, word in enumerate(words)] + [flaw(99, "bad", "unreadable")])
    assert len(found) == MAX_REASONS + 2, "each kind has its own bound"
    assert {one.reason: one.records for one in found}[OTHER_REASONS] == 5
    assert sum(one.records for one in found) == MAX_REASONS + 6


def test_a_secret_in_a_reason_is_blanked():
    hide("planted-secret-in-a-reason")
    assert "planted" not in legible_reason("not JSON: planted-secret-in-a-reason")
