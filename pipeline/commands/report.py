"""``ualpipe report``: answers a question out of a store of events, and says what the answer covers."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands._exports import exported_mailboxes
from ualpipe.pipeline.commands._stores import open_store
from ualpipe.pipeline.config.model import ReportsOptions
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.files import make_folder, replace_file
from ualpipe.pipeline.options import build
from ualpipe.pipeline.report.about import in_words
from ualpipe.pipeline.report.asking import asked_of
from ualpipe.pipeline.report.catalog import Catalog, Report
from ualpipe.pipeline.report.contract import Selection, Store
from ualpipe.pipeline.report.file_names import file_name
from ualpipe.pipeline.report.formats.all_formats import CSV, HTML, TABLE, WRITERS, format_of
from ualpipe.pipeline.report.formats.json_text import write_about
from ualpipe.pipeline.report.formats.table import write_table
from ualpipe.pipeline.report.period import parse_period, timezone_of
from ualpipe.pipeline.report.reference import listing, markdown
from ualpipe.pipeline.report.running import Answer, run_report
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, did_you_mean, visible


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 fine, 1 when a part of the store could not be read, or a report's files have defects."""
    if args.list:
        return _list(args)
    if not args.name or not args.store:
        raise ConfigError("name a report and a store: ualpipe report NAME STORE (`ualpipe report --list` names the reports)")
    with closing(open_store(args.store, args.sink)) as opened:
        options: ReportsOptions = opened.config.reports if opened.config else build(ReportsOptions, {}, Path())
        report = Catalog(args.reports or options.folder).report(args.name)
        if report.replaces:
            print(visible(f"{report.name}: yours, in the place of ours of the same name ({report.yaml_file})"), file=sys.stderr)
        return _write_all(args, report, options, opened.store)


def _list(args: argparse.Namespace) -> int:
    catalog = Catalog(args.reports)
    if args.markdown:
        sys.stdout.write(markdown(catalog))
        return EXIT_FINE
    defects = []
    for found in catalog.reports():
        if isinstance(found, ConfigError):
            defects.append(str(found))
        else:
            print(listing(found))
    for defect in defects:
        print(visible(defect, keeps_lines=True), file=sys.stderr)
    return EXIT_INCOMPLETE if defects else EXIT_FINE


# --- what is asked ---------------------------------------------------------------------------------------------------


def _write_all(args: argparse.Namespace, report: Report, options: ReportsOptions, store: Store) -> int:
    now = SystemClock().now()
    timezone = args.timezone or options.business_hours.timezone
    period = parse_period(args.since, args.until, timezone_of(timezone), now)
    target = _target(args)
    mailboxes = exported_mailboxes(args.mailboxes)
    codes = []
    for tenants in _tenants(args, store):
        selection = Selection(period.since, period.until, tenants, args.user.strip(), _workloads(args.workload))
        answer = run_report(report, store, asked_of(selection, options, timezone, now, mailboxes))
        target.write(answer)
        codes.append(_outcome(answer))
    if not codes:
        print("the store holds events of no tenant yet: nothing was written", file=sys.stderr)
    return max(codes, default=EXIT_INCOMPLETE)


def _outcome(answer: Answer) -> int:
    """Returns the exit code of an answer; says what is missing in it."""
    if not answer.unreadable:
        return EXIT_FINE
    first = answer.unreadable[0]
    files = counted(len(answer.unreadable), "file")
    print(visible(f"left out, as not readable: {files}; {first.path}: {first.reason}"), file=sys.stderr)
    return EXIT_INCOMPLETE


def _tenants(args: argparse.Namespace, store: Store) -> Iterator[Sequence[str]]:
    """Yields which tenants stand in a file together: all of them, or one each.

    Raises:
        ConfigError: The store knows nothing of a tenant that is named.
    """
    if not args.tenant and not args.each_tenant:
        yield ()
        return
    known = set(store.tenants()) | {one.tenant for one in store.coverage(Selection()).streams}
    wanted = sorted(known - {""}) if args.each_tenant else list(dict.fromkeys(name.strip().lower() for name in args.tenant))
    for name in wanted:
        if name not in known:
            raise ConfigError(f"--tenant: the store holds nothing of {name!r}{did_you_mean(name, sorted(known))}")
    for name in wanted:
        yield (name,)


def _workloads(texts: Sequence[str]) -> Sequence[str]:
    return [word for text in texts for name in text.split(",") if (word := name.strip())]


# --- where it goes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Target:
    """Where answers go.

    Attributes:
        format: A key of ``WRITERS``.
        path: A file or, with ``is_folder``, a folder; None for stdout.
        is_folder: Each answer gets a file of its own there.
    """

    format: str
    path: Path | None = None
    is_folder: bool = False

    def write(self, answer: Answer) -> None:
        if self.path is None:
            self._print(answer)
            return
        path = self.path / file_name(answer, self.format) if self.is_folder else self.path
        try:
            make_folder(path.parent)
            replace_file(path, "".join(WRITERS[self.format](answer)).encode())
            if self.format == CSV:
                replace_file(path.with_suffix(".about.json"), "".join(write_about(answer)).encode())
        except OSError as exc:
            raise ConfigError(f"--output {path}: can't be written: {exc.strerror}") from exc
        print(visible(f"{path}: {counted(len(answer.rows), 'row')}"), file=sys.stderr)

    def _print(self, answer: Answer) -> None:
        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if is_terminal else None
        if self.format == CSV:  # which has no place for it
            for said in in_words(answer):
                for line in said.lines:
                    print(f"{said.label}: {line}", file=sys.stderr)
        for part in write_table(answer, width) if self.format == TABLE else WRITERS[self.format](answer):
            sys.stdout.write(part)


def _target(args: argparse.Namespace) -> _Target:
    """Returns where answers go.

    Raises:
        ConfigError: Several answers would go into one file, or the file's name tells no format.
    """
    is_several = args.each_tenant or len(args.tenant) > 1
    if args.output is None:
        if is_several:
            raise ConfigError("several tenants have a file each: name a folder for them by --output FOLDER")
        return _Target(args.format or TABLE)
    path = Path(args.output)
    if is_several or args.output.endswith("/") or path.is_dir():
        if path.exists() and not path.is_dir():
            raise ConfigError(f"--output {path}: is a file; several tenants have a file each: name a folder")
        return _Target(args.format or HTML, path, is_folder=True)
    return _Target(args.format or format_of(path), path)
