"""One HTML file that needs nothing else: what the answer covers, a picture, the rows, what makes them wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from ualpipe.pipeline.report.about import Said, in_words, state_in_words
from ualpipe.pipeline.report.catalog import ReportColumn
from ualpipe.pipeline.report.formats.html_style import STYLE
from ualpipe.pipeline.report.formats.timeline import timeline
from ualpipe.pipeline.report.running import Answer, Row
from ualpipe.pipeline.report.values import rfc3339, shown
from ualpipe.pipeline.wording import counted, visible

MOST_ROWS = 5000
"""Rows of a page; browsers take long over more. All stand in the other formats."""
MOST_CHARACTERS = 2000
"""Of a cell."""
MOST_IDS = 20
"""Events of a row that are named."""


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
    state = answer.covered.state if not answer.unreadable else "partial"
    heading = state_in_words(answer.covered)
    return (
        f'<section class="statement {state}" aria-labelledby="covers">\n<h2 id="covers">{heading}</h2>\n<dl>\n'
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
    names = [column.name for column in columns]
    grouped = [names.index(name) for name in answer.report.group]
    left = [at for at in range(len(names)) if at not in grouped]
    numbers = {at for at in left if all(_is_number(row.values[at]) for row in answer.rows[:most_rows])}
    yield '<section class="rows">\n<h2>What was found</h2>\n<table role="table">\n'
    if len(answer.rows) > most_rows:
        yield f"<caption>{escape(_left_out(answer, most_rows))}</caption>\n"
    heads = "".join(_head(columns[at], is_number=at in numbers) for at in left)
    yield f'<thead role="rowgroup"><tr role="row">{heads}<th scope="col" role="columnheader">Events</th></tr></thead>\n'
    yield '<tbody role="rowgroup">\n'
    before: Sequence[str] = ()
    for row in answer.rows[:most_rows]:
        group = [_text(row.values[at], zone) for at in grouped]
        yield from _headings(group, before, [columns[at] for at in grouped], len(left) + 1)
        before = group
        yield _row(row, left, numbers, columns, zone)
    yield "</tbody>\n</table>\n</section>\n"


def _head(column: ReportColumn, *, is_number: bool) -> str:
    about = escape(column.about)
    return f'<th scope="col" role="columnheader"{_class(is_number)} title="{about}">{escape(column.title)}</th>'


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


def _row(row: Row, left: Sequence[int], numbers: set[int], columns: Sequence[ReportColumn], zone: tzinfo) -> str:
    cells = "".join(
        f'<td role="cell"{_class(at in numbers)} data-title="{escape(columns[at].title)}">{_text(row.values[at], zone)}</td>'
        for at in left
    )
    return f'<tr class="row" role="row">{cells}{_ids(row.event_ids)}</tr>\n'


def _ids(ids: Sequence[str]) -> str:
    named = "<br>".join(escape(visible(one)) for one in ids[:MOST_IDS])
    rest = f"<br>and {len(ids) - MOST_IDS:,} more" if len(ids) > MOST_IDS else ""
    return (
        f'<td role="cell" class="ids" data-title="Events"><details><summary>{counted(len(ids), "event")}</summary>'
        f"{named}{rest}</details></td>"
    )


def _text(value: Any, zone: tzinfo) -> str:
    """Returns a value as HTML."""
    text = shown(value, zone, keeps_lines=True)
    if isinstance(value, datetime) and value.tzinfo:
        return f'<time datetime="{rfc3339(value, zone)}">{text}</time>'
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters)"
    return escape(text)


def _class(is_number: bool) -> str:  # noqa: FBT001 - its name says it
    return ' class="number"' if is_number else ""


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
