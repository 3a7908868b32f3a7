"""A report as one page of HTML, without any part from outside: for a browser of any width, and for paper."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape

from ualpipe.pipeline.mailbox_audit.actions import LOGONS
from ualpipe.pipeline.mailbox_audit.judging import State, Verdict
from ualpipe.pipeline.mailbox_audit.report import Report, remarks
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.wording import counted, visible
from ualpipe.schemas import read_text

_COLOURS: dict[State, str] = {
    "organisation switch": "bad",
    "auditing off": "bad",
    "bypass": "bad",
    "missing actions": "short",
    "not supported": "note",
    "age limit": "note",
    "not exported": "note",
    "complete": "fine",
}
_STYLE = "mailbox_audit/page.css"


def page(report: Report) -> str:
    """Returns the page."""
    return "\n".join(_parts(report)) + "\n"


def _parts(report: Report) -> Iterator[str]:
    title = "Mailbox auditing"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{title}: {_text(report.profile.title)}</title><style>\n{read_text(_STYLE)}</style></head><body>"
    yield f"<h1>{title}</h1>"
    held_to = f"{_text(report.profile.title)} ({_text(report.profile.name)})"
    yield f'<p class="of">Held to: {held_to}, licence {report.licence.upper()}</p>'
    yield from _states(report)
    yield _list("What counts for all of them", list(remarks(report)))
    yield _list("What could not be read, or was odd", list(map(str, report.tenant.notes)))
    for state, count in report.counts.items():
        yield from _group(state, count, [one for one in report.verdicts if one.state == state])
    made = f"Made {report.now:%Y-%m-%d %H:%M} UTC by ualpipe {_text(report.version)}"
    source = f"Profile: {_text(report.profile.source)}" if report.profile.source else "Profile of your own"
    yield f"<footer>{made}. {source}. What no export tells is not exported, never missing.</footer>"
    yield "</body></html>"


def _states(report: Report) -> Iterator[str]:
    yield '<ul class="states">'
    for state, count in report.counts.items():
        yield f'<li class="{_COLOURS[state]}"><b>{count:,}</b> <span>{state}</span></li>'
    if not report.counts:
        yield '<li class="note"><b>0</b> <span>mailboxes</span></li>'
    yield "</ul>"


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f'<h2>{title}</h2><ul class="remarks">{items}</ul>' if lines else ""


def _group(state: State, count: int, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yields the mailboxes of a state, those together of which the same is to be said."""
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for verdict in verdicts:
        alike[verdict.mailbox.kind, _missing(verdict), _findings(verdict)].append(f"<div>{_text(verdict.mailbox.name)}</div>")
    title = f"{state[0].upper()}{state[1:]}"
    yield f'<h2 class="{_COLOURS[state]}">{title} <span class="count">{counted(count, "mailbox", "mailboxes")}</span></h2>'
    yield "<table><thead><tr><th>Mailboxes</th><th>Type</th><th>Missing</th><th>Findings</th></tr></thead><tbody>"
    for (kind, missing, findings), names in alike.items():
        cells = (("", "".join(names)), ("type", kind), ("missing", missing), ("findings", findings))
        yield f"<tr>{''.join(f'<td{_of(name)}>{content}</td>' for name, content in cells)}</tr>"
    yield "</tbody></table>"


def _missing(verdict: Verdict) -> str:
    return "".join(
        f"<div><b>{logon}</b> {', '.join(map(_text, verdict.missing[logon]))}</div>" for logon in LOGONS if verdict.missing[logon]
    )


def _findings(verdict: Verdict) -> str:
    found = "".join(f"<li>{_text(str(finding))}</li>" for finding in verdict.findings)
    return f"<ul>{found}</ul>" if found else ""


def _of(name: str) -> str:
    return f' data-of="{name}"' if name else ""


def _text(text: str) -> str:
    return escape(visible(blanked(text)))
