"""Reads audit records out of bytes of any kind that may hold them, told by their content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from ualpipe.pipeline.errors import ContentRefused
from ualpipe.pipeline.reading.blocks import peek
from ualpipe.pipeline.reading.csv_export import layout_of, pieces_of_export
from ualpipe.pipeline.reading.encoding import in_utf8
from ualpipe.pipeline.reading.envelopes import Envelopes
from ualpipe.pipeline.reading.kinds import binary_kind, is_markup, text_kind
from ualpipe.pipeline.reading.lines import lines_of
from ualpipe.pipeline.reading.unpacking import Member, unpacked
from ualpipe.pipeline.reading.values import pieces_of_values
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces
from ualpipe.pipeline.records.cutting import CHUNK_BYTES, CHUNK_RECORDS
from ualpipe.pipeline.records.splitting import holds_object

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at to tell whether it holds records."""
MAX_KEPT_BYTES = 8 * 1024 * 1024
"""How much of what can't be read goes to the dead letter; the file itself stays where it is."""

_BINARY_HEAD_BYTES = 512
_BLANK_OR_MARK = b" \t\r\n\0\xef\xbb\xbf"
_JSON_BEGINS = (b"{", b"[", b'"{', b'"[')  # text in quotes may be JSON itself
_ROWS_TOGETHER = 256


def pieces_of(blocks: Iterable[bytes], envelopes: Envelopes, *, is_patient: bool = True) -> Iterator[list[Piece]]:
    """Yields the records in some bytes, and in the place of those that can't be read why that is so.

    Args:
        blocks: The bytes as they come.
        envelopes: Those that records may stand in.
        is_patient: Look at the beginning before anything is yielded, and refuse what holds no record there. Without, text that
            is no record is named line by line, as soon as it comes.

    Raises:
        ContentRefused: Nothing in it can be read, and it says what it is; or it is compressed and damaged: what came before that
            counts. Carries the bytes.
    """
    refused: list[tuple[Member, ContentRefused]] = []
    has_some = False
    for member in unpacked(blocks):
        try:
            for pieces in _pieces_of_member(member, envelopes, is_patient=is_patient):
                has_some = True
                yield [_named(piece, member) for piece in pieces] if member.name else pieces
        except ContentRefused as exc:
            refused.append((member, exc))
    if len(refused) == 1 and (not has_some or not refused[0][0].name):
        raise _with_name(*refused[0])
    if refused and not has_some:
        raise ContentRefused("; ".join(str(_with_name(*one)) for one in refused), b"")
    if refused:
        yield [Piece(exc.body, str(_with_name(member, exc))) for member, exc in refused]


def chunks_of(blocks: Iterable[bytes], envelopes: Envelopes) -> Iterator[Chunk]:
    """Yields the records in some bytes in chunks of bounded size; what can't be read stands in its place.

    Raises:
        ContentRefused: As for ``pieces_of``.
    """
    run: list[Piece] = []
    size = 0
    refusal: ContentRefused | None = None
    try:
        for piece in chain.from_iterable(pieces_of(blocks, envelopes)):
            run.append(piece)
            size += len(piece.body)
            if size >= CHUNK_BYTES or len(run) >= CHUNK_RECORDS:
                yield chunk_of(run)
                run, size = [], 0
    except ContentRefused as exc:
        refusal = exc
    if run:
        yield chunk_of(run)
    if refusal is not None:
        raise ContentRefused(str(refusal), refusal.body[:MAX_KEPT_BYTES])


def chunk_of(pieces: Sequence[Piece]) -> Chunk:
    """Returns pieces as a chunk, in the plainest framing that holds them."""
    if any(piece.defect for piece in pieces):
        return Chunk(packed_pieces(replace(piece, body=piece.body[:MAX_KEPT_BYTES]) for piece in pieces), "pieces")
    bodies = [piece.body for piece in pieces]
    if any(b"\n" in body for body in bodies):
        return Chunk(b"[" + b",".join(bodies) + b"]", "array")
    return Chunk(b"\n".join(bodies), "lines")


def first_defect(blocks: Iterable[bytes], envelopes: Envelopes) -> str:
    """Returns why nothing in the beginning of a file can be read, or what ends it; empty when it is fine."""
    defect, looked_at = "", 0
    try:
        for pieces in pieces_of(blocks, envelopes):
            if not looked_at and all(piece.defect for piece in pieces):
                defect = pieces[0].defect
            looked_at += len(pieces)
            if looked_at >= CHUNK_RECORDS:
                break
    except ContentRefused as exc:
        return str(exc)
    return defect


def _pieces_of_member(member: Member, envelopes: Envelopes, *, is_patient: bool) -> Iterator[list[Piece]]:
    """Yields what is in one file.

    Raises:
        ContentRefused: Nothing in it can be read; or it is damaged behind what was yielded.
    """
    head, blocks = peek(member.blocks, _BINARY_HEAD_BYTES if is_patient else 1)
    if kind := binary_kind(head):
        raise ContentRefused(kind, head)
    text, parts = _begin_of(in_utf8(blocks), is_patient=is_patient)
    if text.lstrip(_BLANK_OR_MARK) and not member.damage.reason:
        _refuse_other_text(text, envelopes)
    yield from _pieces_of_text(text, parts, envelopes)
    if member.damage.reason:
        raise ContentRefused(member.damage.reason, member.damage.rest)


def _begin_of(parts: Iterator[bytes], *, is_patient: bool) -> tuple[bytes, Iterator[bytes]]:
    """Returns the beginning of a text, and all of it; no more than tells that it is JSON where somebody waits for answers."""
    text, parts = peek(parts, HEAD_BYTES if is_patient else 1)
    while not (begin := text.lstrip(_BLANK_OR_MARK)) and len(text) < HEAD_BYTES:
        before = len(text)
        text, parts = peek(parts, before + 1)
        if len(text) == before:
            break
    if not is_patient and (not begin.startswith((b"{", b"[")) or _may_be_section(begin)):
        text, parts = peek(parts, HEAD_BYTES)
    return text[:HEAD_BYTES], parts


def _pieces_of_text(head: bytes, parts: Iterator[bytes], envelopes: Envelopes) -> Iterator[list[Piece]]:
    if not head.lstrip(_BLANK_OR_MARK).startswith((b"{", b"[")) and layout_of(lines_of([head]), envelopes):
        yield from _some_together(pieces_of_export(lines_of(parts), envelopes))
    else:
        yield from pieces_of_values(parts, envelopes)


def _some_together(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    run: list[Piece] = []
    for piece in pieces:
        run.append(piece)
        if len(run) >= _ROWS_TOGETHER:
            yield run
            run = []
    if run:
        yield run


def _refuse_other_text(text: bytes, envelopes: Envelopes) -> None:
    """Refuses text in whose beginning nothing is a record.

    Raises:
        ContentRefused: It is such.
    """
    begin = text.lstrip(_BLANK_OR_MARK)
    if begin.startswith(_JSON_BEGINS) and not _is_section(begin):
        return
    if holds_object(text) or (not is_markup(begin) and layout_of(lines_of([text]), envelopes)):
        return
    raise ContentRefused(text_kind(text), text[:MAX_KEPT_BYTES])


def _is_section(text: bytes) -> bool:
    """Tells whether text begins like JSON and is none: sections of configuration files."""
    return _may_be_section(text) and not holds_object(text)


def _may_be_section(text: bytes) -> bool:
    return text[:1] == b"[" and text[1:2].isalpha()


def _named(piece: Piece, member: Member) -> Piece:
    return replace(piece, defect=f"{member.name}: {piece.defect}") if piece.defect else piece


def _with_name(member: Member, error: ContentRefused) -> ContentRefused:
    return ContentRefused(f"{member.name}: {error}", error.body) if member.name else error
