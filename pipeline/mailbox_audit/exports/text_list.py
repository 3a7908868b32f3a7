"""Exports as text of Format-List: ``Name : value`` a line, a blank line between objects, long values over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ualpipe.pipeline.mailbox_audit.exports.kinds import KNOWN_COLUMNS
from ualpipe.pipeline.mailbox_audit.exports.model import MOST_TEXT, RawRow

_MEMBER = re.compile(r"([A-Za-z][\w.-]{0,99}+) *+: ?(.*+)")
_MOST_MEMBERS = 2000
_LOOKED_AT = 10


def is_text_list(lines: Iterable[bytes]) -> bool:
    """Tells whether text begins as Format-List writes it, with a member that is known."""
    for line, _number in zip((line for line in lines if line.strip()), range(_LOOKED_AT), strict=False):
        found = _MEMBER.fullmatch(line.decode("utf-8", "replace"))
        if found is None:
            return False
        if found[1].lower() in KNOWN_COLUMNS:
            return True
    return False


def rows_of_text_list(lines: Iterable[bytes]) -> Iterator[RawRow]:
    """Yields the objects of a list as text."""
    values: dict[str, str] = {}
    name, begin = "", 0
    for number, raw in enumerate(lines, 1):
        line = raw.decode("utf-8", "replace").rstrip()
        found = _MEMBER.fullmatch(line)
        if values and (not line or (found and found[1].lower() in values) or len(values) >= _MOST_MEMBERS):
            yield RawRow(values, begin)
            values, name = {}, ""
        if found is not None:
            begin = begin if values else number
            name = found[1].lower()
            values[name] = found[2][:MOST_TEXT]
        elif line.startswith(" ") and name and len(values[name]) < MOST_TEXT:
            values[name] = f"{values[name].rstrip()} {line.strip()}"
    if values:
        yield RawRow(values, begin)
