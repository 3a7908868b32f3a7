"""``ualpipe archive erase``: removes all events of one tenant from an archive, also beside a running pipeline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TextIO

from ualpipe.pipeline import registry
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, visible

_TYPE = "archive"


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when the tenant is gone, 1 when whoever was asked said no, or the disk refused it."""
    folder = _folder(args.place)
    eraser = registry.load("erasers", _TYPE)(folder)
    found = eraser.find(args.tenant)
    what = f"{counted(found.events, 'event')} in {counted(found.files, 'file')}"
    if found.unreadable:
        what += f", {found.unreadable} of which can't be read"
    print(visible(f"{folder}: tenant {args.tenant} has {what}"))
    if not (args.yes or _is_confirmed(sys.stdin)):
        print("nothing was removed")
        return EXIT_INCOMPLETE
    try:
        removed = eraser.erase(args.tenant)
    except OSError as exc:
        print(visible(f"not all was removed: {exc.filename}: {exc.strerror}: run it again"), file=sys.stderr)
        return EXIT_INCOMPLETE
    print(f"removed {counted(removed, 'file')}; what a pipeline delivers from now on is kept again")
    return EXIT_FINE


def _folder(place: Path) -> Path:
    """Returns the folder of an archive: the place itself, or that of the config that it is.

    Raises:
        ConfigError: There is no such place, or the config has no archive, or several.
    """
    if place.is_dir():
        return place
    if not place.exists():
        raise ConfigError(f"{place}: there is no such folder or file: name the folder of an archive, or a config with one")
    config = load_for_use(place)
    folders = [spec.options.path for spec in config.sinks.values() if spec.type == _TYPE]
    if len(folders) != 1:
        named = ", ".join(map(str, folders)) or "no sink of type archive"
        raise ConfigError(f"{place}: a config with one archive is needed, and this has {named}: name the archive's folder")
    found: Path = folders[0]
    return found


def _is_confirmed(terminal: TextIO) -> bool:
    """Asks whether all is to be removed.

    Raises:
        ConfigError: There is nobody to ask.
    """
    if not terminal.isatty():
        raise ConfigError("nobody can be asked here whether all of it is to be removed: say so by --yes")
    return input("Remove all of it? It can't be brought back. [y/N] ").strip().lower() in ("y", "yes")
