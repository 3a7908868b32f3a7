"""``ualpipe backup``: copies the journal, also while a pipeline runs."""

from __future__ import annotations

import argparse

from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME
from ualpipe.pipeline.journal.sqlite.queries.backup import back_up
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when the copy is there and whole."""
    config = load_config(args.config)
    size = back_up(config.state_dir, args.to)
    journal = config.state_dir / FILE_NAME
    print(f"{args.to}: {size / (1 << 20):,.1f} MiB, checked; it holds audit records, readable for you alone")
    print(f"To restore: stop the pipeline, move {journal}, {journal}-wal and {journal}-shm aside, then cp {args.to} {journal}")
    return EXIT_FINE
