"""``ualpipe backup``: copies the journal, also while a pipeline runs."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.files import exposures
from ualpipe.pipeline.journal.opening import open_reader
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE
from ualpipe.pipeline.wording import visible


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when the copy is there and whole."""
    config = load_for_use(args.config)
    with closing(open_reader(config, SystemClock())) as reader:
        backup = reader.back_up(args.to)
    for what, remedy in exposures(args.to.parent):
        print(visible(f"warning: {what}: {remedy}"), file=sys.stderr)
    print(f"{args.to}: {backup.bytes / (1 << 20):,.1f} MiB, checked; it holds audit records, readable for you alone")
    print(f"To restore: stop the pipeline, {backup.how_to_restore}")
    return EXIT_FINE
