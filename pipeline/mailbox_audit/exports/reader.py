"""Reads exports out of files of any kind, and turns their rows into what is known of mailboxes, accounts and the organisation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ualpipe.pipeline.mailbox_audit.exports import kinds
from ualpipe.pipeline.mailbox_audit.exports.clixml import rows_of_clixml
from ualpipe.pipeline.mailbox_audit.exports.csv_table import rows_of_csv
from ualpipe.pipeline.mailbox_audit.exports.json_rows import rows_of_json
from ualpipe.pipeline.mailbox_audit.exports.model import MOST_BYTES, MOST_ROWS, Notes, RawRow, UnreadableExport
from ualpipe.pipeline.mailbox_audit.exports.rows import Account, Cells, MailboxRow, account, mailbox_row
from ualpipe.pipeline.mailbox_audit.exports.text_list import is_text_list, rows_of_text_list
from ualpipe.pipeline.reading.blocks import READ_BYTES, peek
from ualpipe.pipeline.reading.encoding import in_utf8
from ualpipe.pipeline.reading.kinds import binary_kind
from ualpipe.pipeline.reading.lines import lines_of
from ualpipe.pipeline.reading.unpacking import Member, unpacked
from ualpipe.pipeline.wording import counted, shorten

_HEAD_BYTES = 64 * 1024
_BINARY_HEAD_BYTES = 512
_MARK = b"\xef\xbb\xbf"
_CLIXML_MARK = b"#< CLIXML"
_MOST_COLUMNS_SHOWN = 8


@dataclass(slots=True)
class Exports:
    """What exports tell.

    Attributes:
        mailboxes: Each row of ``Get-Mailbox`` or ``Get-EXOMailbox``.
        accounts: Each row of ``Get-MailboxAuditBypassAssociation``.
        is_audit_disabled: ``AuditDisabled`` of the organisation; None where no export tells it.
        is_unified_log_on: ``UnifiedAuditLogIngestionEnabled``; None where no export tells it.
        notes: What could not be read, and what was odd.
    """

    mailboxes: list[MailboxRow] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    is_audit_disabled: bool | None = None
    is_unified_log_on: bool | None = None
    notes: Notes = field(default_factory=Notes)


def read_exports(paths: Sequence[Path]) -> Exports:
    """Reads exports; what is wrong with one is noted with its file and line, and costs no other."""
    exports = Exports()
    for path in paths:
        try:
            with path.open("rb") as file:
                for member in unpacked(iter(lambda: file.read(READ_BYTES), b"")):
                    read_member(member, str(path), exports)
        except OSError as exc:
            exports.notes.add(str(path), 0, f"can't be read: {exc.strerror}", is_loss=True)
    return exports


def read_member(member: Member, path: str, exports: Exports) -> None:
    """Reads one file, or one of an archive, into what is known."""
    name = f"{path}/{member.name}" if member.name else path
    reading = _Reading(name, exports)
    try:
        for row in _rows(_bounded(member.blocks)):
            reading.take(row)
    except UnreadableExport as exc:
        exports.notes.add(name, exc.line, str(exc), is_loss=True)
    if member.damage.reason:
        exports.notes.add(name, 0, member.damage.reason, is_loss=True)
    reading.end()


def _bounded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > MOST_BYTES:
            raise UnreadableExport(f"longer than {MOST_BYTES >> 20} MiB: export fewer properties (--collect prints a script)")
        yield block


def _rows(blocks: Iterator[bytes]) -> Iterator[RawRow]:
    """Yields the objects of a file, in whatever format it is.

    Raises:
        UnreadableExport: It is none of them, or can't be read any further.
    """
    head, blocks = peek(blocks, _BINARY_HEAD_BYTES)
    if kind := binary_kind(head):
        raise UnreadableExport(kind)
    head, parts = peek(in_utf8(blocks), _HEAD_BYTES)
    begin = head.removeprefix(_MARK).lstrip(b" \t\r\n\0")
    if not begin:
        raise UnreadableExport("the file is empty")
    if begin.startswith(_CLIXML_MARK):
        parts = _behind_line(parts)
        begin = begin.partition(b"\n")[2].lstrip()
    if begin.startswith(b"<"):
        return rows_of_clixml(parts)
    if begin.startswith((b"[", b"{")):
        return rows_of_json(b"".join(parts).removeprefix(_MARK))
    if is_text_list(lines_of([begin])):
        return rows_of_text_list(_without_mark(lines_of(parts)))
    return rows_of_csv(_without_mark(lines_of(parts)))


def _behind_line(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yields text from its second line on, behind an empty one, so that lines keep their numbers."""
    head, parts = peek(parts, len(_CLIXML_MARK) * 4)
    yield head[head.find(b"\n") :]
    next(parts, None)
    yield from parts


def _without_mark(lines: Iterator[bytes]) -> Iterator[bytes]:
    first = next(lines, b"")
    return chain([first.removeprefix(_MARK)], lines)


class _Reading:
    """Takes the rows of one file."""

    def __init__(self, file: str, exports: Exports) -> None:
        self._file = file
        self._exports = exports
        self._kinds: dict[frozenset[str], kinds.Kind | None] = {}
        self._mailboxes: list[MailboxRow] = []
        self._count = 0

    def take(self, row: RawRow) -> None:
        """Takes a row.

        Raises:
            UnreadableExport: There are too many.
        """
        if row.defect:
            self._note(row.line, row.defect, is_loss=True)
            return
        self._count += 1
        if self._count > MOST_ROWS:
            raise UnreadableExport(f"more than {MOST_ROWS:,} objects: split the export", row.line)
        cells = Cells(row.values, self._file, row.line, self._exports.notes)
        match self._kind(row):
            case "mailboxes":
                self._mailboxes.append(mailbox_row(cells))
            case "bypasses":
                self._exports.accounts.append(account(cells))
            case "organisation":
                self._take_organisation(cells)
            case "unified log":
                self._take_unified_log(cells)

    def _kind(self, row: RawRow) -> kinds.Kind | None:
        columns = frozenset(row.values)
        if columns not in self._kinds:
            self._kinds[columns] = kind = kinds.kind_of(columns)
            if kind is None:
                shown = ", ".join(shorten(name, 40) for name in sorted(columns)[:_MOST_COLUMNS_SHOWN])
                self._note(row.line, f"columns of no export that is known here: {shown}", is_loss=True)
            elif kind == "mailboxes" and not columns & kinds.AUDIT_COLUMNS:
                self._note(row.line, _NO_AUDIT_COLUMNS, is_loss=True)
        return self._kinds[columns]

    def _take_organisation(self, cells: Cells) -> None:
        found = cells.truth("auditdisabled")
        if found is not None:
            self._exports.is_audit_disabled = found or bool(self._exports.is_audit_disabled)

    def _take_unified_log(self, cells: Cells) -> None:
        found = cells.truth("unifiedauditlogingestionenabled")
        if found is not None:
            self._exports.is_unified_log_on = found and self._exports.is_unified_log_on is not False

    def end(self) -> None:
        """Ends the file: columns that are empty in all its rows were not exported."""
        if not self._count and not self._exports.notes.has_loss:
            self._note(0, "no mailboxes, accounts or settings in it", is_loss=True)
        self._forget_blank_columns()
        self._exports.mailboxes.extend(self._mailboxes)

    def _forget_blank_columns(self) -> None:
        rows = self._mailboxes
        for logon in kinds.LIST_COLUMNS.values():
            blank = [row for row in rows if row.is_blank(logon)]
            if blank and len(blank) == len(rows) and not any(row.is_enabled is not None for row in rows):
                for row in blank:
                    row.forget(logon)
        unsaid = [row for row in rows if row.has_blank_truth]
        for row in unsaid:  # a boolean is never empty where it was exported, and its neighbours come with it
            row.forget_blanks()
        if unsaid:
            self._note(unsaid[0].line, f"AuditEnabled is empty in {counted(len(unsaid), 'row')}: {_NO_AUDIT_SET}")

    def _note(self, line: int, text: str, *, is_loss: bool = False) -> None:
        self._exports.notes.add(self._file, line, text, is_loss=is_loss)


_NO_AUDIT_SET = "Get-EXOMailbox tells audit settings only with -PropertySets Audit: what is empty counts as not exported"
_NO_AUDIT_COLUMNS = (
    "mailboxes without any audit column: Get-EXOMailbox needs -PropertySets Audit,Minimum (--collect prints a script)"
)
