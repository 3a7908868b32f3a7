"""``ualpipe mailbox-audit``: judges mailboxes by what Exchange Online exports of them, and writes the script that mends them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ualpipe.pipeline.commands._exports import exported_tenant
from ualpipe.pipeline.commands._mailbox_feed import seen_in
from ualpipe.pipeline.commands._mailbox_table import print_table
from ualpipe.pipeline.commands._stores import open_store, warn_of_unreadable
from ualpipe.pipeline.commands._times import parse_time
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.files import PRIVATE, replace_file
from ualpipe.pipeline.mailbox_audit.feed import Feed, cross
from ualpipe.pipeline.mailbox_audit.judging import Verdict, judge
from ualpipe.pipeline.mailbox_audit.output import csv_text, json_text, page
from ualpipe.pipeline.mailbox_audit.profiles import load_profile
from ualpipe.pipeline.mailbox_audit.report import Report, by_severity
from ualpipe.pipeline.mailbox_audit.scripts import collect_script, fix_script
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, visible

_MOST_LEFT_OUT = 10
_FORMATS: dict[str, Callable[[Report], str]] = {"json": json_text, "csv": csv_text, "html": page}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # without it Windows PowerShell 5.1 reads UTF-8 as Windows-1252


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when every mailbox is complete, 1 when one is not or something could not be read.

    Raises:
        ConfigError: No mailbox could be read, or the command line is wrong.
    """
    if args.collect:
        print(collect_script(), end="")
        return EXIT_FINE
    report, damaged = _report(args)
    for note in report.tenant.notes:
        print(visible(blanked(str(note))), file=sys.stderr)
    if not report.verdicts:
        raise ConfigError("no mailbox could be read: export them as `ualpipe mailbox-audit --collect` prints it")
    _write(args, report)
    if args.fix is not None:
        _write_fix(args.fix, report)
    return EXIT_FINE if report.is_fine and not damaged else EXIT_INCOMPLETE


def _report(args: argparse.Namespace) -> tuple[Report, int]:
    """Returns the report, and how much of the store could not be read."""
    if not args.exports:
        raise ConfigError("name the exports to read, or --collect for the script that makes them")
    profile, now = load_profile(args.profile), datetime.now(UTC)
    tenant = exported_tenant(args.exports)
    verdicts = judge(tenant, profile, args.licence)
    feed, damaged = _feed(args, verdicts, now) if args.store else (None, 0)
    return Report(tenant, profile, args.licence, by_severity(verdicts), feed, now, version("ualpipe")), damaged


def _feed(args: argparse.Namespace, verdicts: Sequence[Verdict], now: datetime) -> tuple[Feed, int]:
    since = parse_time("--since", args.since, now) if args.since else None
    with closing(open_store(args.store, args.sink)) as opened:
        seen, period = seen_in(opened.store, args.tenant, since, now)
        return cross(verdicts, seen, period), warn_of_unreadable(opened.store)


def _write(args: argparse.Namespace, report: Report) -> None:
    form = args.format or _form_of(args.output)
    if form == "table":
        if args.output is not None:
            raise ConfigError("--output: a table is for terminals: name another --format (csv, json, html)")
        print_table(report, shows_all=args.all)
        return
    text = _FORMATS[form](report)
    if args.output is None:
        sys.stdout.write(text)
    else:
        _save(args.output, text.encode("utf-8", "replace"), "--output")


def _form_of(path: Path | None) -> str:
    """Returns the format that the name of a file says; a table where none is written."""
    if path is None:
        return "table"
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise ConfigError(f"--output: {path.name} says no format: name --format csv, json or html")
    return suffix


def _write_fix(path: Path, report: Report) -> None:
    script = fix_script(report.tenant, report.verdicts, report.profile)
    _save(path, _BYTE_ORDER_MARK + script.content.encode("utf-8", "replace"), "--fix")
    said = f"{path}: mends {counted(script.mailboxes, 'mailbox', 'mailboxes')}; run it with -WhatIf first"
    print(visible(said), file=sys.stderr)
    if script.left_out:
        names = ", ".join(script.left_out[:_MOST_LEFT_OUT])
        more = f" and {len(script.left_out) - _MOST_LEFT_OUT:,} more" if len(script.left_out) > _MOST_LEFT_OUT else ""
        print(visible(f"left out, as no export has their Guid: {names}{more}"), file=sys.stderr)


def _save(path: Path, content: bytes, option: str) -> None:
    """Writes a file whole or not at all.

    Raises:
        ConfigError: It can't be written.
    """
    try:
        replace_file(path, content, PRIVATE)
    except OSError as exc:
        raise ConfigError(f"{option}: {path}: {exc.strerror}") from None
