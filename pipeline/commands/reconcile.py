"""``ualpipe reconcile``: lists again what sources still have, compares it with the journal, and fetches what is missing."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime

from ualpipe.pipeline.clock import Clock, SystemClock
from ualpipe.pipeline.commands._reconcile_report import Report, View
from ualpipe.pipeline.commands._times import parse_time
from ualpipe.pipeline.commands.run import run_pipeline
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.errors import ConfigError, JournalInUse
from ualpipe.pipeline.journal.opening import open_changes, open_reader
from ualpipe.pipeline.journal.reading import JournalChanges, JournalReader
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.reconcile.compare import Comparison, KnownItem, ListedItem, Period, compare
from ualpipe.pipeline.reconcile.relist import StreamListing, relist
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.stages import Source
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.stages import StageMaker

ROUNDS = 2
"""Runs at most: what was lost from the journal is fetched in the first and sent in the second."""


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when nothing is missing, 1 when something is, 3 when a source or sink refuses us for good."""
    config, clock = load_for_use(args.config), SystemClock()
    log.set_up(args.log_level, config.secrets)
    since = parse_time("--since", args.since, clock.now())
    if since >= clock.now():
        raise ConfigError(f"--since: {args.since} is in the future")
    view = View(config.pipeline, is_json=args.json, is_folded=not args.hours)
    engine = None if args.dry_run else lambda: run_pipeline(config, args, once=True)
    return reconcile(config, since, clock, view, engine)


def reconcile(config: PipelineConfig, since: datetime, clock: Clock, view: View, engine: Callable[[], int] | None) -> int:
    """Compares a new listing with the journal, mends what is missing, and compares again.

    Args:
        config: A checked config.
        since: How far back sources list.
        clock: The machine's clock, but for tests.
        view: Shows each comparison.
        engine: Runs the pipeline until all is done and returns its exit code; None to compare only.

    Returns:
        The exit code, see ``run``.

    Raises:
        JournalError: There is no journal, or a running pipeline has it and something was to be mended.
    """
    reconciliation = _Reconciliation(config, since, clock)
    code = EXIT_FINE
    with closing(open_reader(config, clock)) as reader, closing(open_changes(config, clock)) as changes:
        if engine is not None and not changes.own():
            raise JournalInUse(_in_use(config))
        reconciliation.list_again(reader)
        view.show(reconciliation.report(is_final=engine is None))
    for number in range(ROUNDS if engine is not None else 0):
        if not reconciliation.comparison.missing or (number and not reconciliation.is_to_be_sent):
            break
        with closing(open_changes(config, clock)) as changes:
            reconciliation.mend(changes)
        code = max(code, engine()) if engine is not None else code
        with closing(open_reader(config, clock)) as reader:
            reconciliation.compare(reader)
    if engine is not None:
        view.show(reconciliation.report(is_final=True))
    return reconciliation.exit_code(code)


class _Reconciliation:
    """What was listed, and how the journal compares with it now."""

    def __init__(self, config: PipelineConfig, since: datetime, clock: Clock) -> None:
        self.comparison = Comparison((), ())
        self._config = config
        self._since = since
        self._clock = clock
        self._relisted: Sequence[StreamListing] = ()
        self._entries: Sequence[KnownItem] = ()
        self._forgotten_before: datetime | None = None

    @property
    def is_to_be_sent(self) -> bool:
        """Whether something that the journal had lost was fetched once more and waits to be sent."""
        return any(entry.is_refetched for entry in self._entries)

    def list_again(self, reader: JournalReader) -> None:
        """Lists what sources still have, and compares it with the journal."""
        stop = threading.Event()
        self._relisted = relist(_sources(self._config, self._clock, stop), self._since, self._clock, stop)
        self.compare(reader)

    def compare(self, reader: JournalReader) -> None:
        """Compares what was listed with the journal as it is now."""
        now = self._clock.now().timestamp()
        period = Period(self._since.timestamp(), now)
        sinks = list(self._config.sinks)
        listed = [
            ListedItem(one.source, one.tenant, one.stream, item.key, item.created.timestamp() if item.created else now)
            for one in self._relisted
            for item in one.items.values()
        ]
        self._forgotten_before = reader.forgotten_before()
        self._entries = reader.known_items(period.start, [item.place for item in listed], sinks)
        self.comparison = compare(listed, self._entries, reader.gaps(period), sinks, period)

    def mend(self, changes: JournalChanges) -> None:
        """Enters in the ledger what is not there, and makes what is missing due at once."""
        for one in self._relisted:
            changes.enter(one.source, one.tenant, one.items.values())
        changes.heal(self._entries)

    def report(self, *, is_final: bool) -> Report:
        """Returns the comparison as a report."""
        sinks, until = list(self._config.sinks), self._clock.now()
        return Report(self._since, until, sinks, self._relisted, self.comparison, is_final, self._forgotten_before)

    def exit_code(self, engine: int) -> int:
        """Returns the exit code of the command, given that of the engine."""
        if EXIT_REFUSED in (engine, *(EXIT_REFUSED for one in self._relisted if one.is_denied)):
            return EXIT_REFUSED
        is_unsure = any(one.error for one in self._relisted)
        return EXIT_INCOMPLETE if engine or is_unsure or not self.comparison.is_complete else EXIT_FINE


def _sources(config: PipelineConfig, clock: Clock, stop: threading.Event) -> dict[str, Source]:
    """Makes the sources; their budgets end with ``stop``."""
    maker = StageMaker.for_command(config, context=RunContext(once=True, clock=clock, stop=stop))
    return {name: maker.make(spec) for name, spec in config.sources.items()}


def _in_use(config: PipelineConfig) -> str:
    return (
        f"{config.state_dir} is in use by a running pipeline, which heals by itself what its listings reach back to (`lookback`)."
        " `ualpipe reconcile --dry-run` compares beside it. To fetch what is missing from before that, stop the pipeline,"
        " reconcile, and start it again."
    )
