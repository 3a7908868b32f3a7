"""What is said beside the rows of an answer: as plain data for programs, in words for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ualpipe.pipeline.report.contract import Selection
from ualpipe.pipeline.report.covering import Covered, GapOf, Span
from ualpipe.pipeline.report.running import Answer
from ualpipe.pipeline.report.values import instant, rfc3339
from ualpipe.pipeline.stages import Instant, StreamCoverage
from ualpipe.pipeline.wording import counted, shorten, visible

MOST_NAMED = 8
"""Gaps, spans and files that are named in words; JSON has all."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something that is said beside an answer.

    Attributes:
        label: What of.
        lines: In words.
        is_warning: Something is missing in the answer.
    """

    label: str
    lines: Sequence[str]
    is_warning: bool = False


def as_data(answer: Answer) -> dict[str, Any]:
    """Returns all but the rows, as JSON has it."""
    report, asked = answer.report, answer.asked
    return {
        "report": report.name,
        "title": report.title,
        "question": report.question,
        "version": answer.version,
        "written": rfc3339(asked.now),
        "asked": {"since": _text(asked.selection.since), "until": _text(asked.selection.until), "timezone": asked.timezone},
        "covered": _covered_data(answer.covered),
        "gaps": [_gap_data(gap) for gap in answer.covered.gaps],
        "throttled": [
            {"mailbox": one.mailbox, "since": _text(one.since), "until": _text(one.until)} for one in answer.covered.throttled
        ],
        "filters": {
            "tenants": list(asked.selection.tenants),
            "user": asked.selection.user or None,
            "workloads": list(asked.selection.workloads),
        },
        "tenants": list(answer.tenants),
        "excluded": [{"reason": reason, "rows": count} for reason, count in answer.excluded.items()],
        "unreadable": [{"path": str(one.path), "reason": one.reason} for one in answer.unreadable],
        "columns": [{"name": one.name, "title": one.title, "about": one.about} for one in report.columns],
        "wrong": list(report.wrong),
        "not_answered": list(report.not_answered),
        "row_count": len(answer.rows),
    }


def _text(value: Instant | None) -> str | None:
    return rfc3339(value) if value else None


def _covered_data(covered: Covered) -> dict[str, Any]:
    return {
        "state": covered.state,
        "since": _text(covered.since),
        "until": _text(covered.until),
        "first_event": _text(covered.first),
        "last_event": _text(covered.last),
        "events": covered.events,
        "unknown_tenants": list(covered.unknown_tenants),
        "said_at": {name: rfc3339(at) for name, at in (covered.said_at or {}).items()},
        "streams": [
            {
                "source": one.source,
                "tenant": one.tenant,
                "stream": one.stream,
                "since": _text(one.begin),
                "until": _text(one.until),
                "fetching": one.fetching,
                "delivering": one.delivering,
                "dead": one.dead,
                "waiting_since": _text(one.waiting_since),
            }
            for one in covered.streams
        ],
    }


def _gap_data(gap: GapOf) -> dict[str, Any]:
    place = {"source": gap.source, "tenant": gap.tenant, "stream": gap.stream}
    return {**place, "since": _text(gap.since), "until": _text(gap.until), "reason": gap.reason}


def in_words(answer: Answer) -> list[Said]:
    """Returns all but the rows in words, the period first."""
    zone = ZoneInfo(answer.asked.timezone)
    return [said for said in _in_words(answer, zone) if said.lines]


def _in_words(answer: Answer, zone: tzinfo) -> Iterator[Said]:
    covered, selection = answer.covered, answer.asked.selection
    yield Said("Asked for", [f"{_period_in_words(selection, zone)} ({answer.asked.timezone})"])
    yield Said("Covered", list(_covered_in_words(answer, zone)), covered.state != "complete")
    yield Said("Gaps", _some([_gap_in_words(gap, zone) for gap in covered.gaps], "gap"), is_warning=True)
    yield Said("Not there yet", _some([_waiting_in_words(one, zone) for one in covered.waiting], "stream"), is_warning=True)
    yield Said("Throttled", _throttled_in_words(covered.throttled, zone), is_warning=True)
    yield Said("Unreadable", _some([f"{one.path}: {one.reason}" for one in answer.unreadable], "file"), is_warning=True)
    yield Said("Filters", [_filters_in_words(answer)])
    yield Said("Not shown", [f"{counted(count, 'row')}: {visible(why)}" for why, count in answer.excluded.items()])
    yield Said("Written", [f"{instant(answer.asked.now, zone)} by ualpipe {answer.version}"])


def state_in_words(covered: Covered) -> str:
    """Returns in some words how much is covered."""
    return {
        "complete": "The whole period is covered",
        "partial": "The period is covered in part",
        "unknown": "Coverage unknown",
    }[covered.state]


def _period_in_words(selection: Selection, zone: tzinfo) -> str:
    if not selection.since and not selection.until:
        return "all that the store holds"
    begin = f"from {instant(selection.since, zone)}" if selection.since else "from the beginning"
    return f"{begin} to {instant(selection.until, zone) if selection.until else 'now'}"


def _covered_in_words(answer: Answer, zone: tzinfo) -> Iterator[str]:
    covered = answer.covered
    if covered.first is None or covered.last is None:
        yield "The store holds no events of these tenants"
    if covered.state == "unknown":
        whose = f" of {_names(covered.unknown_tenants)}" if covered.unknown_tenants and covered.streams else ""
        yield f"Coverage unknown: no pipeline has said{whose} which period the store covers"
    elif covered.since and covered.until:
        whole = "the whole period, " if covered.state == "complete" else ""
        less = ", but for what is named below" if covered.gaps or covered.waiting else ""
        yield f"{whole}from {instant(covered.since, zone)} to {instant(covered.until, zone)}{less}"
    else:
        yield "No part of the period is covered by all streams"
    if covered.first and covered.last:
        span = f"{instant(covered.first, zone)} to {instant(covered.last, zone)}"
        yield f"The store holds {counted(covered.events, 'event')}, from {span}"
    if covered.state != "complete":
        for one in covered.streams:
            if not one.until:
                yield f"{_stream(one)} was never listed"
    if covered.is_early:
        yield "Records of the last 24 hours may still come: services make them available late"


def _gap_in_words(gap: GapOf, zone: tzinfo) -> str:
    return f"{gap.source} {gap.stream}, {instant(gap.since, zone)} to {instant(gap.until, zone)}: {shorten(gap.reason)}"


def _waiting_in_words(one: StreamCoverage, zone: tzinfo) -> str:
    counts = [
        (one.fetching, f"{counted(one.fetching, 'item')} to fetch"),
        (one.delivering, f"{counted(one.delivering, 'record')} to deliver"),
        (one.dead, f"{counted(one.dead, 'dead letter')}"),
    ]
    since = f", the oldest of {instant(one.waiting_since, zone)}" if one.waiting_since else ""
    return f"{_stream(one)}: {', '.join(text for count, text in counts if count)}{since}"


def _stream(one: StreamCoverage) -> str:
    return visible(f"{one.source} {one.stream}")


def _throttled_in_words(spans: Sequence[Span], zone: tzinfo) -> list[str]:
    if not spans:
        return []
    named = [f"{visible(one.mailbox)}, {instant(one.since, zone)} to {instant(one.until, zone)}" for one in spans]
    return ["Reads of these mailboxes were not recorded:", *_some(named, "span")]


def _filters_in_words(answer: Answer) -> str:
    selection = answer.asked.selection
    found = [f"tenant {_names(selection.tenants)}"] if selection.tenants else []
    found += [f"user {visible(selection.user)}"] if selection.user else []
    found += [f"workload {_names(selection.workloads)}"] if selection.workloads else []
    if found:
        return "; ".join(found)
    return f"none: all events of {_names(answer.tenants) or 'the store'}"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(visible(name) or "no tenant" for name in names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _some(lines: Sequence[str], noun: str) -> list[str]:
    """Returns lines, safe to show; of many the first, and how many more there are."""
    rest = len(lines) - MOST_NAMED
    return [*map(visible, lines[:MOST_NAMED]), *([f"and {counted(rest, f'more {noun}')}"] if rest > 0 else [])]
