"""``ualpipe check``: checks a pipeline file and, with ``--live``, tests login, permissions and each destination."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.errors import PipelineError
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.stages import Finding
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.stages import StageMaker
from ualpipe.pipeline.wording import visible

_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 fine, 3 when something would refuse us."""
    config = load_config(args.config)
    log.set_up("warning", config.secrets)
    for warning in config.warnings:
        print(visible(f"warning: {warning}"), file=sys.stderr)
    maker = StageMaker.for_command(config)
    maker.open_transforms()
    counts = f"sources: {len(config.sources)}, transforms: {len(config.transforms)}, sinks: {len(config.sinks)}"
    print(visible(f"{args.config}: the config is fine ({counts})"))
    return _live(config, maker) if args.live else EXIT_FINE


def _live(config: PipelineConfig, maker: StageMaker) -> int:
    is_refused = False
    for spec in (*config.sources.values(), *config.sinks.values()):
        for finding in _findings(spec, maker):
            is_refused |= finding.level == "error"
            print(_MARKS[finding.level], visible(blanked(f" {spec.name}: {finding.subject}: {finding.message}")))
            if finding.action:
                print(f"           -> {visible(blanked(finding.action))}")
    return EXIT_REFUSED if is_refused else EXIT_FINE


def _findings(spec: StageSpec, maker: StageMaker) -> Iterable[Finding]:
    stage = maker.make(spec)
    try:
        yield from stage.check()
    except PipelineError as exc:
        yield Finding("error", spec.type, str(exc))
    finally:
        stage.close()
