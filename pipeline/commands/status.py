"""``ualpipe status``: shows what a pipeline has fetched, delivered and set aside, whether it runs, and what is wrong with it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Collection
from contextlib import closing
from datetime import datetime
from importlib.metadata import version
from typing import Any

from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands._problems import Problem, age_s, as_dicts, find_problems, stale_streams
from ualpipe.pipeline.commands._scheduled_reports import report_data, report_problems
from ualpipe.pipeline.commands._status_view import StatusView, make_console
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.credentials.status import certificate_status
from ualpipe.pipeline.journal.opening import open_reader
from ualpipe.pipeline.journal.status import Status
from ualpipe.pipeline.report.schedule import ScheduledReport, scheduled
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.supervisor.stages import StageMaker


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 fine, 1 when something of ``find_problems`` counts as a failure."""
    config = load_for_use(args.config)
    clock = SystemClock()
    with closing(open_reader(config, clock)) as reader:
        status = reader.status(list(config.sinks), config.journal.dead_letters)
    now = clock.now()
    found = {name: credential.certificate for name, credential in config.credentials.items() if credential.certificate}
    certificates = [certificate_status(name, certificate, now) for name, certificate in found.items()]
    status = dataclasses.replace(status, certificates=certificates)
    current = _current_streams(config)
    stale = stale_streams(config, status, current, now)
    reports = scheduled(config.reports, config.state_dir, now)
    problems = [*find_problems(config, status, stale, now), *report_problems(config, reports)]
    names = [(one.source, one.stream) for one in stale]
    if args.json:
        print(json.dumps(_as_dict(status, problems, names, reports, now), indent=2))
    else:
        view = StatusView(make_console(), config, status, problems, current, names, now, version("ualpipe"), reports)
        view.print_problems() if args.problems else view.print_all(by_stream=args.streams)
    return EXIT_INCOMPLETE if any(problem.is_failure for problem in problems) else EXIT_FINE


def _current_streams(config: PipelineConfig) -> list[tuple[str, str]]:
    """Returns source and stream of what the pipeline lists now: the journal knows those of earlier configs, too."""
    maker = StageMaker.for_command(config)
    return [(name, stream) for name, spec in config.sources.items() for stream in maker.make(spec).streams()]


def _as_dict(
    status: Status,
    problems: Collection[Problem],
    stale: Collection[tuple[str, str]],
    reports: Collection[ScheduledReport],
    now: datetime,
) -> dict[str, Any]:
    found = status.as_dict()
    found["run"]["release"] = version("ualpipe")
    for shown, stream in zip(found["streams"], status.streams, strict=True):
        age = age_s(stream, now)
        shown["listed_age_s"] = None if age is None else round(age)
        shown["is_stale"] = (stream.source, stream.stream) in stale
    found["reports"] = report_data(reports)
    found["problems"] = as_dicts(problems)
    return found
