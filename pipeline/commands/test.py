"""``ualpipe test``: runs records of the user's through the transforms and says where documents are not the expected ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ualpipe.pipeline.commands._cases import Case, read_cases
from ualpipe.pipeline.commands._open_transforms import open_stages, with_explainers
from ualpipe.pipeline.commands._tables import Printer, place_from_here, shown
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.explain.contract import Attempt, Result, Rule
from ualpipe.pipeline.explain.document_fields import ABSENT, Difference
from ualpipe.pipeline.explain.trace import Explained, ExplainedStage, explain
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, visible_json

_REACHED = ("made", "known")
_NEAREST: tuple[Result, ...] = ("taken", "unfit", "condition", "absent", "replaced")  # to a value, in this order
_REASONS = {
    "taken": "another row has always filled the field first",
    "unfit": "nothing could be made of what stood there",
    "condition": "its conditions held in no case",
    "absent": "what it reads stood in no case",
    "replaced": "a row of yours replaces it",
}
_NO_SUCH_RECORD = "no case has a record of its kind"


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What came out of a case.

    Attributes:
        differences: Empty when it passes.
        reason: Why it fails without differences.
    """

    case: Case
    got: Any
    differences: Sequence[Difference]
    reason: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether it is as expected."""
        return not self.differences and not self.reason


@dataclass(slots=True)
class Coverage:
    """The rules that the cases have reached, and how near they came to the others."""

    results: dict[Rule, set[Result]] = field(default_factory=dict)

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Adds what became of rules in one case."""
        for attempt in attempts:
            self.results.setdefault(_key(attempt.rule), set()).add(attempt.result)

    def unreached(self, rules: Iterable[Rule]) -> list[tuple[Rule, str]]:
        """Returns the rules that made no value in any case, with the reason."""
        found = [(rule, self.results.get(_key(rule), set())) for rule in rules]
        return [(rule, _why(results)) for rule, results in found if not results.intersection(_REACHED)]


def _key(rule: Rule) -> Rule:
    """Returns the rule without what differs from record to record: the name of the operation that it matched."""
    return Rule(rule.kind, "", path=rule.path, line=rule.line, column=rule.column)


def _why(results: set[Result]) -> str:
    return next((_REASONS[result] for result in _NEAREST if result in results), _NO_SUCH_RECORD)


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when all cases pass, or with ``--update`` are brought up to date; 1 when one fails."""
    cases = read_cases(args.cases)
    stages = with_explainers(open_stages(args.config, args.mapping))
    coverage = Coverage()
    outcomes = [_outcome(case, stages, coverage) for case in cases.cases]
    failed = [outcome for outcome in outcomes if not outcome.is_passed]
    if args.update and failed:
        for outcome in failed:
            outcome.case.expect(outcome.got)
        cases.write()
    rules = [rule for stage in stages if stage.explainer for rule in stage.explainer.rules() if rule.path]
    chosen = [rule for rule in rules if rule.is_own or args.all_rows]
    unreached = coverage.unreached(chosen)
    if args.json:
        print(
            visible_json(
                orjson.dumps(_as_dict(outcomes, chosen, unreached, is_updated=args.update), option=orjson.OPT_INDENT_2).decode(),
                keeps_lines=True,
            )
        )
    else:
        _print(Printer(), outcomes, chosen, unreached, is_updated=args.update)
    return EXIT_INCOMPLETE if failed and not args.update else EXIT_FINE


def _outcome(case: Case, stages: Sequence[ExplainedStage], coverage: Coverage) -> CaseOutcome:
    chunk = Chunk(orjson.dumps(case.record), "lines")
    found: Explained = explain(Event(case.record, 0, Origin("test", "", "test", case.name, chunk)), stages)
    coverage.add(found.notes.attempts)
    got = found.outcome()
    if not case.has_expectation:
        return CaseOutcome(case, got, (), "nothing is expected of it yet; --update takes what comes out")
    return CaseOutcome(case, got, case.differences(got))


# For programs


def _as_dict(
    outcomes: Sequence[CaseOutcome], rules: Sequence[Rule], unreached: Sequence[tuple[Rule, str]], *, is_updated: bool
) -> dict[str, Any]:
    failed = sum(not outcome.is_passed for outcome in outcomes)
    return {
        "cases": [_outcome_as_dict(outcome) for outcome in outcomes],
        "passed": len(outcomes) - failed,
        "failed": failed,
        "updated": failed if is_updated else 0,
        "rows": len(rules),
        "unreached": [_unreached_as_dict(rule, why) for rule, why in unreached],
    }


def _outcome_as_dict(outcome: CaseOutcome) -> dict[str, Any]:
    return {
        "name": outcome.case.name,
        "passed": outcome.is_passed,
        "reason": outcome.reason,
        "differences": [_difference_as_dict(one) for one in outcome.differences],
    }


def _difference_as_dict(one: Difference) -> dict[str, Any]:
    sides = {"expected": one.expected, "got": one.got}
    return {"field": one.field, "kind": one.kind, **{side: value for side, value in sides.items() if value is not ABSENT}}


def _unreached_as_dict(rule: Rule, why: str) -> dict[str, Any]:
    file = str(rule.path) if rule.is_own else rule.file
    return {"file": file, "line": rule.line, "column": rule.column, "fields": rule.fields, "does": rule.does, "why": why}


# For people


def _print(
    out: Printer,
    outcomes: Sequence[CaseOutcome],
    rules: Sequence[Rule],
    unreached: Sequence[tuple[Rule, str]],
    *,
    is_updated: bool,
) -> None:
    failed = [outcome for outcome in outcomes if not outcome.is_passed]
    for outcome in failed:
        out.line(f"{'updated' if is_updated else 'FAILED'}  {outcome.case.name}", "yellow" if is_updated else "bold red")
        _print_differences(out, outcome)
    if unreached:
        out.line("Rows that no case reaches", "bold")
        out.table(("row", "field", "does", "why"), [_unreached_row(rule, why) for rule, why in unreached])
        out.line()
    what = "updated" if is_updated else "failed"
    covered = f"; {len(rules) - len(unreached)} of {counted(len(rules), 'row')} reached" if rules else ""
    is_fine = is_updated or not failed
    out.line(f"{counted(len(outcomes), 'case')}, {len(failed) or 'none'} {what}{covered}", "green" if is_fine else "red")


def _print_differences(out: Printer, outcome: CaseOutcome) -> None:
    if outcome.reason:
        out.line(outcome.reason)
    rows = [
        (one.field or "(document)", _side(one.expected, "not there"), _side(one.got, "missing")) for one in outcome.differences
    ]
    if rows:
        out.table(("field", "expected", "got"), rows)
    out.line()


def _side(value: Any, absent: str) -> str:
    return f"({absent})" if value is ABSENT else shown(value)


def _unreached_row(rule: Rule, why: str) -> tuple[str, ...]:
    return place_from_here(rule), ", ".join(rule.fields), rule.does, why
