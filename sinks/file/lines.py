"""Ends of files that hold one JSON object a line: where the whole lines end, and whether they are ours at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from ualpipe.pipeline.records.json_reader import UnreadableJson, read_strictly
from ualpipe.sinks.file.append_file import End, NotOurs

_LOOK_BACK_BYTES = 64 * 1024
_LONGEST_LINE_BYTES = 64 * 1024 * 1024  # a record of the most that is taken, as a document, has room in it several times
_NOT_OURS = "move the file away, or choose another path: ualpipe appends to files of its own only, and cuts no others"


def lines_end(*, any_text: bool) -> Callable[[BinaryIO, int, int], End]:
    """Returns a function that finds the end of the whole lines of a file.

    Args:
        any_text: Lines may be no JSON: of records as received, some are broken. One of the last must be an object all the same.
    """

    def find(file: BinaryIO, known: int, size: int) -> End:
        """Returns how long the whole lines are, and a line break where the last one lacks only that.

        Args:
            file: The file, readable from any position.
            known: Position at which a line of ours begins.
            size: Its size in bytes.

        Raises:
            NotOurs: The lines are not ours, or what stands behind them is not the beginning of one.
        """
        end = _end_of_last_line(file, known, size)
        if end > known and not _are_ours(_lines_before(file, known, end), any_text=any_text):
            raise NotOurs(f"its last line is no JSON object: {_NOT_OURS}")
        return _with_tail(file, end, size) if end < size else End(end)

    return find


def _end_of_last_line(file: BinaryIO, known: int, size: int) -> int:
    end = size
    while end > known:
        start = max(known, end - _LOOK_BACK_BYTES)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return known


def _lines_before(file: BinaryIO, known: int, end: int) -> Iterator[bytes]:
    """Yields the last whole lines, the last one first, as far as they stand in the part that is looked at."""
    start = max(known, _end_of_last_line(file, known, end - 1), end - _LONGEST_LINE_BYTES)
    start = max(known, min(start, end - _LOOK_BACK_BYTES))
    file.seek(start)
    yield from reversed(file.read(end - start).splitlines())


def _are_ours(lines: Iterator[bytes], *, any_text: bool) -> bool:
    for line in lines:
        if _is_object(line):
            return True
        # What a loss of power left of a line may hold zeros; the lines before it are whole.
        if not any_text and b"\0" not in line:
            return False
    return False


def _with_tail(file: BinaryIO, end: int, size: int) -> End:
    """Returns the end of the lines, where something stands behind it that has no line break."""
    file.seek(end)
    tail = file.read(min(size - end, _LONGEST_LINE_BYTES))
    begin = tail.lstrip(b"\0")
    if begin and not begin.startswith(b"{"):
        raise NotOurs(f"what stands behind its last line break is no JSON: {_NOT_OURS}")
    return End(size, b"\n") if _is_object(tail) else End(end)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(read_strictly(line), dict)
    except UnreadableJson:
        return False
