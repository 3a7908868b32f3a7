"""``ualpipe replay``: sends stored records to a sink once more, through today's transforms."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import closing
from datetime import datetime

from ualpipe.pipeline.clock import Clock, SystemClock, format_epoch
from ualpipe.pipeline.commands._times import parse_time
from ualpipe.pipeline.commands.run import run_pipeline
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.errors import ConfigError, JournalInUse
from ualpipe.pipeline.journal.opening import open_changes, open_reader
from ualpipe.pipeline.journal.reading import JournalReader
from ualpipe.pipeline.journal.replay import Choice, Selection
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE
from ualpipe.pipeline.wording import counted, visible

LEFT = "A running pipeline has the journal and takes them within seconds; its transforms are those of its start."


def run(args: argparse.Namespace) -> int:
    """Runs the command; the exit code is that of a bounded run, 0 when there is nothing to send or a running pipeline does."""
    config, clock = load_for_use(args.config), SystemClock()
    _check_sink(config, args.sink)
    with closing(open_reader(config, clock)) as reader, closing(open_changes(config, clock)) as changes:
        is_alone = changes.own()
        choice = reader.choose(args.sink, _selection(args, config, reader, clock), is_alone=is_alone)
        _say(args, choice, reader.waiting_besides(args.sink, choice))
        if args.dry_run or not choice.batches:
            return EXIT_FINE
        changes.send_again(args.sink, choice, sorted(_others(config, args.sink)))
    if not is_alone:
        print(LEFT)
        return EXIT_FINE
    return _deliver(args, config)


def _check_sink(config: PipelineConfig, sink: str) -> None:
    if sink in config.disabled_sinks:
        raise ConfigError(f"--sink: {sink} is switched off (enabled: false); switch it on first")
    if sink not in config.sinks:
        raise ConfigError(f"--sink: there is no sink {sink} in {config.path}, only {', '.join(config.sinks)}")


def _others(config: PipelineConfig, sink: str) -> frozenset[str]:
    return (frozenset(config.sinks) | config.disabled_sinks) - {sink}


def _selection(args: argparse.Namespace, config: PipelineConfig, reader: JournalReader, clock: Clock) -> Selection:
    now = clock.now()
    since, until = _instant("--since", args.since, now), _instant("--until", args.until, now)
    if since is not None and until is not None and since >= until:
        raise ConfigError("--since has to be before --until")
    known = reader.sources() | set(config.sources)
    if args.source is not None and args.source not in known:
        raise ConfigError(f"--source: there is no source {args.source}, only {', '.join(sorted(known))}")
    return Selection(since, until, args.source)


def _instant(option: str, text: str | None, now: datetime) -> float | None:
    return None if text is None else parse_time(option, text, now).timestamp()


def _say(args: argparse.Namespace, choice: Choice, besides: int) -> None:
    verb = "would go" if args.dry_run else "go" if len(choice.batches) != 1 else "goes"
    what = f"{counted(len(choice.batches), 'batch', 'batches')} with {counted(choice.records, 'record')}"
    times = [batch.stored_at for batch in choice.batches]
    when = f", received from {format_epoch(min(times))} to {format_epoch(max(times))}" if times else ""
    print(visible(f"{what}{when}, {verb} to {args.sink}"), flush=True)
    if besides:
        print(f"{counted(besides, 'batch', 'batches')} that {args.sink} has not got yet, besides: deliveries never skip these")
    if choice.under_way:
        print(f"{counted(len(choice.under_way), 'batch', 'batches')} left out, as they are just on their way to {args.sink}")


def _deliver(args: argparse.Namespace, config: PipelineConfig) -> int:
    """Delivers to this sink alone; nothing is fetched, and what other sinks still need is kept."""
    bounded = dataclasses.replace(
        config,
        sources={},
        sinks={args.sink: config.sinks[args.sink]},
        disabled_sinks=_others(config, args.sink),
    )
    try:
        return run_pipeline(bounded, args, once=True)
    except JournalInUse:
        print(LEFT)  # a pipeline has started at this moment
        return EXIT_FINE
