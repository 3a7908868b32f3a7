"""``ualpipe status``: shows what a pipeline has fetched, delivered and set aside."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands._flaws import print_flaws
from ualpipe.pipeline.commands._status_table import rich_table
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.credentials.status import CertificateStatus, certificate_status
from ualpipe.pipeline.journal.opening import open_reader
from ualpipe.pipeline.journal.status import DriftStatus, Status
from ualpipe.pipeline.journal.types import StandingStill
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, visible
from ualpipe.schemas import read_csv

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 200  # columns, where there is no terminal to fit
TRANSIENT = timedelta(minutes=2)
"""What stands still for less has no part in the exit code: a service that throttles lets go within moments."""
MAX_PARTS = 3
"""Parts that are named of those that stand still for one reason."""
MAX_DRIFT = 20  # things that are new in the records, the newest


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 fine, 1 when something is dead-lettered, can't be mapped or stands still, or there is a gap."""
    config = load_for_use(args.config)
    clock = SystemClock()
    with closing(open_reader(config, clock)) as reader:
        status = reader.status(list(config.sinks), config.journal.dead_letters)
    found = {name: credential.certificate for name, credential in config.credentials.items() if credential.certificate}
    certificates = [certificate_status(name, certificate, clock.now()) for name, certificate in found.items()]
    status = dataclasses.replace(status, certificates=certificates)
    if args.json:
        print(json.dumps(status.as_dict(), indent=2))
    else:
        _print(config, status)
    is_moving = not status.stalled(clock.now() - TRANSIENT)
    is_fine = status.is_complete and is_moving and (config.accepts_unmappable or not status.unmappable)
    return EXIT_FINE if is_fine else EXIT_INCOMPLETE


def _print(config: PipelineConfig, status: Status) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed for JSON

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    size = f"{status.journal_bytes / (1 << 20):,.1f} MiB"
    console.print(visible(f"pipeline {config.pipeline}"), style="bold", markup=False, end="")
    _say(console, f"  journal {size} in {config.state_dir}")
    console.print()
    _print_streams(console, status)
    sinks = [(s.sink, s.delivered, s.filtered, s.dead, s.backlog, s.last_settled or "never") for s in status.sinks]
    console.print(rich_table("sink delivered filtered dead backlog last_settled", sinks))
    for text, style in _problems(config, status):
        _say(console, text, style)
    if status.flaws:
        print_flaws(console, status.flaws)
    if status.drift:
        _print_drift(console, status.drift)
    for gap in status.gaps:
        _say(console, f"gap: {gap.source} {gap.stream} from {gap.start} to {gap.end}: {gap.reason}", "red")
    if status.standing_still:
        _say(console, f"at a standstill: {counted(len(status.standing_still), 'part')} of the pipeline", "red")
    elif status.is_complete:
        whole = ("no dead letters, no gaps, no unmappable records", "green")
        _say(console, *(("no dead letters, no gaps",) if status.unmappable else whole))


def _by_reason(found: Sequence[StandingStill]) -> dict[str, list[StandingStill]]:
    """Returns what stands still by its reason: one expired secret is said once, not for each content type."""
    by_reason: dict[str, list[StandingStill]] = {}
    for one in found:
        by_reason.setdefault(one.reason, []).append(one)
    return by_reason


def _some(parts: Sequence[str]) -> str:
    shown = ", ".join(parts[:MAX_PARTS])
    return shown if len(parts) <= MAX_PARTS else f"{shown} and {len(parts) - MAX_PARTS} more"


def _say(console: Console, text: str, style: str = "") -> None:
    """Prints a line in which nothing is taken for markup, nor for anything that a terminal acts on."""
    console.print(visible(text), style=style, markup=False, soft_wrap=True)


def _print_streams(console: Console, status: Status) -> None:
    """Shows how far each stream is, and when what waits will have been fetched."""
    streams = [
        (
            s.source,
            s.stream,
            s.listed_until or "never",
            s.waiting,
            s.fetched,
            s.dead + s.gone,
            s.records,
            s.duplicates,
            s.conflicts,
        )
        for s in status.streams
    ]
    console.print(rich_table("source stream listed_until waiting fetched dead records duplicates conflicts", streams))
    for source in status.sources:
        if source.outlook:
            drops = f"; the first expires {source.first_expires}" if source.first_expires else ""
            _say(console, f"{source.source}: {source.outlook}{drops}")
            console.print()
    for found in status.duplicates:
        _say(console, f"duplicates of {found.tenant}: {counted(found.records, 'record')}, {found.cause}")


def _problems(config: PipelineConfig, status: Status) -> Iterator[tuple[str, str]]:
    """Yields what is wrong or will be, a line each with its style, and what to type about it."""
    for reason, stalled in _by_reason(status.standing_still).items():
        verb = "stands" if len(stalled) == 1 else "stand"
        yield f"{_some([one.part for one in stalled])} {verb} still since {min(one.since for one in stalled)}: {reason}", "red"
    for idle in status.idle_conditions:
        yield f"{idle.place} {idle.verdict}: {counted(idle.events, 'event')} since {idle.since}", ""
    for stream in status.streams:
        if stream.last_error:
            yield f"last error of {stream.source} {stream.stream}: {stream.last_error}", ""
    for certificate in status.certificates:
        yield f"certificate of {certificate.credential}: {_outlook(certificate)}", "red" if certificate.is_urgent else ""
    for code, count in status.dead_letters.items():
        yield f"{counted(count, 'dead letter')}: {code}  (ualpipe dead-letters list {config.path} --code {code})", "red"
    if status.set_back:
        yield status.set_back, "red"
    for text in status.beyond_limits:
        yield text, "red"


def _outlook(certificate: CertificateStatus) -> str:
    if certificate.days is None:
        return certificate.problem
    if certificate.days < 0:
        return f"has expired ({certificate.expires})"
    return f"expires in {counted(certificate.days, 'day') if certificate.days else 'less than a day'} ({certificate.expires})"


def _print_drift(console: Console, drift: Sequence[DriftStatus]) -> None:
    """Shows what is new in the records, newest first, the sources of each thing together."""
    things: dict[tuple[str, str, str], list[DriftStatus]] = {}
    for seen in drift:
        things.setdefault((seen.kind, seen.record_type, seen.name), []).append(seen)
    names = {row["id"]: row["name"] for row in read_csv("record_types.csv")}
    rows = [
        (
            kind.replace("_", " "),
            f"{number} {names.get(number, '')}".strip(),
            name,
            sum(seen.count for seen in found),
            ", ".join(sorted({seen.source for seen in found})),
            min(seen.first_seen or "" for seen in found),
            max(seen.last_seen or "" for seen in found),
        )
        for (kind, number, name), found in things.items()
    ]
    console.print(f"in the records, but not known to ualpipe: {counted(len(rows), 'thing')} (they are delivered all the same)")
    console.print(rich_table("what record_type name records source first_seen last_seen", rows[:MAX_DRIFT]))
    if len(rows) > MAX_DRIFT:
        console.print(f"{len(rows) - MAX_DRIFT:,} more; --json shows all of them\n")
