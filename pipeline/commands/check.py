"""``ualpipe check``: checks a pipeline file and the files it needs; ``--live`` tests login, permissions and destinations."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable

from ualpipe.pipeline.commands._file_findings import file_findings
from ualpipe.pipeline.commands._findings import Report
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.errors import PipelineError, close_quietly
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.observe.hooks import unexpected
from ualpipe.pipeline.stages import Finding, Sink, Source
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.stages import StageMaker
from ualpipe.pipeline.wording import visible

_log = logging.getLogger("ualpipe.check")


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 fine, 3 when something would refuse us."""
    config = load_for_use(args.config)
    log.set_up("warning", config.secrets, plain=True, libraries="error")  # what a client meets comes as a finding
    for warning in config.warnings:
        print(visible(f"warning: {warning}"), file=sys.stderr)
    maker = StageMaker.for_command(config)
    maker.open_transforms()
    counts = f"sources: {len(config.sources)}, transforms: {len(config.transforms)}, sinks: {len(config.sinks)}"
    print(visible(f"{args.config}: the config is fine ({counts})"))
    for weak in config.weakened:
        print(visible(f"weakened: {weak}"))
    report = Report()
    for place, finding in file_findings(config):
        report.show(place, [finding])
        if place != "state_dir" and finding.level == "error":
            report.note_broken_file(finding.subject)
    probe_stages(config, maker, report, is_live=args.live)
    return EXIT_REFUSED if report.has_error else EXIT_FINE


def probe_stages(config: PipelineConfig, maker: StageMaker, report: Report, *, is_live: bool = True) -> None:
    """Asks each source and sink, without ``is_live`` those alone that ask nobody, and prints what they say."""
    for spec in (*config.sources.values(), *config.sinks.values()):
        if is_live or getattr(spec.cls, "is_local", False):
            stage = maker.make(spec)
            found = (finding for finding in _findings(spec, stage) if is_live or finding.level != "ok")
            report.show(spec.name, found, getattr(stage, "tenant", ""))
    report.end()


def _findings(spec: StageSpec, stage: Source | Sink) -> Iterable[Finding]:
    try:
        yield from stage.check()
    except PipelineError as exc:
        yield Finding("error", spec.type, str(exc))
    except Exception as exc:  # noqa: BLE001 - a bug in one stage must not hide what the others have to say
        yield Finding("error", spec.type, unexpected(exc))
    finally:
        close_quietly(stage, _log)
