"""One HTML file that needs nothing else: what the answer covers, a picture, the rows, what makes them wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from ualpipe.pipeline.report.about import Said, in_words, state_in_words
from ualpipe.pipeline.report.catalog import ReportColumn
from ualpipe.pipeline.report.formats.columns import ShownColumns, shown_columns
from ualpipe.pipeline.report.formats.html_style import STYLE
from ualpipe.pipeline.report.formats.timeline import timeline
from ualpipe.pipeline.report.running import Answer, Row
from ualpipe.pipeline.report.values import BREAKABLE, rfc3339, shown
from ualpipe.pipeline.wording import counted, visible

MOST_ROWS = 5000
"""Rows of a page; browsers take long over more. All stand in the other formats."""
MOST_CHARACTERS = 2000
"""Of a cell."""
MOST_IDS = 20
"""Events of a row that are named."""
_ROWS_MEASURED = 500
_PAGE_WIDTH = 118  # characters of a table at 1280 pixels, in a wide font
_CELL_PADDING = 3  # characters that the margins of a cell take
_WIDEST_WORD = 20
_SHORT = len("2026-11-20")  # words that stay in one line
_NEVER_BROKEN = 9  # characters of a word that gets its room in any case
_BREAKS = re.compile(rf"{BREAKABLE.pattern}|[\s-]+")


def write_html(answer: Answer, most_rows: int = MOST_ROWS) -> Iterator[str]:
    """Yields the page in parts."""
    zone = ZoneInfo(answer.asked.timezone)
    report = answer.report
    title = escape(report.title)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing within foreign text could load or run anything, were it not escaped.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f'<header>\n<h1>{title}</h1>\n<p class="question">{escape(report.question)}</p>\n'
        f'<p class="outcome">{escape(_outcome(answer))}</p>\n</header>\n<main>\n'
    )
    yield _statement(answer)
    yield timeline(answer, zone)
    yield from _rows(answer, zone, most_rows)
    yield _list("What makes this wrong", report.wrong)
    yield _list("What this does not answer", report.not_answered)
    yield _columns(report.columns)
    yield f"</main>\n<footer>ualpipe {escape(answer.version)} · report {escape(report.name)}</footer>\n</body>\n</html>\n"


def _outcome(answer: Answer) -> str:
    left_out = sum(answer.excluded.values())
    more = f"; {counted(left_out, 'row')} not shown, for the reasons below" if left_out else ""
    if answer.rows:
        return counted(len(answer.rows), "row") + more
    where = "what is covered" if answer.covered.state != "unknown" else "what the store holds"
    return f"Nothing was found within {where}{more}."


def _statement(answer: Answer) -> str:
    heading = state_in_words(answer.covered)
    return (
        f'<section class="statement {answer.covered.state}" aria-labelledby="covers">\n<h2 id="covers">{heading}</h2>\n<dl>\n'
        + "".join(map(_said, in_words(answer)))
        + "</dl>\n</section>\n"
    )


def _said(said: Said) -> str:
    mark = ' class="warn"' if said.is_warning else ""
    lines = "".join(f"<div>{escape(line)}</div>" for line in said.lines)
    return f"<dt{mark}>{said.label}</dt><dd{mark}>{lines}</dd>\n"


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<section>\n<h2>{title}</h2>\n<ul>\n{''.join(f'<li>{escape(line)}</li>' for line in lines)}\n</ul>\n</section>\n"


def _columns(columns: Iterable[ReportColumn]) -> str:
    rows = "".join(f"<dt>{escape(one.title)}</dt><dd>{escape(one.about)}</dd>\n" for one in columns)
    return f"<section>\n<h2>The columns</h2>\n<dl>\n{rows}</dl>\n</section>\n"


# --- rows ------------------------------------------------------------------------------------------------------------


def _rows(answer: Answer, zone: tzinfo, most_rows: int) -> Iterator[str]:
    if not answer.rows:
        return
    columns = answer.report.columns
    chosen = shown_columns(answer)
    rows = answer.rows[:most_rows]
    remarks = [*chosen.remarks, *([_left_out(answer, most_rows)] if len(answer.rows) > most_rows else [])]
    yield '<section class="rows">\n<h2>What was found</h2>\n'
    yield from (f'<p class="remark">{escape(remark)}</p>\n' for remark in remarks)
    widths = _widths(rows, chosen, zone)
    heads = "".join(_head(columns[at], widths[at], is_number=at in chosen.numbers) for at in chosen.left)
    yield '<table role="table">\n'
    yield f'<thead role="rowgroup"><tr role="row">{heads}<th scope="col" role="columnheader">Events</th></tr></thead>\n'
    yield '<tbody role="rowgroup">\n'
    before: Sequence[str] = ()
    for row in rows:
        group = [_text(row.values[at], zone) for at in chosen.grouped]
        yield from _headings(group, before, [columns[at] for at in chosen.grouped], len(chosen.left) + 1)
        before = group
        yield _row(row, chosen, columns, zone)
    yield "</tbody>\n</table>\n</section>\n"


def _widths(rows: Sequence[Row], chosen: ShownColumns, zone: tzinfo) -> dict[int, int]:
    """Returns the least width of each column, in characters: its longest word, as far as there is room for all of them."""
    longest = {}
    for at in chosen.left:
        texts = (shown(row.values[at], zone) for row in rows[:_ROWS_MEASURED])
        words = (len(word) for text in texts for word in _BREAKS.split(text[:MOST_CHARACTERS]))
        longest[at] = min(max(words, default=0), _WIDEST_WORD)
    share = min(1.0, (_PAGE_WIDTH - _CELL_PADDING * len(longest)) / max(1, sum(longest.values())))
    return {at: max(int(width * share), min(width, _NEVER_BROKEN)) for at, width in longest.items()}


def _head(column: ReportColumn, width: int, *, is_number: bool) -> str:
    size = f"min-width:calc({width}ch + 16px)"
    about = escape(column.about)
    return f'<th scope="col" role="columnheader"{_class(is_number)} style="{size}" title="{about}">{escape(column.title)}</th>'


def _left_out(answer: Answer, most_rows: int) -> str:
    rest = len(answer.rows) - most_rows
    return (
        f"The first {most_rows:,} rows; {counted(rest, 'row')} left out of this page. All of them: "
        f"ualpipe report {answer.report.name} STORE --format csv --output {answer.report.name}.csv"
    )


def _headings(group: Sequence[str], before: Sequence[str], columns: Sequence[ReportColumn], width: int) -> Iterator[str]:
    """Yields a line for each column of the group from the first that has changed on."""
    changed = next((at for at, text in enumerate(group) if at >= len(before) or text != before[at]), len(group))
    for at in range(changed, len(group)):
        inner = " inner" if at else ""
        label = f"<span>{escape(columns[at].title)}</span>"
        yield (
            f'<tr class="group{inner}" role="row"><th colspan="{width}" scope="colgroup" role="rowheader">'
            f"{label}{group[at] or '-'}</th></tr>\n"
        )


def _row(row: Row, chosen: ShownColumns, columns: Sequence[ReportColumn], zone: tzinfo) -> str:
    cells = ""
    for at in chosen.left:
        title = escape(columns[at].title)
        cells += f'<td role="cell"{_class(at in chosen.numbers)} data-title="{title}">{_text(row.values[at], zone)}</td>'
    return f'<tr class="row" role="row">{cells}{_ids(row.event_ids)}</tr>\n'


def _ids(ids: Sequence[str]) -> str:
    named = "<br>".join(escape(visible(one)) for one in ids[:MOST_IDS])
    rest = f"<br>and {len(ids) - MOST_IDS:,} more" if len(ids) > MOST_IDS else ""
    return (
        f'<td role="cell" class="ids" data-title="Events"><details><summary>{counted(len(ids), "event")}</summary>'
        f"{named}{rest}</details></td>"
    )


def _text(value: Any, zone: tzinfo) -> str:
    """Returns a value as HTML; long words of it can be broken behind signs within them."""
    text = shown(value, zone, keeps_lines=True)
    if isinstance(value, datetime) and value.tzinfo:
        day, _, time = text.partition(" ")
        return f'<time datetime="{rfc3339(value, zone)}"><span>{day}</span> <span>{time}</span></time>'
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters)"
    if len(text) <= _SHORT and " " not in text:
        return f'<span class="whole">{escape(text)}</span>' if text else ""
    return "<wbr>".join(map(escape, BREAKABLE.split(text)))


def _class(is_number: bool) -> str:  # noqa: FBT001 - its name says it
    return ' class="number"' if is_number else ""
