"""Pages of reports in Chromium: nothing sticks out at the width of a telephone or of a screen, nothing is asked of anybody, and
they go onto paper."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import pytest

from archives.pairs import answer_of
from ualpipe.pipeline.report.covering import Covered, GapOf
from ualpipe.pipeline.report.formats.html_page import write_html
from ualpipe.pipeline.report.running import Answer, Row

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AT = datetime(2026, 11, 20, 8, 15, 4, tzinfo=UTC)
NAMES = ["at", "who", "act", "object", "address", "client", "session", "reason", "outcome", "count", "workload", "site", "note"]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("UALPIPE_REQUIRE_SERVERS"), reason="there is no Chromium: apt-get install chromium"
)

# Measures a page within a frame of some width: how far it reaches, and where the heading and the last cell end.
FRAME = """<!DOCTYPE html><body style="margin:0"><iframe width="{width}" height="900" style="border:0" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const inner = document.querySelector("iframe").contentDocument, root = inner.documentElement;
  const cells = [...inner.querySelectorAll("td, dd, h1")].map(one => one.getBoundingClientRect().right);
  document.body.dataset.reach = Math.max(root.scrollWidth, ...cells);
  document.body.dataset.heads = getComputedStyle(inner.querySelector("thead")).position;
}}</script>"""


def browse(folder: Path, *arguments: str) -> str:
    own = f"--user-data-dir={folder / 'profile'}"
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", own, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def wide() -> Answer:
    values = [
        "sana.lindqvist@contoso.com",
        "MailItemsAccessed",
        "https://contoso.sharepoint.com/" + "folder/" * 20,
        "2001:db8::1",
    ]
    values += [
        "Client=OWA;Action=ViaProxy",
        "c" * 36,
        "two words",
        "success",
        12345678,
        "SharePoint",
        "s" * 80,
        "a sentence " * 12,
    ]
    covered = Covered("partial", AT, AT, AT, AT, 5, gaps=[GapOf("contoso", "", "Audit.General", AT, AT, "x" * 200)])
    rows = [Row([AT, *values], [f"tenant:{number}"]) for number in range(200)]
    return answer_of(rows, NAMES, covered=covered, group=["who"])


@pytest.mark.parametrize(("width", "heads"), [(390, "absolute"), (1280, "static")])
def test_nothing_sticks_out(tmp_path: Path, width: int, heads: str) -> None:
    page = tmp_path / "frame.html"
    page.write_text(FRAME.format(width=width, page=escape("".join(write_html(wide())))), encoding="utf-8")
    found = browse(tmp_path, "--window-size=1400,1000", "--dump-dom", page.as_uri())
    (reach,) = re.findall(r'data-reach="([\d.]+)"', found)
    assert float(reach) <= width
    assert f'data-heads="{heads}"' in found


def test_it_goes_onto_sheets_of_paper(tmp_path: Path) -> None:
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text("".join(write_html(wide())), encoding="utf-8")
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper.read_bytes())
    assert len(sizes) > 5
    assert all(float(wide_) > float(high) for wide_, high in sizes)
