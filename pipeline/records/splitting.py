"""Splits JSON text of any layout into records, and finds the next record behind one that is broken.

Arrays, objects one behind the other, one a line, over many lines, or several arrays in a row: between records all brackets and
commas count as blanks. What can't be decoded ends where the next text begins that looks like a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ualpipe.pipeline.errors import ContentUndecodable
from ualpipe.pipeline.records.decoding import BLANK, FIRST_KEY, decode, is_crowded, kind_of, refuse_crowded
from ualpipe.pipeline.records.scanning import BYTE_A_CHARACTER, NoEnd, bracket_end, value_end

COMMON_FIELDS = frozenset(
    {
        "Id",
        "CreationTime",
        "Operation",
        "RecordType",
        "OrganizationId",
        "UserId",
        "UserKey",
        "UserType",
        "Workload",
        "Version",
        "ResultStatus",
        "ObjectId",
        "ClientIP",
        "Scope",
    }
)
"""Fields of the common schema of audit records."""

_SEPARATORS = re.compile(rb"(?:[ \t\r\n,\[\]\x00\x1e]|\xef\xbb\xbf)*+")
_SEPARATORS_IN_ARRAY = re.compile(rb"(?:\][ \t\r\n]*+\[|[ \t\r\n,\]]|\[(?=[ \t\r\n]*+\{)|\xef\xbb\xbf)*+")
_BORDER = rb"\}(?=(?:[\s,\[\]]|\xef\xbb\xbf)*+\{\s*+%s)"  # behind a record, where the next one begins with the same key
_PLAIN_LAST = re.compile(rb'[^"\[\]{}]*+\][ \t\r\n]*+')  # garbage behind which the array ends
_CANDIDATE = re.compile(r'(?<!")(?<!" )\{\s*+"')  # behind a text without a comma it is part of a record
_LINE_CANDIDATE = re.compile(r'(?<=\n)\{\s*+"')
_LINE_END = re.compile(rb"[ \t\r,]*+(?:\n|\Z)")
_MAY_FOLLOW = re.compile(rb"[ \t\r\n,\]]")
_SHORT = 32  # bytes
_MEMBER = re.compile(r"\s*+:\s*+")

_BRACE = ord("{")
_END_BRACE = ord("}")
_QUOTE = ord('"')
_RECORD_KEY = re.compile(rb'"(?:CreationTime|Operation|RecordType)"')
_PASSED = object()
_GUESSES = 4
_MOST_BARREN = 1000
_WINDOW_BYTES = 64 * 1024  # so far the next record is guessed
_LINE_BYTES = 64 * 1024  # so much is waited for where a broken text may end with its line
_BROKEN_BYTES = 16 * 1024  # so far brackets are followed in a broken record, before the next whole one is looked for
_BUDGET_BYTES = 2 * 1024 * 1024  # so much text is read in search of a whole record behind a broken one
_LEAST_COST = 64  # bytes; of looking at a place where no record begins
_LEAST_KEYS = 3  # of a record, to tell others by it
_IDENTIFYING = {"Id", "CreationTime"}  # no object inside of a record has both


@dataclass(frozen=True, slots=True)
class Found:
    """A value, or text that is none.

    Attributes:
        start: Where it begins.
        end: Position behind it.
        value: Decoded; None where it is broken.
        defect: Why it is broken; empty for a value.
    """

    start: int
    end: int
    value: Any = None
    defect: str = ""


class Splitter:
    """Splits text that comes in parts; knows what the records before looked like.

    Attributes:
        taken: How much of the last part was split.
        is_closed: Whether a closing bracket is the last that was read; of an array only.
    """

    def __init__(self, *, is_array: bool = False, is_begun: bool = False, opening: re.Pattern[bytes] | None = None) -> None:
        """Begins a text.

        Args:
            opening: Matches an object that is an envelope, up to the bracket behind which its records stand.
            is_array: It should be one array: arrays in it are values, but for such as hold objects.
            is_begun: Its opening bracket has come before.
        """
        self.taken = 0
        self.is_closed = False
        self._barren = 0  # values since the last record
        self._has_record = False
        self._is_array = is_array
        self._separators = _SEPARATORS_IN_ARRAY if is_array else _SEPARATORS
        self._is_begun = is_begun
        self._opening = opening
        self._is_crowded = False
        self._has_broken = False
        self._envelopes = 0  # that are open
        self._model: dict[str, Any] = {}
        self._no_line_before = 0

    def split(self, data: bytes, *, is_end: bool) -> Iterator[Found]:
        """Yields what stands in some text, in order; ends before what may be continued by more text.

        Args:
            data: The text, from behind what was found last.
            is_end: No more text follows.
        """
        self._no_line_before = 0
        self._is_crowded = is_crowded(data)
        text = data.decode(BYTE_A_CHARACTER)
        broken: Found | None = None
        self.taken = self.skip(data, 0)
        while self.taken < len(data) and (found := self._next(data, text, self.taken, is_end=is_end)) is not None:
            self.is_closed = False
            self._count(found)
            if self._barren > _MOST_BARREN:
                found = self._rest_of_barren(data, text, found)
            self.taken = self.skip(data, found.end)
            if broken is not None and _goes_on(data, broken, found):
                found = Found(broken.start, found.end, None, broken.defect)
            elif broken is not None:
                yield broken
            broken = found if found.defect else None
            self._has_broken |= broken is not None
            if broken is None and found.value is not _PASSED:
                yield found
        if broken is not None:
            yield broken

    def _count(self, found: Found) -> None:
        is_record = type(found.value) is dict and bool(found.value)
        self._has_record |= is_record
        self._barren = 0 if is_record else self._barren + 1

    def _rest_of_barren(self, data: bytes, text: str, found: Found) -> Found:
        """Returns all up to the next record as one broken text: to name each comma of a desert costs more than it tells."""
        start = self._next_record(data, text, found.start + 1, len(data))
        reason = f"not JSON: more than {_MOST_BARREN:,} times no record"
        return Found(found.start, len(data) if start is None else start, None, reason)

    @property
    def is_desert(self) -> bool:
        """Whether there was no record up to now, and so many values that are none that there will hardly be one."""
        return not self._has_record and self._barren > _MOST_BARREN

    def skip(self, data: bytes, at: int) -> int:
        """Returns the next position that belongs to no separator."""
        match = self._separators.match(data, at)
        assert match is not None, "it takes anything"
        end = match.end()
        if not self._is_array:
            return end
        if run := match[0].rstrip(BLANK):
            self._is_begun |= b"[" in run
            self.is_closed = run.endswith(b"]")
        if self._is_begun or data[end : end + 1] != b"[":
            return end
        self._is_begun = True
        return self.skip(data, end + 1)

    def find_record(self, data: bytes) -> int | None:
        """Returns where the first whole record begins in some text, whatever stands before it."""
        return self._next_record(data, data.decode(BYTE_A_CHARACTER), 0, len(data))

    def _next(self, data: bytes, text: str, at: int, *, is_end: bool) -> Found | None:
        quick = self._line(data, at, is_end=is_end) or self._guessed(data, at) if data[at] == _BRACE else None
        if quick is not None:
            self._model = quick.value
            return quick
        try:
            if (end := self._passed(data, text, at)) is not None:
                return Found(at, end, _PASSED)
            end = value_end(text, at, is_crowded=self._is_crowded)
        except NoEnd as exc:
            if exc.is_unfinished and not is_end:
                return None
            if exc.is_unfinished and self._is_cut_off(
                data, text, at
            ):  # in order as far as it goes: cut off, and all of it one record
                return Found(at, len(data), None, f"not JSON: {exc}")
            return self._broken(data, text, at, str(exc), is_end=is_end)
        return self._value(data, text, at, end, is_end=is_end)

    def _is_cut_off(self, data: bytes, text: str, at: int) -> bool:
        """Tells whether what begins at a place is cut off by the end of the array; text of lines may go on behind a cut line."""
        return self._is_array and data[at] in b"{[" and bracket_end(text, at, len(text)) is None

    def _passed(self, data: bytes, text: str, at: int) -> int | None:
        """Returns the position behind a part of an envelope; None where there is none.

        Raises:
            NoEnd: It is not whole.
        """
        if data[at] == _BRACE:
            return self._opened(data, at)
        if self._envelopes and (end := self._member_end(data, text, at)) is not None:
            return end
        is_left = data[at] == _END_BRACE and self._has_broken  # of what a record was found inside of
        return at + 1 if is_left else None

    def _opened(self, data: bytes, at: int) -> int | None:
        """Returns the position behind the head of an envelope; None where there is none."""
        if self._opening is None or (head := self._opening.match(data, at)) is None or _RECORD_KEY.search(head[0]):
            return None
        self._envelopes += 1
        return head.end()

    def _member_end(self, data: bytes, text: str, at: int) -> int | None:
        """Returns the position behind what an open envelope has besides its records; None where none of it is here.

        Raises:
            NoEnd: It is not whole.
        """
        if data[at] == _END_BRACE:
            self._envelopes -= 1
            return at + 1
        if data[at] != _QUOTE or not (colon := _MEMBER.match(text, value_end(text, at, is_crowded=self._is_crowded))):
            return None
        start = colon.end()
        return None if start >= len(data) or data[start] in b"[" else value_end(text, start, is_crowded=self._is_crowded)

    def _line(self, data: bytes, at: int, *, is_end: bool) -> Found | None:
        """Returns the record that takes the rest of the line."""
        if at < self._no_line_before:
            return None
        stop = data.find(b"\n", at)
        if stop < 0:
            if not is_end:
                return None
            stop = len(data)
        line = data[at:stop].rstrip(b" \t\r,]")
        if line.endswith(b"}") and (value := _object(line)) is not None:
            return Found(at, at + len(line), value)
        self._no_line_before = stop
        return None

    def _guessed(self, data: bytes, at: int) -> Found | None:
        """Returns the record that ends where another one begins with the same key; text up to a wrong guess can't be decoded."""
        key = FIRST_KEY.match(data, at)
        if key is None:
            return None
        border = re.compile(_BORDER % re.escape(key[1]))
        for _guess, match in zip(range(_GUESSES), border.finditer(data, at, at + _WINDOW_BYTES), strict=False):
            if (value := _object(data[at : match.end()])) is not None:
                return Found(at, match.end(), value)
        return None

    def _value(self, data: bytes, text: str, at: int, end: int, *, is_end: bool) -> Found | None:
        body = data[at:end]
        try:
            value = decode(body)
        except ContentUndecodable as exc:
            return self._cut_short(data, text, (at, end), str(exc))
        if isinstance(value, dict):
            self._model = value
            if not value and data[end : end + 1] == b'"':
                return self._broken(data, text, at, "a brace too many", is_end=is_end)
        elif isinstance(value, str) and _MEMBER.match(text, end):
            return self._broken(data, text, at, "a member without its object", is_end=is_end)
        elif not isinstance(value, str | list) and not is_end and not _MAY_FOLLOW.match(data, end) and len(data) < end + _SHORT:
            return None  # a number may go on
        return Found(at, end, value)

    def _broken(self, data: bytes, text: str, at: int, reason: str, *, is_end: bool) -> Found | None:
        """Returns the text up to the next record, or to its own end by brackets; None when neither is there yet."""
        if not is_end and len(data) - at < _LINE_BYTES and data.find(b"\n", at) < 0:
            return None  # what is whole on its line is no record within another
        reason = f"not JSON: {reason}"
        if data[at] not in b"{[":
            return self._garbage(data, text, at, reason, is_end=is_end)
        end = bracket_end(text, at, min(len(text), at + _BROKEN_BYTES))
        if end is not None and self._is_confirmed(data, end, is_end=is_end):
            return self._cut_short(data, text, (at, end), reason)
        if (start := self._next_record(data, text, at + 1, len(data))) is not None:
            return Found(at, start, None, reason)
        return Found(at, len(data), None, reason) if is_end else None

    def _is_confirmed(self, data: bytes, end: int, *, is_end: bool) -> bool:
        """Tells whether an end by brackets is a border between records; inside of one the next member would follow."""
        match = self._separators.match(data, end)
        assert match is not None, "it takes anything"
        if match.end() < len(data):
            return data[match.end()] == _BRACE and match.end() > end
        return is_end or b"\n" in match[0]

    def _cut_short(self, data: bytes, text: str, place: tuple[int, int], reason: str) -> Found:
        """Returns broken text up to its end by brackets, or to the first record in it: a stray quote turns strings inside out."""
        at, end = place
        start = self._next_record(data, text, at + 1, end)
        return Found(at, end if start is None else start, None, reason)

    def _garbage(self, data: bytes, text: str, at: int, reason: str, *, is_end: bool) -> Found | None:
        """Returns text that begins no value, up to the next record or to the end of the line."""
        line_end = -1 if data[at] == _QUOTE else data.find(b"\n", at)  # a member of a record over many lines is no line
        limit = len(data) if line_end < 0 else line_end
        start = self._next_record(data, text, at + 1, limit)
        if start is not None:
            return Found(at, start, None, reason)
        if self._is_array and line_end < 0 and _PLAIN_LAST.fullmatch(data, at):
            limit = data.rindex(b"]")
        return Found(at, limit, None, reason) if line_end >= 0 or is_end else None

    def _next_record(self, data: bytes, text: str, at: int, limit: int) -> int | None:
        """Returns where the next whole record begins, before a limit; where much leads to none, only begins of lines count."""
        for candidates in (_CANDIDATE, _LINE_CANDIDATE):
            budget = _BUDGET_BYTES
            for match in candidates.finditer(text, at, limit):
                is_record, cost = self._try(data, text, match.start())
                if is_record:
                    return match.start()
                budget -= cost
                at = match.end()
                if budget < 0:
                    break
            else:
                return None
        return None

    def _try(self, data: bytes, text: str, start: int) -> tuple[bool, int]:
        """Tells whether a record begins at a place, and how much text was read for that."""
        try:
            end = value_end(text, start, is_crowded=self._is_crowded)
        except NoEnd as exc:
            return False, max(_LEAST_COST, exc.at - start)
        return self._resembles(data, start, end), max(_LEAST_COST, end - start)

    def _resembles(self, data: bytes, start: int, end: int) -> bool:
        """Tells whether an object looks like the records before it, or has the common fields, or stands alone on its line."""
        try:
            value = decode(data[start:end])
        except ContentUndecodable:
            return False
        own, model = value.keys(), self._model.keys()
        is_alike = len(model) >= _LEAST_KEYS and 2 * len(own & model) >= max(len(model), len(own)) and next(iter(model)) in own
        if is_alike or own >= _IDENTIFYING:
            return True
        return data[start - 1 : start] == b"\n" and _LINE_END.match(data, end) is not None


def holds_record(body: bytes) -> bool:
    """Tells whether a whole object stands in some text that has fields of the common schema."""
    return Splitter().find_record(body) is not None


def holds_object(text: bytes) -> bool:
    """Tells whether a line of some text is an object, or an object with fields of the common schema stands anywhere in it."""
    lines = (line.strip(BLANK + b",") for line in text.split(b"\n"))
    return any(line.startswith(b"{") and _object(line) is not None for line in lines) or holds_record(text)


def kind_defect(value: Any) -> str:
    """Returns what is wrong with a value that is no object."""
    return f"a JSON {kind_of(value)}, not an object"


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        refuse_crowded(text)
        value = orjson.loads(text)
    except (ValueError, ContentUndecodable):
        return None
    return value if type(value) is dict else None


def _goes_on(data: bytes, broken: Found, found: Found) -> bool:
    """Tells whether a broken text is the rest of the one before it, which ended at a bracket that was none."""
    return bool(found.defect) and data[found.start] != _BRACE and b"\n" not in data[broken.end : found.start]


def trimmed(data: bytes, found: Found) -> bytes:
    """Returns the bytes of what was found, without separators at its end."""
    body = data[found.start : found.end]
    return body.rstrip(BLANK + b",") if found.defect else body
