"""The text of a file that people write: in UTF-8, or in what editors of Windows make of it."""

from __future__ import annotations

import codecs
from pathlib import Path

# UTF-32 first: its mark begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LINE_BREAK = b"\n"
_SAVE = "save it as UTF-8"


class NotText(ValueError):
    """Bytes are no text; says why, and never what they are.

    Attributes:
        line: Where they end to be text, from 1.
        advice: Where in that line, and what to do.
    """

    def __init__(self, reason: str, advice: str = "", line: int = 1) -> None:
        super().__init__(reason)
        self.advice = advice
        self.line = line


def read_bounded(path: Path, limit: int) -> bytes:
    """Returns the content of a file, also of one that never ends.

    Raises:
        OSError: The file can't be read.
        NotText: It is longer than the limit, in bytes.
    """
    with path.open("rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise NotText(f"longer than {limit >> 10:,} KiB")
    return raw


def decoded(raw: bytes) -> tuple[str, str]:
    """Returns the text of some bytes, and the encoding that a byte order mark names; an empty one where there is no mark.

    Raises:
        NotText: They are no text in the encoding that the mark names, or in UTF-8.
    """
    mark, encoding = next(((mark, name) for mark, name in _MARKS if raw.startswith(mark)), (b"", ""))
    body = raw.removeprefix(mark)
    try:
        text = body.decode(encoding or "utf-8")
    except UnicodeDecodeError as exc:
        before = body[: exc.start]
        at = f"from byte {len(before.rpartition(LINE_BREAK)[2]) + 1} of the line on; {_SAVE}"
        shown = encoding.upper() or "UTF-8"
        raise NotText(f"not {shown} text", at, before.count(LINE_BREAK) + 1) from None  # the original holds the bytes
    if not encoding and "\0" in text:
        raise NotText("not UTF-8 text", f"it holds NUL characters, as UTF-16 without a mark does; {_SAVE}")
    return text, encoding
