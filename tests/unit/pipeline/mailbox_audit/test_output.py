"""What programs, spreadsheets and browsers get."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from mailboxes.corpus import PLANTED, as_csv, passed_over
from ualpipe.pipeline.mailbox_audit.actions import LOGONS
from ualpipe.pipeline.mailbox_audit.exports import read_exports
from ualpipe.pipeline.mailbox_audit.judging import judge
from ualpipe.pipeline.mailbox_audit.mailboxes import tenant_of
from ualpipe.pipeline.mailbox_audit.output import csv_text, json_text, page
from ualpipe.pipeline.mailbox_audit.profiles import load_profile
from ualpipe.pipeline.mailbox_audit.report import Report, by_severity

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=HYPERLINK(1)",
    "\u202egnirts",
    "a\x1b[31mb",
    "&amp;",
    "x\ny",
)


@pytest.fixture
def report(tmp_path):
    def of(*texts: str, profile: str = "asd-2024") -> Report:
        for number, text in enumerate(texts):
            (tmp_path / f"{number}").write_text(text)
        tenant, held_to = tenant_of(read_exports(sorted(tmp_path.iterdir()))), load_profile(profile)
        return Report(tenant, held_to, "e5", by_severity(judge(tenant, held_to, "e5")), None, NOW, "1.0")

    return of


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_json_has_the_promised_members_and_no_other_in_a_mailbox(report):
    found = json.loads(json_text(report(as_csv(), passed_over())))
    assert len(found["mailboxes"]) == 60
    for box in found["mailboxes"]:
        assert list(box) == ["mailbox", "type", "state", "missing", "findings"]
        assert list(box["missing"]) == list(LOGONS)
        assert all(isinstance(one, str) for one in box["findings"])
    assert sum(found["summary"].values()) == 60
    assert found["profile"]["literally_switches_off"]["admin"] == ["MailItemsAccessed", "Send"]
    assert found["made"] == {"at": "2026-12-01T08:00:00Z", "by": "ualpipe 1.0"}


def test_csv_has_a_row_for_each_mailbox_and_no_formula(report):
    rows = list(csv.DictReader(io.StringIO(csv_text(report(as_csv(), passed_over())))))
    assert len(rows) == 60
    by_name = {row["mailbox"]: row for row in rows}
    for plant in PLANTED:
        assert by_name[plant.address]["state"] == plant.state
        assert by_name[plant.address]["missing_owner"] == ", ".join(plant.missing[2])
    boxes = [{"DisplayName": name, "AuditEnabled": True} for name in HOSTILE]
    hostile = list(csv.reader(io.StringIO(csv_text(report(json.dumps(boxes))))))
    assert not [cell for row in hostile for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_the_page_is_whole_and_holds_nothing_from_outside(report):
    text = page(report(as_csv(), passed_over()))
    found = Page(text)
    assert found.open == []
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert "http" not in text.partition("</style>")[2]
    assert all(plant.address in found.words for plant in PLANTED)
    assert "Missing actions 19 mailboxes" in found.words


def test_hostile_names_are_text_in_the_page(report):
    boxes = [
        {"DisplayName": name, "AuditEnabled": True, "Guid": f"4d000000-0000-0000-0000-0000000000{at:02}"}
        for at, name in enumerate(HOSTILE)
    ]
    text = page(report(json.dumps(boxes), "cut;<b>row</b>\n"))
    found = Page(text)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert "b" not in {tag for tag in found.tags if tag == "b"} or "<b>row" not in text
    assert "<script>alert(1)</script>" in found.words
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_a_report_of_mailboxes_that_are_all_complete_is_fine(report):
    (only,) = [plant for plant in PLANTED if plant.number == 1]
    lines = as_csv().splitlines()
    found = report("\n".join([lines[0], *(line for line in lines if only.address in line)]))
    assert found.is_fine
    assert found.counts == {"complete": 1}


@pytest.mark.parametrize("spoiling", ["cut,row\n", '"Name","AuditBypassEnabled"\n"robot","True"\n'])
def test_a_report_with_a_loss_or_a_bypass_is_not_fine(report, spoiling):
    lines = as_csv().splitlines()
    assert not report("\n".join(lines[:2]), spoiling).is_fine
