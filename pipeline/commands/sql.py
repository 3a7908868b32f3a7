"""``ualpipe sql schema``: prints what the sink ``sql`` needs in a database, or what brings older tables up to date."""

from __future__ import annotations

import argparse
import sys

from ualpipe.pipeline import registry
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    sys.stdout.write(registry.load("templates", "sql")(args.name, args.since))
    return EXIT_FINE
