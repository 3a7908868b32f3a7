"""``ualpipe check``: checks a pipeline file and the files it needs; ``--live`` tests login, permissions and destinations."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable

from ualpipe.pipeline.commands._file_findings import file_findings
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig, StageSpec
from ualpipe.pipeline.errors import PipelineError, close_quietly
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.observe.hooks import unexpected
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.stages import Finding
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_REFUSED
from ualpipe.pipeline.supervisor.stages import StageMaker
from ualpipe.pipeline.wording import visible

_log = logging.getLogger("ualpipe.check")
_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 fine, 3 when something would refuse us."""
    config = load_for_use(args.config)
    log.set_up("warning", config.secrets)
    for warning in config.warnings:
        print(visible(f"warning: {warning}"), file=sys.stderr)
    maker = StageMaker.for_command(config)
    maker.open_transforms()
    counts = f"sources: {len(config.sources)}, transforms: {len(config.transforms)}, sinks: {len(config.sinks)}"
    print(visible(f"{args.config}: the config is fine ({counts})"))
    for weak in config.weakened:
        print(visible(f"weakened: {weak}"))
    is_refused = _show(file_findings(config))
    is_refused |= probe_stages(config, maker, is_live=args.live)
    return EXIT_REFUSED if is_refused else EXIT_FINE


def probe_stages(config: PipelineConfig, maker: StageMaker, *, is_live: bool = True) -> bool:
    """Asks each source and sink, without ``is_live`` those alone that ask nobody, and prints what they say.

    Returns:
        Whether something would refuse us.
    """
    is_refused = False
    for spec in (*config.sources.values(), *config.sinks.values()):
        if is_live or getattr(spec.cls, "is_local", False):
            found = ((spec.name, finding) for finding in _findings(spec, maker) if is_live or finding.level != "ok")
            is_refused |= _show(found)
    return is_refused


def _show(findings: Iterable[tuple[str, Finding]]) -> bool:
    """Prints findings, each with its place in the config; returns whether one is an error."""
    has_error = False
    for place, finding in findings:
        has_error |= finding.level == "error"
        print(_MARKS[finding.level], visible(blanked(f" {place}: {finding.subject}: {finding.message}")))
        if finding.action:
            print(f"           -> {visible(blanked(finding.action))}")
    return has_error


def _findings(spec: StageSpec, maker: StageMaker) -> Iterable[Finding]:
    stage = maker.make(spec)
    try:
        yield from stage.check()
    except PipelineError as exc:
        yield Finding("error", spec.type, str(exc))
    except Exception as exc:  # noqa: BLE001 - a bug in one stage must not hide what the others have to say
        yield Finding("error", spec.type, unexpected(exc))
    finally:
        close_quietly(stage, _log)
