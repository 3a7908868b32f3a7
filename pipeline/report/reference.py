"""The reference of reports as Markdown, from their YAML files."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from ualpipe.pipeline.report.catalog import Catalog, Report

_INTRODUCTION = "introduction.md"


def listing(report: Report) -> str:
    """Returns a report in a line."""
    whose = "  (yours, in the place of ours)" if report.replaces else "  (yours)" if report.is_own else ""
    return f"{report.name:20s}  {report.question}{whose}"


def markdown(catalog: Catalog) -> str:
    """Returns the whole reference.

    Raises:
        ConfigError: The files of a report have defects.
    """
    return "\n".join(_lines(catalog)).rstrip() + "\n"


def _lines(catalog: Catalog) -> Iterator[str]:
    yield (files("ualpipe.pipeline.report") / _INTRODUCTION).read_text(encoding="utf-8")
    reports = [catalog.report(name) for name in catalog.names]
    yield "## The reports that ship\n"
    if not reports:
        yield "None yet."
        return
    yield "| name | question |\n|---|---|"
    yield from (f"| [`{one.name}`](#{one.name}) | {_cell(one.question)} |" for one in reports)
    yield ""
    for report in reports:
        yield from _report(report)


def _report(report: Report) -> Iterator[str]:
    yield f"### {report.name}\n"
    yield f"{report.title}. {report.question}\n"
    yield "| column | says |\n|---|---|"
    yield from (f"| {_cell(one.title)} (`{one.name}`) | {_cell(one.about)} |" for one in report.columns)
    yield ""
    for title, lines in (("What makes it wrong", report.wrong), ("What it does not answer", report.not_answered)):
        if lines:
            yield f"{title}:\n"
            yield from (f"- {line}" for line in lines)
            yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
