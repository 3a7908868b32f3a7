"""``ualpipe map``: records on stdin, one a line, to documents on stdout, one a line, in the same order."""

from __future__ import annotations

import argparse
import codecs
import sys
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from ualpipe.pipeline.commands._open_transforms import open_stages
from ualpipe.pipeline.errors import EventError
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.explain.trace import as_error
from ualpipe.pipeline.process.transforming import events_of, run_transforms
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.cutting import chunks_of_lines
from ualpipe.pipeline.stages import Apply
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted

READ_BYTES = 256 * 1024


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when each record gave a document (or was filtered), 1 when one could not go on."""
    transforms = [stage.apply for stage in open_stages(args.config)]
    failed = map_lines(sys.stdin.buffer, sys.stdout.buffer, transforms)
    if failed:
        print(f"{counted(failed, 'record')} could not go on; see {'its line' if failed == 1 else 'their lines'}", file=sys.stderr)
    return EXIT_INCOMPLETE if failed else EXIT_FINE


def map_lines(records: BinaryIO, documents: BinaryIO, transforms: list[Apply]) -> int:
    """Maps each line that is not blank to one line; returns how many records could not go on.

    Args:
        records: One a line, with or without a byte order mark before the first.
        documents: Takes a document a line, ``null`` for a filtered record, an ``error`` for one that could not go on.
        transforms: Run over each record, in order.
    """
    failed = 0
    for chunk in _chunks(records):
        for event in events_of(Origin("stdin", "", "stdin", "stdin", chunk)):
            line, is_fine = _document(event, transforms)
            documents.write(line + b"\n")
            failed += not is_fine
        documents.flush()
    return failed


def _chunks(stream: BinaryIO) -> Iterator[Chunk]:
    """Yields the lines that have arrived so far as chunks, so that a slow writer sees its answers at once."""
    rest, mark = b"", codecs.BOM_UTF8
    while part := stream.read1(READ_BYTES):  # type: ignore[attr-defined]
        *lines, rest = (rest + part).removeprefix(mark).split(b"\n")
        mark = b"" if lines else mark
        yield from chunks_of_lines(lines)
    yield from chunks_of_lines([rest])


def _document(event: Event, transforms: list[Apply]) -> tuple[bytes, bool]:
    try:
        made = run_transforms(event, transforms)
    except EventError as exc:
        return orjson.dumps({"error": as_error(exc)}), False
    return b"null" if made is None else made.encoded, True
