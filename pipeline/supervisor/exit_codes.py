"""The exit codes of ``ualpipe``."""

from __future__ import annotations

EXIT_FINE = 0
EXIT_INCOMPLETE = 1
"""Something is dead-lettered, could not be mapped or was left undone, a gap opened, or the command could not do its work."""
EXIT_USAGE = 2
"""The config, the journal or the command line is not in order: nothing was done."""
EXIT_REFUSED = 3
"""A source or a sink refuses us until somebody mends credentials or rights."""
EXIT_INTERRUPTED = 130
"""Ended from the keyboard: 128 and the number of SIGINT, as shells count."""
