"""``ualpipe explain``: says for one record which rule made which field of what, and what became of each original field."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from ualpipe.pipeline.commands._open_transforms import open_envelopes, open_stages, with_explainers
from ualpipe.pipeline.commands._records import find_record, read_body
from ualpipe.pipeline.commands._said import Complaints
from ualpipe.pipeline.commands._tables import Printer, place_from_here, shown
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import UNMAPPABLE, Event
from ualpipe.pipeline.explain.contract import Attempt, Made, Original, Rule
from ualpipe.pipeline.explain.document_fields import ABSENT, leaves, value_at
from ualpipe.pipeline.explain.trace import Explained, ExplainedStage, as_error, explain
from ualpipe.pipeline.process.transforming import flaw_of
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, did_you_mean, visible_json

_BELOW = "o365.audit."
_GUID_LENGTH = 36  # ids stay whole on a terminal


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when the record gives a document or is filtered, 1 when it can't be mapped or go on.

    What else in the file can't be read is said on stderr, and is 1 as well where nobody chose a record.
    """
    body = read_body(args.record)
    event, note, unread = find_record(args.record, body, open_envelopes(args.config), id_=args.id, line=args.line)
    stages = with_explainers(open_stages(args.config))
    head = _head(event)
    found = explain(event, stages)
    rules = [rule for stage in stages if stage.explainer for rule in stage.explainer.rules()]
    wanted = [_wanted(name, found, rules) for name in args.field]
    if args.json:
        print(visible_json(orjson.dumps(as_dict(head, found, wanted), option=orjson.OPT_INDENT_2).decode(), keeps_lines=True))
    else:
        _print(Printer(), head, note, found, wanted, rules)
    return (
        EXIT_FINE
        if found.error is None and not _complains(event, unread, is_chosen=bool(args.id or args.line))
        else EXIT_INCOMPLETE
    )


def _complains(event: Event, unread: Iterable[str], *, is_chosen: bool) -> bool:
    """Says on stderr what else in the file can't be read, and why the record could not be mapped; returns whether it counts."""
    complaints = Complaints()
    for reason in unread:
        complaints.note("not read", reason)
    if event.violations and (flaw := flaw_of(event)).kind in UNMAPPABLE:
        complaints.note("not mapped", flaw.reason)
    complaints.end()
    return "not mapped" in complaints.counts or (bool(complaints.counts) and not is_chosen)


def _head(event: Event) -> dict[str, Any]:
    record = event.record
    return {"id": event.id, "record_type": event.record_type, "operation": record.get("Operation")}


def _wanted(name: str, found: Explained, rules: Sequence[Rule]) -> str:
    """Returns the dotted name of a field that is asked for: an ECS field, one below ``o365.audit``, or one of the record.

    Raises:
        ConfigError: Nothing is known of such a field.
    """
    known = {field for rule in rules for field in rule.fields} | set(leaves(found.document or {}))
    known |= {below for original in found.notes.originals for below in original.names}
    if any(_is_in(field, name) for field in known) or value_at(found.document, name) is not ABSENT:
        return name
    if any(original.field == name for original in found.notes.originals):
        return _BELOW + name
    raise ConfigError(f"no rule fills {name}, and this record has no such field{did_you_mean(name, known)}")


def _is_in(field: str, name: str) -> bool:
    return field == name or field.startswith(f"{name}.")


# For programs


def as_dict(head: Mapping[str, Any], found: Explained, wanted: Sequence[str]) -> dict[str, Any]:
    """Returns an explanation for programs; with fields that were asked for, only what concerns these."""
    notes = found.notes
    attempts = [attempt for attempt in notes.attempts if any(_is_in(attempt.field, name) for name in wanted)]
    return {
        "record": {name: head[name] for name in ("id", "record_type", "operation")},
        "outcome": _outcome(found),
        "findings": [
            {"pointer": finding.violation.pointer, "message": finding.violation.message, "schema": finding.schema}
            for finding in notes.findings
        ],
        "remarks": notes.remarks,
        "fields": [_field_as_dict(name, found, made) for name, made in _fields(found, wanted)],
        "originals": [_original_as_dict(original) for original in _originals(found, wanted)],
        "left_out": notes.left_out,
        **({"attempts": [_attempt_as_dict(attempt) for attempt in attempts]} if wanted else {}),
    }


def _outcome(found: Explained) -> dict[str, Any]:
    if found.error is not None:
        return {"error": as_error(found.error)}
    return {"filtered_by": found.filtered_by} if found.filtered_by else {"document": found.document}


def _field_as_dict(name: str, found: Explained, makers: Sequence[Made]) -> dict[str, Any]:
    made = [{"value": one.value, "sources": one.sources, "rule": _rule_as_dict(one.rule)} for one in makers]
    return {"field": name, "value": value_at(found.document, name), "makers": made}


def _rule_as_dict(rule: Rule) -> dict[str, Any]:
    return {
        "kind": rule.kind,
        "does": rule.does,
        "file": str(rule.path) if rule.is_own else rule.file,
        "line": rule.line or None,
        "column": rule.column or None,
        "own": rule.is_own,
        "from": rule.sources,
        "when": rule.when,
        "note": rule.note,
    }


def _original_as_dict(original: Original) -> dict[str, Any]:
    return {"field": original.field, "names": original.names, "shape": original.shape, "changes": original.changes}


def _attempt_as_dict(attempt: Attempt) -> dict[str, Any]:
    rule = _rule_as_dict(attempt.rule)
    return {"field": attempt.field, "result": attempt.result, "reason": attempt.reason, "rule": rule}


# For people


def print_explained(out: Printer, event: Event, found: Explained, stages: Sequence[ExplainedStage]) -> None:
    """Prints which rule made which field of what."""
    rules = [rule for stage in stages if stage.explainer for rule in stage.explainer.rules()]
    _print(out, _head(event), "", found, (), rules)


def _fields(found: Explained, wanted: Sequence[str] = ()) -> Iterable[tuple[str, list[Made]]]:
    """Yields the fields that are no originals, by name."""
    for name, made in sorted(found.makers.items()):
        is_wanted = not wanted or any(_is_in(name, one) or _is_in(one, name) for one in wanted)
        if is_wanted and value_at(found.document, name) is not ABSENT and made[0].rule.kind != "original":
            yield name, made


def _originals(found: Explained, wanted: Sequence[str] = ()) -> list[Original]:
    return [
        original
        for original in found.notes.originals
        if not wanted or any(_is_in(name, one) or _is_in(one, name) for name in original.names for one in wanted)
    ]


def _print(
    out: Printer, head: Mapping[str, Any], note: str, found: Explained, wanted: Sequence[str], rules: Sequence[Rule]
) -> None:
    if note:
        out.line(f"note: {note}", "yellow")
    out.line(f"{shown(head['operation'])}, record type {head['record_type'] or 'none'}, Id {head['id'] or 'none'}", "bold")
    _print_outcome(out, found)
    if wanted:
        for name in wanted:
            _print_attempts(out, name, found, rules)
        return
    _print_fields(out, found)
    _print_originals(out, found)


def _print_outcome(out: Printer, found: Explained) -> None:
    for remark in found.notes.remarks:
        out.line(remark)
    if found.notes.findings:
        out.title("Does not fit its schema")
        rows = [(one.violation.pointer or "/", one.violation.message, one.schema) for one in found.notes.findings]
        out.table(("where", "finding", "schema"), rows, ["red"] * len(rows))
    if found.filtered_by:
        out.title(f"No document: {found.filtered_by} leaves the event out")
    elif found.error is not None:
        out.title(f"No document: {type(found.error).__name__}: {found.error}")
    elif found.document is None:
        out.title("No document: no transform makes one, sinks get the record")


def _print_fields(out: Printer, found: Explained) -> None:
    rows = [
        (name if at == 0 else "", shown(made.value), _in_words(made.rule, made.sources))
        for name, makers in _fields(found)
        for at, made in enumerate(makers)
    ]
    if rows and found.document is not None:
        out.title("ECS fields")
        out.table(("field", "value", "made by"), rows, min_widths=(0, _GUID_LENGTH))


def _in_words(rule: Rule, sources: Sequence[str]) -> str:
    return f"{place_from_here(rule)} {_does(rule, sources)}".strip()


def _does(rule: Rule, sources: Sequence[str]) -> str:
    of = f" of {', '.join(sources)}" if sources and rule.kind != "operation" else ""
    return f"{rule.does}{of}" + (f" when {', '.join(rule.when)}" if rule.when else "")


def _print_originals(out: Printer, found: Explained) -> None:
    if found.document is None:
        return
    originals = found.notes.originals
    plain = [original.field for original in originals if not original.changes]
    out.title(f"Original fields, below {_BELOW.removesuffix('.')}")
    changed = [original for original in originals if original.changes]
    if changed:
        out.table(("field", "stands in", "shape", "what changed"), [_original_row(original) for original in changed])
        out.line()
    if plain:
        out.line(f"{counted(len(plain), 'field')} as delivered: {', '.join(plain)}")
    if found.notes.left_out:
        out.line(f"left out, as empty: {', '.join(found.notes.left_out)}")


def _original_row(original: Original) -> tuple[str, ...]:
    names = ", ".join(name.removeprefix(_BELOW) for name in original.names)
    return original.field, names, original.shape, "; ".join(original.changes) or "nothing"


def _print_attempts(out: Printer, wanted: str, found: Explained, rules: Sequence[Rule]) -> None:
    originals = [_original_row(original) for original in _originals(found, [wanted])]
    if originals and wanted.startswith(_BELOW):
        out.title(wanted)
        out.table(("field", "stands in", "shape", "what changed"), originals)
        return
    tried = [attempt for attempt in found.notes.attempts if _is_in(attempt.field, wanted)]
    for field in dict.fromkeys(attempt.field for attempt in tried) or [wanted]:
        value = value_at(found.document, field)
        out.title(f"{field}: {'not in the document' if value is ABSENT else shown(value)}")
        rows = [(attempt, attempt.rule) for attempt in tried if attempt.field == field]
        if rows:
            out.table(
                ("rule", "does", "result"),
                [(place_from_here(rule), _does(rule, rule.sources), attempt.reason) for attempt, rule in rows],
                ["green" if attempt.result == "made" else "" for attempt, _rule in rows],
            )
        _print_elsewhere(out, field, [rule for _attempt, rule in rows], found, rules)


def _print_elsewhere(out: Printer, field: str, tried: Sequence[Rule], found: Explained, rules: Sequence[Rule]) -> None:
    """Says which other rules there are for a field, and what else made it."""
    seen = {rule.place for rule in tried}
    others = [made for made in found.makers_of(field) if made.rule.place not in seen]
    for made in others:
        out.line(f"then: {_in_words(made.rule, made.sources)} made {shown(made.value)}")
    files = [rule.file for rule in rules if field in rule.fields and rule.place not in seen and rule.kind == "row"]
    if files:
        out.line(f"rows for other kinds of records: {', '.join(dict.fromkeys(files))}")
