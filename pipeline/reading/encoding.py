"""Brings text to UTF-8: told by its mark, by where its zeros stand, or by what is no UTF-8; also where files were joined."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from ualpipe.pipeline.reading.blocks import peek

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Without a mark, where the zeros of each character in the head stand; those of two may be stray zeros between lines of UTF-8.
_ZEROS = (
    (re.compile(rb"[^\0]\0\0\0[^\0]\0\0\0", re.DOTALL), "utf-32-le"),
    (re.compile(rb"\0\0\0[^\0]\0\0\0[^\0]", re.DOTALL), "utf-32-be"),
    (re.compile(rb"(?:[^\0]\0){4}|(?:[^\0]\0){2,3}.?\Z", re.DOTALL), "utf-16-le"),
    (re.compile(rb"(?:\0[^\0]){4}|(?:\0[^\0]){2,3}.?\Z", re.DOTALL), "utf-16-be"),
)
_HEAD_BYTES = 8
_LONGEST_LINE = 1024 * 1024
_SEVERAL_BYTES = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")

# Where another file was joined on: marks that can't stand in the text before them.
_IN_UTF8 = re.compile(rb"\xff\xfe|\xfe\xff")
_IN_UTF16 = {
    "utf-16-le": re.compile(rb"\xef\xbb\xbf(?=[\x20-\x7e][\t\r\n\x20-\x7e])|\xfe\xff(?=\0[\x20-\x7e])"),
    "utf-16-be": re.compile(rb"\xef\xbb\xbf(?=[\x20-\x7e][\t\r\n\x20-\x7e])|\xff\xfe(?=[\x20-\x7e]\0)"),
}
_BY_MARK = dict(_MARKS)
_KEPT_BACK = 5  # bytes: a mark and what has to follow it


def in_utf8(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields text in UTF-8, without a mark at its begin. What can't be told stays as it is."""
    head, blocks = peek(blocks, _HEAD_BYTES)
    encoding, mark = _told_by(head)
    transcoder = _Transcoder(encoding)
    for block in blocks:
        if text := transcoder.feed(block[mark:] if mark else block):
            yield text
        mark = 0
    if text := transcoder.end():
        yield text


def _told_by(head: bytes) -> tuple[str, int]:
    """Returns the encoding and the length of its mark."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    return next((encoding for pattern, encoding in _ZEROS if pattern.match(head)), "utf-8"), 0


class _Transcoder:
    """Brings text to UTF-8 part by part, in the encoding of the newest mark."""

    def __init__(self, encoding: str) -> None:
        self._left = b""
        self._begin(encoding)

    def feed(self, block: bytes) -> bytes:
        return self._text(self._left + block, is_end=False)

    def end(self) -> bytes:
        return self._text(self._left, is_end=True)

    def _begin(self, encoding: str) -> None:
        self._encoding = encoding
        self._joined = _IN_UTF16.get(encoding, _IN_UTF8 if encoding == "utf-8" else None)
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)("replace")

    def _text(self, data: bytes, *, is_end: bool) -> bytes:
        """Returns the text of some bytes, and keeps back what may go on in the next."""
        done: list[bytes] = []
        if self._decoder is None and data.isascii():  # most of what there is
            self._left = b""
            return data
        while self._joined and (match := self._joined.search(data)):
            done.append(self._decoded(data[: match.start()], is_end=True))
            data = data[match.end() :]
            self._begin(_BY_MARK[match[0]])
        keep = 0 if is_end or self._decoder is None else _KEPT_BACK
        now, self._left = (data, b"") if not keep else (data[:-keep], data[-keep:])
        done.append(self._decoded(now, is_end=is_end))
        return b"".join(done)

    def _decoded(self, data: bytes, *, is_end: bool) -> bytes:
        if self._decoder is None:
            return self._as_utf8(data, is_end=is_end)
        return self._decoder.decode(data, final=is_end).encode("utf-8", "replace")

    def _as_utf8(self, data: bytes, *, is_end: bool) -> bytes:
        """Returns bytes as they are where they are UTF-8; lines that are none as those of Windows-1252, if they are such."""
        try:
            _text, taken = codecs.utf_8_decode(data, "strict", is_end)
        except UnicodeDecodeError:
            return self._line_by_line(data, is_end=is_end)
        self._left = data[taken:]
        return data[:taken]

    def _line_by_line(self, data: bytes, *, is_end: bool) -> bytes:
        stop = len(data) if is_end else data.rfind(b"\n") + 1
        if not stop and len(data) > _LONGEST_LINE:
            stop = len(data)
        self._left = data[stop:]
        return b"".join(_from_windows(line) for line in data[:stop].splitlines(keepends=True))


def _from_windows(line: bytes) -> bytes:
    """Returns a line of Windows-1252 in UTF-8; others, among them damaged UTF-8, as they are."""
    try:
        codecs.utf_8_decode(line, "strict", True)
    except UnicodeDecodeError:
        if not _SEVERAL_BYTES.search(line):
            try:
                return line.decode("cp1252").encode()
            except UnicodeDecodeError:
                return line
    return line
