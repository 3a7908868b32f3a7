"""Tells by their first bytes what files are that hold no audit records, and what to do about it."""

from __future__ import annotations

import re

_OFFICE = (b"xl/", b"word/", b"ppt/", b"[Content_Types].xml", b"docProps/")
_SHOWN = 40
_LOOKED_AT = 512
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1d\x1f]")

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook or another Office file of the old kind: save the sheet as CSV"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
    (0, b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
    (0, b"%PDF", "a PDF file"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet file: export as CSV or JSON"),
    (0, b"Obj\x01", "an Avro file, as Event Hubs Capture writes them: export as JSON"),
    (0, b"ElfFile\0", "a Windows event log"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"!BDN", "an Outlook data file"),
    (0, b"\x04\x22\x4d\x18", "compressed with LZ4: unpack it"),
)
_TEXT_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page: is it what a proxy or a login page answered?"),
    (b"<html", "an HTML page: is it what a proxy or a login page answered?"),
    (b"#< clixml", "CLIXML of PowerShell: export with ConvertTo-Json -Depth 100"),
    (b"<objs ", "CLIXML of PowerShell: export with ConvertTo-Json -Depth 100"),
    (b"<?xml", "XML: export as CSV or JSON"),
    (b"<", "XML or HTML: export as CSV or JSON"),
)
_WORKBOOK = "an Excel workbook: save the sheet as CSV UTF-8, or better take the export as it was downloaded"


def binary_kind(head: bytes) -> str:
    """Returns what some bytes are the beginning of, in words; empty where they may hold records."""
    for offset, magic, words in _MAGIC:
        if head.startswith(magic, offset):
            return words
    if head.startswith(b"PK\x03\x04") and any(name in head for name in _OFFICE):
        return _WORKBOOK
    return ""


def text_kind(text: bytes) -> str:
    """Returns what text is that is neither JSON nor an export, in words."""
    begin = text.lstrip(b" \t\r\n").lower()
    found = next((words for magic, words in _TEXT_MAGIC if begin.startswith(magic)), "")
    if found:
        return found
    shown = text.strip().split(b"\n", 1)[0][:_SHOWN].decode("utf-8", "replace")
    if _CONTROL.search(text[:_LOOKED_AT]):
        return f"binary data of no kind that is known here: it begins with {shown!a}"
    return f"neither JSON nor an export of an audit search (CSV with a column AuditData, say): it begins with {shown!r}"


def is_markup(text: bytes) -> bool:
    """Tells whether text is XML or HTML."""
    return text.lstrip(b" \t\r\n").startswith((b"<", b"#< CLIXML"))
