"""``ualpipe sentinel template``: prints what the sink ``sentinel`` needs in Azure, in the columns of a profile."""

from __future__ import annotations

import argparse
import sys

from ualpipe.pipeline import registry
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    sys.stdout.write(registry.load("templates", "sentinel")(args.profile, args.format))
    return EXIT_FINE
