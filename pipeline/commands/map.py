"""``ualpipe map``: records on stdin, one a line, to documents on stdout, one a line, in the same order."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from ualpipe.pipeline import log, registry
from ualpipe.pipeline.budget import TokenBucket
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands import counted
from ualpipe.pipeline.config import load_config
from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.metrics import Metrics
from ualpipe.pipeline.options import build
from ualpipe.pipeline.prepared import Apply, events_of, run_transforms
from ualpipe.pipeline.records import Chunk, chunks_of_lines
from ualpipe.pipeline.runner import EXIT_FINE, EXIT_INCOMPLETE, Runner, open_transforms
from ualpipe.pipeline.stages import Env, Transform

READ_BYTES = 256 * 1024


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when each record gave a document (or was filtered), 1 when one could not go on."""
    transforms = _default_transforms() if args.config is None else _configured_transforms(args.config)
    failed = 0
    for chunk in _chunks(sys.stdin.buffer):
        for event in events_of(Origin("stdin", "", "stdin", "stdin", chunk)):
            line, is_fine = _document(event, transforms)
            sys.stdout.buffer.write(line + b"\n")
            failed += not is_fine
        sys.stdout.buffer.flush()
    if failed:
        print(f"{counted(failed, 'record')} could not go on; see {'its line' if failed == 1 else 'their lines'}", file=sys.stderr)
    return EXIT_INCOMPLETE if failed else EXIT_FINE


def _configured_transforms(path: Path) -> list[Apply]:
    config = load_config(path)
    log.set_up("warning", config.secrets)
    return [transform.apply for transform in open_transforms(config, Runner(config, once=True).env)]


def _default_transforms() -> list[Apply]:
    log.set_up("warning")
    return [_open_default(name).apply for name in ("validate", "ecs")]


def _open_default(name: str) -> Transform:
    clock = SystemClock()
    env = Env(name, clock, logging.getLogger(f"ualpipe.{name}"), Metrics(), TokenBucket(None, clock, threading.Event()))
    cls = registry.load("transforms", name)
    transform: Transform = cls(build(cls.Config, {}, Path()), env)
    transform.open()
    return transform


def _chunks(stream: BinaryIO) -> Iterator[Chunk]:
    """Yields what there is so far, so that a slow writer sees its answers at once."""
    rest = b""
    while part := stream.read1(READ_BYTES):  # type: ignore[attr-defined]
        *lines, rest = (rest + part).split(b"\n")
        yield from chunks_of_lines(lines)
    yield from chunks_of_lines([rest])


def _document(event: Event, transforms: list[Apply]) -> tuple[bytes, bool]:
    try:
        return (event.encoded if run_transforms(event, transforms) else b"null"), True
    except EventError as exc:
        error = {"code": type(exc).__name__, "message": str(exc), "pointer": getattr(exc, "pointer", "")}
        return orjson.dumps({"error": error}), False
