"""The pages as Markdown."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from event_pages.asking import document_of, event_of, fields_asked
from event_pages.reading import ELASTIC, SIGMA, Page, Rule, Sample, pages
from event_pages.shown import OF_EVERY_EVENT, columns_filled
from ualpipe.pipeline.options import build
from ualpipe.transforms.ecs.explain.explainer import EcsExplainer
from ualpipe.transforms.ecs.mapping.reader import shipped_tables
from ualpipe.transforms.ecs.options import EcsTransformConfig

WIDTH = 130
"""Characters of a line of JSON, where its values are not longer."""
PROSE_WIDTH = 150
SHOWN = 60
"""Characters of a value in a table."""

_GENERATED = "<!-- Generated: `PYTHONPATH=tests python -m event_pages`. A test compares; do not edit. -->"
_CONSTANT = ("data_stream.", "ecs.", "o365.", "event.dataset", "event.module", "message")
"""Fields of the documents that are the same for every record, or shown apart."""

_INDEX = f"""# Events

{_GENERATED}

What arrives, workload by workload: a record as received, the document that [`ecs`](../mapping.md) makes of it, its sentence,
the fields and [columns](../destinations/archive.md#what-arrives) that are filled, the [reports](../reports.md) that show it
(besides [{OF_EVERY_EVENT}](../reports.md#{OF_EVERY_EVENT}), which has every event), and public detection rules that read it.
The records are made up, in the shape of real ones; `ualpipe explain` says the same of one of yours.

| page | samples | rules |
|---|---|---|
"""

_RULES_OF_ALL = """
## The rules

Elastic's prebuilt rules ask for the documents as they are, Sigma's are [converted](../detections.md#sigma). Each link leads to
the version whose condition is tested here: a record meets it, and a near one does not, by the types of our
[index template](../elasticsearch.md#fields). Rules that count, or look for what is new, need more such events; the test is about
each of them. These are all of Sigma's for the audit log, and many of Elastic's; the fields that others ask for are tested
[one by one](../detections.md).

| rule | of | reads |
|---|---|---|
"""


def written(reports: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Returns the text of each page by its file's name, with the reports that show each sample (``reports_with_samples``)."""
    return {"README.md": _index(), **{f"{page.name}.md": "\n".join(_lines(page, reports)) + "\n" for page in pages()}}


def _index() -> str:
    rows = [f"| [{page.title}]({page.name}.md) | {_samples_of(page)} | {len(page.rules)} |" for page in pages()]
    rules = {(rule.title, rule.link): rule for page in pages() for rule in page.rules}.values()
    named = sorted(rules, key=lambda rule: (rule.repository, rule.title))
    listed = [f"| [{rule.title}]({rule.link}) | {_of(rule)} | {_pages_of(rule)} |" for rule in named]
    return _INDEX + "\n".join(rows) + "\n" + _RULES_OF_ALL + "\n".join(listed) + "\n"


def _of(rule: Rule) -> str:
    return "Elastic" if rule.repository == ELASTIC else f"Sigma, by {rule.author}"


def _pages_of(rule: Rule) -> str:
    return ", ".join(f"[{page.title}]({page.name}.md)" for page in pages() if rule.link in {one.link for one in page.rules})


def _samples_of(page: Page) -> str:
    return ". ".join(sample.about for sample in page.samples)


def _lines(page: Page, reports: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield f"# {page.title}\n\n{_GENERATED}\n\n{_wrapped(page.about)}\n"
    yield _wrapped(f"Fields: {', '.join(map(_section, page.tables))}. [All pages](README.md).") + "\n"
    for sample in page.samples:
        yield from _sample(sample, reports[sample.record["Id"]])
    yield from _fields(page)
    yield from _rules(page)


def _section(table: str) -> str:
    (title,) = [one.title for one in shipped_tables() if one.name == table]
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    return f"[{title}](../fields.md#{anchor})"


def _sample(sample: Sample, reports: Sequence[str]) -> Iterator[str]:
    document = document_of(sample.record)
    yield f"## {sample.about}\n"
    yield f"> {document['message']}\n"
    yield f"```json\n{packed(sample.record)}\n```\n"
    yield "becomes, beside `o365.audit` with the fields of the record:\n"
    yield f"```json\n{packed({name: value for name, value in document.items() if name not in ('o365', 'message')})}\n```\n"
    links = ", ".join(f"[{name}](../reports.md#{name})" for name in reports if name != OF_EVERY_EVENT)
    yield _wrapped(f"Reports: {links or 'no special one'}.") + "\n"


def _fields(page: Page) -> Iterator[str]:
    """Yields a row for each field of the samples' documents, with the value of the first that has it."""
    found: dict[str, tuple[str, str]] = {}
    for sample in page.samples:
        sources = _sources_by_field(sample)
        for name, value in _leaves(document_of(sample.record)):
            if not name.startswith(_CONSTANT):
                found.setdefault(name, (_sources(sources, name), _shortened(value)))
    yield "## Fields\n\n| field | made of | here |\n|---|---|---|"
    yield from (f"| `{name}` | {sources} | {value} |" for name, (sources, value) in sorted(found.items()))
    yield ""
    columns = columns_filled([sample.record for sample in page.samples])
    named = ", ".join(f"`{name}`" for name in columns)
    yield _wrapped(f"Columns of [stores](../destinations/archive.md#what-arrives): {named}.") + "\n"


def _sources_by_field(sample: Sample) -> dict[str, dict[str, None]]:
    """Returns of which fields of the record each field was made, in the order of the rules; several may add to a list."""
    found: dict[str, dict[str, None]] = {}
    for made in _explainer().explain(event_of(sample.record)).made:
        found.setdefault(made.field, {}).update(dict.fromkeys(made.sources))
    return found


def _sources(known: Mapping[str, Iterable[str]], name: str) -> str:
    """Returns the sources of a field; those of the object around it where that was made as a whole."""
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return ", ".join(f"`{one}`" for one in known.get(name, ())) or "constant"


def _leaves(node: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    cut = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
    return f"`{cut}`".replace("|", "\\|")


def _rules(page: Page) -> Iterator[str]:
    yield "## Rules that read it\n\n| rule | asks for | passes over, though near |\n|---|---|---|"
    for rule in page.rules:
        asks = ", ".join(f"`{name}`" for name in sorted(fields_asked(rule) - {"event.dataset", "data_stream.dataset"}))
        beyond = f". Besides: {rule.beyond}" if rule.beyond else ""
        cased = (
            ". Convert it for the target `eql`, which compares without case"
            if rule.repository == SIGMA and rule.language == "eql"
            else ""
        )
        yield f"| [{rule.title}]({rule.link}) ({_of(rule)}) | {asks}{beyond}{cased} | {rule.why} |"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, PROSE_WIDTH, break_long_words=False, break_on_hyphens=False)


@cache
def _explainer() -> EcsExplainer:
    made = EcsExplainer(build(EcsTransformConfig, {}, Path()))
    made.open()
    return made


def packed(value: Any, indent: int = 0) -> str:
    """Returns JSON with as much on a line as fits it."""
    whole = json.dumps(value, ensure_ascii=False)
    if indent + len(whole) <= WIDTH or not isinstance(value, dict | list) or not value:
        return whole
    begin, end = "{}" if isinstance(value, dict) else "[]"
    inner = indent + 1
    parts = [_member(one, inner) for one in (value.items() if isinstance(value, dict) else value)]
    lines = [begin]
    for number, part in enumerate(parts):
        text = part + ("," if number + 1 < len(parts) else end)
        if number and (inner + len(lines[-1]) + len(text.partition("\n")[0]) > WIDTH or "\n" in text or "\n" in lines[-1]):
            lines.append(text)
        else:
            lines[-1] += text if lines[-1] == begin else f" {text}"
    return ("\n" + " " * inner).join(lines)


def _member(one: Any, indent: int) -> str:
    if not isinstance(one, tuple):
        return packed(one, indent)
    name = f"{json.dumps(one[0])}: "
    return name + packed(one[1], indent + len(name))
