"""What ``ualpipe check`` finds about files before a run does: missing or unreadable ones, and secrets that others can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.journal.opening import look_at_state_dir
from ualpipe.pipeline.options import FileRead, files_read
from ualpipe.pipeline.stages import Finding

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOOKED_AT_BYTES = 1 << 20
_KEY = b"PRIVATE KEY-----"

Place = str
"""Where in the config: ``state_dir``, ``sinks.siem.tls.ca_file``."""


def file_findings(config: PipelineConfig) -> Iterator[tuple[Place, Finding]]:
    """Yields what is wrong with the files that a pipeline needs; nothing where all is fine. Nothing is changed, nobody asked."""
    for finding in look_at_state_dir(config):
        yield "state_dir", finding
    for read in _named(config):
        yield from _about_named(read)
    for path in sorted(config.secret_files):
        yield from _about_secret("config", path)
    if config.secrets_in_clear and (mode := _mode_for_others(config.path)):
        names = ", ".join(config.secrets_in_clear)
        what = f"other users can read it (mode {mode:04o}), and it holds secrets in clear ({names})"
        yield (
            "config",
            Finding("warning", str(config.path), what, f"chmod 600 {config.path}, or write ${{file:PATH}} in their place"),
        )


def _named(config: PipelineConfig) -> Iterator[FileRead]:
    for name, credential in config.credentials.items():
        yield from files_read(credential, f"credentials.{name}.")
    for kind, specs in (("sources", config.sources), ("sinks", config.sinks)):
        for name, spec in specs.items():
            yield from files_read(spec.options, f"{kind}.{name}.")


def _about_named(read: FileRead) -> Iterator[tuple[Place, Finding]]:
    try:
        if not stat.S_ISREG(read.path.stat().st_mode):
            yield read.option, Finding("error", str(read.path), "is no file", "check the path")
            return
        with read.path.open("rb") as file:
            holds_key = read.is_private or _KEY in file.read(_LOOKED_AT_BYTES)
    except OSError as exc:
        action = (
            "check the path" if isinstance(exc, FileNotFoundError) else "check the path, and owner and permissions of the file"
        )
        yield read.option, Finding("error", str(read.path), f"can't be read: {exc.strerror}", action)
        return
    if holds_key:
        yield from _about_secret(read.option, read.path)


def _about_secret(place: Place, path: Path) -> Iterator[tuple[Place, Finding]]:
    if mode := _mode_for_others(path):
        what = f"other users can read this secret (mode {mode:04o})"
        yield place, Finding("warning", str(path), what, f"chmod 600 {path}")


def _mode_for_others(path: Path) -> int:
    """Returns the permissions of a file that others can read; 0 where they can't.

    A file of root's that a group of ours may read is how root lends a service a secret that the service can't change.
    """
    try:
        status = path.stat()
    except OSError:
        return 0
    is_lent = status.st_uid == 0 != os.geteuid() and status.st_gid in (os.getegid(), *os.getgroups())
    others = _OTHERS & ~stat.S_IRGRP if is_lent else _OTHERS
    return stat.S_IMODE(status.st_mode) if status.st_mode & others else 0
