"""Answers are written for people and for programs; foreign text does nothing anywhere."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from archives.pairs import answer_of
from ualpipe.pipeline.report.contract import Selection, Unreadable
from ualpipe.pipeline.report.covering import Covered, GapOf, Span
from ualpipe.pipeline.report.formats.csv_text import write_csv
from ualpipe.pipeline.report.formats.html_page import write_html
from ualpipe.pipeline.report.formats.json_text import write_json, write_ndjson
from ualpipe.pipeline.report.formats.table import write_table
from ualpipe.pipeline.report.running import Row

AT = datetime(2026, 11, 20, 8, 15, 4, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e\"'&"


def rows(*values: object) -> list[Row]:
    return [Row([AT, value], [f"t:{at}"]) for at, value in enumerate(values)]


def cells(*values: object) -> list[str]:
    text = "".join(write_csv(answer_of(rows(*values))))
    return [line[1] for line in csv.reader(io.StringIO(text, newline=""))][1:]


# --- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(begin):
    (cell,) = cells(f"{begin}1+cmd|' /C calc'!A0")
    assert cell.startswith("'")


def test_numbers_below_zero_stay_numbers_and_lists_are_text():
    assert cells(-5, -0.5, Decimal("7"), True, None, ["-a", "b"], [1, 2]) == ["-5", "-0.5", "7", "true", "", "'-a, b", "1, 2"]


def test_csv_is_that_of_rfc_4180():
    text = "".join(write_csv(answer_of(rows('say "hi", you\nthere'), timezone="Europe/Berlin")))
    assert text == 'at,who,event_ids\r\n2026-11-20T09:15:04+01:00,"say ""hi"", you\nthere",t:0\r\n'


def test_what_acts_on_a_terminal_is_visible_in_csv():
    assert cells("\x1b[2J\u202e") == ["\\x1b[2J\\u202e"]


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json_is_one_object_with_all_that_is_said():
    covered = Covered("partial", AT, AT, gaps=[GapOf("contoso", "t", "Audit.General", AT, AT, "expired")])
    answer = answer_of(
        rows(HOSTILE, 1 << 70, float("nan")),
        covered=covered,
        excluded={"own": 2},
        unreadable=[Unreadable(Path("/a.parquet"), "cut")],
        selection=Selection(user="sana"),
    )
    text = "".join(write_json(answer))
    found = json.loads(text)
    assert [row["who"] for row in found["rows"]] == [HOSTILE, str(1 << 70), None]
    assert [row["event_ids"] for row in found["rows"]] == [["t:0"], ["t:1"], ["t:2"]]
    assert found["rows"][0]["at"] == "2026-11-20T08:15:04Z"
    assert (found["report"], found["version"], found["row_count"]) == ("access", "9.9", 3)
    assert (found["covered"]["state"], found["gaps"][0]["reason"]) == ("partial", "expired")
    assert found["excluded"] == [{"reason": "own", "rows": 2}]
    assert found["unreadable"] == [{"path": "/a.parquet", "reason": "cut"}]
    assert found["filters"] == {"tenants": [], "user": "sana", "workloads": []}
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_empty_json_is_an_object_too():
    assert json.loads("".join(write_json(answer_of([]))))["rows"] == []


def test_the_first_line_of_ndjson_is_the_statement_and_has_no_events():
    first, *others = [json.loads(line) for line in "".join(write_ndjson(answer_of(rows("a", "b")))).splitlines()]
    assert list(first) == ["about"]
    assert first["about"]["covered"]["state"] == "unknown"
    assert [(row["who"], row["event_ids"]) for row in others] == [("a", ["t:0"]), ("b", ["t:1"])]


# --- table -----------------------------------------------------------------------------------------------------------


def table(answer, width=None) -> list[str]:
    return "".join(write_table(answer, width)).splitlines()


def test_a_table_says_what_is_covered_before_the_rows():
    lines = table(answer_of(rows("sana"), excluded={"own account": 3}))
    assert lines[0] == "Access & more"
    assert "Covered       The store holds no events of these tenants" in lines
    assert "              Coverage unknown: no pipeline has said which period the store covers" in lines
    assert "Not shown     3 rows: own account" in lines
    assert lines[-4:] == ["At                   Who", "2026-11-20 08:15:04  sana", "", "1 row"]


def test_an_empty_answer_says_within_what_nothing_was_found():
    assert table(answer_of([]))[-1] == "Nothing was found within what the store holds."
    assert table(answer_of([], covered=Covered("complete", AT, AT, AT, AT)))[-1] == "Nothing was found within what is covered."


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    from rich.cells import cell_len  # noqa: PLC0415

    columns = ["at", "who", "what", "where", "how"]
    wide = [Row([AT, "記録" * 30, "word " * 30, "x" * 100, 1234567], ["t:1"])]
    lines = table(answer_of(wide, columns), width)
    assert max(map(cell_len, lines)) <= width
    assert "1,234,567" in "".join(lines)


def test_an_address_is_broken_behind_its_sign():
    columns = ["at", "who", "by", "note"]
    lines = table(answer_of([Row([AT, "henrik.nakamura@contoso.com", "x" * 16, "y" * 16], ["t:1"])], columns), 76)
    assert "henrik.nakamura@" in lines[-4]
    assert "contoso.com" in lines[-3]


def test_foreign_text_does_nothing_on_a_terminal():
    text = "\n".join(table(answer_of(rows(HOSTILE), selection=Selection(user="\x1b[1m")), 80))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_rows_of_a_group_stand_below_a_line_that_names_it():
    lines = table(answer_of([Row([AT, who], ["t:1"]) for who in ("a", "a", "b")], group=["who"]), 80)
    assert [line for line in lines if line.startswith("Who: ")] == ["Who: a", "Who: b"]


# --- HTML ------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Notes the tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "wbr", "rect", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def page(answer, **more) -> Page:
    found = Page("".join(write_html(answer, **more)))
    assert found.open == []
    return found


def test_foreign_text_is_text_in_a_page():
    answer = answer_of(
        [Row([AT, HOSTILE], [HOSTILE])],
        excluded={HOSTILE: 1},
        unreadable=[Unreadable(Path("/<b>x"), HOSTILE)],
        covered=Covered("partial", throttled=[Span(HOSTILE, AT, AT)], gaps=[GapOf(HOSTILE, "", HOSTILE, AT, AT, HOSTILE)]),
        selection=Selection(user=HOSTILE, tenants=[HOSTILE], workloads=[HOSTILE]),
        group=["who"],
    )
    found = page(answer)
    assert {"script", "b"}.isdisjoint(tag for tag, _ in found.tags)
    assert "<script>alert(1)</script>\\x1b[2J\\u202e\"'&" in found.text


def test_a_page_needs_nothing_from_outside():
    text = "".join(write_html(answer_of(rows("a"))))
    found = Page(text)
    assert not {"link", "script", "img", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not [attrs for _, attrs in found.tags if {"src", "href"} & attrs.keys()]
    assert not re.findall(r"url\(|@import|https?:", text)
    assert "default-src 'none'" in text


def test_a_page_says_first_what_is_covered_and_what_is_wrong_behind_the_rows():
    covered = Covered("partial", AT, AT, AT, AT, 5, gaps=[GapOf("contoso", "", "Audit.General", AT, AT, "expired")])
    text = page(answer_of(rows("sana"), covered=covered, excluded={"own": 2})).text
    places = [text.index(part) for part in ("The period is covered in part", "expired", "2 rows: own", "sana", "Something.")]
    assert places == sorted(places)


def test_a_table_of_a_page_can_be_read_out():
    found = page(answer_of([Row([AT, who], ["t:1"]) for who in ("a", "a", "b")], group=["who"]))
    assert {attrs.get("scope") for attrs in found.all("th")} == {"col", "colgroup"}
    assert len([attrs for attrs in found.all("tr") if attrs.get("class") == "group"]) == 2
    assert [attrs["data-title"] for attrs in found.all("td")] == ["At", "Events"] * 3
    (picture,) = found.all("svg")
    assert picture["role"] == "img"
    assert picture["aria-label"].startswith("Rows by At, 2026-11-20 08:15:04")


def test_an_empty_page_says_so():
    found = page(answer_of([], covered=Covered("complete", AT, AT, AT, AT)))
    assert "Nothing was found within what is covered." in found.text
    assert found.all("table") == []


def test_a_large_page_says_how_much_is_left_out_and_how_to_get_it():
    found = page(answer_of(rows(*range(30))), most_rows=10)
    assert len(found.all("tr")) == 11
    assert "20 rows left out of this page. All of them: ualpipe report access STORE --format csv" in found.text


def test_events_of_a_row_are_named_and_of_many_the_first():
    found = page(answer_of([Row([AT, "a"], [f"t:{at}" for at in range(100)])]))
    assert "100 events" in found.text
    assert "and 80 more" in found.text


def test_what_is_not_covered_is_grey_in_the_picture():
    selection = Selection(since=datetime(2026, 11, 20, tzinfo=UTC), until=datetime(2026, 11, 21, tzinfo=UTC))
    covered = Covered("partial", AT, datetime(2026, 11, 20, 20, tzinfo=UTC))
    rects = page(answer_of(rows("a"), covered=covered, selection=selection)).all("rect")
    grey = [(float(one["x"]), float(one["width"])) for one in rects if one["class"] == "blind"]
    assert grey == [(0.0, pytest.approx(720 * 8.25 / 24, abs=1)), (pytest.approx(600), pytest.approx(120))]
    assert len([one for one in rects if one["class"] == "bar"]) == 1
