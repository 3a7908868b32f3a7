"""``ualpipe map``: audit records on stdin, in whatever holds them, to documents on stdout, one a line, in the same order."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TextIO

import orjson

from ualpipe.pipeline.commands._open_transforms import open_envelopes, open_stages
from ualpipe.pipeline.commands._said import Complaints
from ualpipe.pipeline.errors import ContentRefused, EventError
from ualpipe.pipeline.events import UNMAPPABLE, Event, Origin
from ualpipe.pipeline.explain.trace import as_error
from ualpipe.pipeline.process.transforming import events_of, flaw_of, run_transforms
from ualpipe.pipeline.reading import Envelopes, pieces_of
from ualpipe.pipeline.reading.blocks import READ_BYTES
from ualpipe.pipeline.reading.reader import chunk_of
from ualpipe.pipeline.records.chunk import Piece
from ualpipe.pipeline.stages import Apply
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted, visible_json

FILTERED = b"null"
"""Stands in the place of a document where a transform filtered the record."""


@dataclass(slots=True)
class Mapped:
    """What became of the input.

    Attributes:
        complaints: What could not be read or mapped, and why.
        records: How many pieces of the input were records.
        documents: Of how many of them a document was made.
        failed: How many records could not go on.
    """

    complaints: Complaints
    records: int = 0
    documents: int = 0
    failed: int = 0

    def summary(self) -> str:
        """Returns what became of the input, in one line."""
        unread = self.complaints.counts["not read"]
        counts = [counted(self.records, "record"), counted(self.documents, "document")]
        return ", ".join([*counts, f"{counted(unread, 'piece')} of the input that {'is' if unread == 1 else 'are'} no record"])


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when each record gave a document (or was filtered), 1 when one could not be read, mapped or go on."""
    transforms = [stage.apply for stage in open_stages(args.config)]
    mapped = map_records(sys.stdin.buffer, sys.stdout.buffer, transforms, open_envelopes(args.config))
    mapped.complaints.end()
    if mapped.failed:
        lines = "its line" if mapped.failed == 1 else "their lines"
        print(f"{counted(mapped.failed, 'record')} could not go on; see {lines}", file=sys.stderr)
    if not (mapped.failed or mapped.complaints.counts):
        return EXIT_FINE
    print(mapped.summary(), file=sys.stderr)
    return EXIT_INCOMPLETE


def map_records(
    records: BinaryIO, documents: BinaryIO, transforms: list[Apply], envelopes: Envelopes, said: TextIO | None = None
) -> Mapped:
    """Maps each record to one line, and so what can't be read.

    Args:
        records: Whatever holds audit records, as ``files`` reads it.
        documents: Takes a document a line, ``null`` for a filtered record, an ``error`` for one that could not go on.
        transforms: Run over each record, in order.
        envelopes: Those that records may stand in.
        said: Takes what could not be read or mapped; stderr by default.
    """
    mapped = Mapped(Complaints(said or sys.stderr))
    for pieces in _pieces(records, envelopes):
        for piece in pieces:
            if piece.defect:
                mapped.complaints.note("not read", piece.defect)
        for event in events_of(Origin("stdin", "", "stdin", "stdin", chunk_of(pieces))):
            line, is_fine = _document(event, transforms)
            mapped.records += event.defect is None
            mapped.documents += event.defect is None and is_fine and line != FILTERED
            documents.write(line if line.isascii() and b"\x7f" not in line else visible_json(line.decode()).encode())
            documents.write(b"\n")
            mapped.failed += not is_fine
            if is_fine and event.defect is None and event.violations:
                _complain(event, pieces[event.index].line, mapped.complaints)
        documents.flush()
    return mapped


def _complain(event: Event, line: int, complaints: Complaints) -> None:
    """Says where a record stands of which no usable document could be made, and why."""
    flaw = flaw_of(event)
    if flaw.kind in UNMAPPABLE:
        places = [f"line {line}" if line else "", f"Id {event.id}" if event.id else ""]
        complaints.note("not mapped", f"{', '.join(filter(None, places)) or 'a record'}: {flaw.reason}")


def _pieces(stream: BinaryIO, envelopes: Envelopes) -> Iterator[Sequence[Piece]]:
    """Yields the records that have arrived so far, so that a slow writer sees its answers at once."""
    blocks = iter(lambda: stream.read1(READ_BYTES), b"")  # type: ignore[attr-defined]
    try:
        yield from pieces_of(blocks, envelopes, is_patient=False)
    except ContentRefused as exc:
        yield [Piece(exc.body, str(exc))]


def _document(event: Event, transforms: list[Apply]) -> tuple[bytes, bool]:
    try:
        made = run_transforms(event, transforms)
    except EventError as exc:
        return orjson.dumps({"error": as_error(exc)}), False
    return FILTERED if made is None else made.encoded, True
