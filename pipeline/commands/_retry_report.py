"""Shows what would become of dead letters that are sent again: counted by what they are, or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ualpipe.pipeline.commands._retry_preview import RetryPreview
from ualpipe.pipeline.commands._tables import Printer
from ualpipe.pipeline.wording import counted

_IDS_SHOWN = 5
_GOES_ON = ("sent", "fetched", "filtered")


def all_go_on(found: Sequence[RetryPreview]) -> bool:
    """Returns whether no dead letter would fail again or stay."""
    return all(preview.outcome in _GOES_ON for preview in found)


def print_preview(found: Sequence[RetryPreview], config_version: str) -> None:
    """Prints a row for each kind of dead letter and outcome, and a line that sums them up."""
    kinds: dict[tuple[str, ...], list[RetryPreview]] = {}
    for preview in found:
        dead_letter = preview.stored.dead_letter
        kinds.setdefault((dead_letter.stage, dead_letter.code, _outcome(preview)), []).append(preview)
    rows = [
        (*kind, f"{len(alike):,}", _ids(alike), alike[0].reason)
        for kind, alike in sorted(kinds.items(), key=lambda pair: (pair[0], pair[1][0].stored.id))
    ]
    printer = Printer()
    if rows:
        printer.table(("stage", "was", "would", "letters", "ids", "why"), rows)
    printer.line(_summary(found, config_version))


def preview_as_dict(found: Sequence[RetryPreview], config_version: str) -> dict[str, Any]:
    """Returns the whole preview as plain data."""
    return {
        "config": config_version,
        "dead_letters": len(found),
        "outcomes": dict(Counter(preview.outcome for preview in found)),
        "refused_by_code": dict(Counter(preview.code for preview in found if preview.code)),
        "letters": [_as_dict(preview) for preview in found],
    }


def print_json(found: Sequence[RetryPreview], config_version: str) -> None:
    """Prints the whole preview as one JSON document."""
    print(json.dumps(preview_as_dict(found, config_version), indent=2))


def _outcome(preview: RetryPreview) -> str:
    words = {
        "sent": f"go to {', '.join(preview.sinks)}",
        "fetched": "be fetched again",
        "filtered": "be filtered",
        "refused": f"fail: {preview.code}",
        "stays": "stay",
    }
    return words[preview.outcome]


def _ids(alike: Sequence[RetryPreview]) -> str:
    shown = " ".join(str(preview.stored.id) for preview in alike[:_IDS_SHOWN])
    return f"{shown} …" if len(alike) > _IDS_SHOWN else shown


def _summary(found: Sequence[RetryPreview], config_version: str) -> str:
    counts = Counter(preview.outcome for preview in found)
    passed = counts["sent"] + counts["filtered"]
    events = passed + counts["refused"]
    text = f"{passed:,} of {counted(events, 'event')} would now pass the transforms of config {config_version}"
    if counts["filtered"]:
        text += f" ({counts['filtered']:,} of them filtered)"
    if counts["fetched"]:
        text += f"; {counted(counts['fetched'], 'work item')} would be fetched again"
    if counts["stays"]:
        text += f"; {counts['stays']:,} would stay"
    return f"{text}. Nothing was sent."


def _as_dict(preview: RetryPreview) -> dict[str, Any]:
    stored = preview.stored
    return {
        "id": stored.id,
        "stage": stored.dead_letter.stage,
        "was": stored.dead_letter.code,
        "config": stored.config,
        "attempts": stored.dead_letter.attempts,
        "outcome": preview.outcome,
        "sinks": list(preview.sinks),
        "code": preview.code or None,
        "reason": preview.reason or None,
        "pointer": preview.pointer or None,
    }
