"""Record types, however they are written: as number, as text, with a fraction of zero, by name."""

from __future__ import annotations

import re
from functools import cache

from ualpipe.schemas import read_csv
from ualpipe.transforms.memo import Memo

_NUMBER = re.compile(r"\s*+([+-]?)0*+([0-9]{0,9}+)(?<=[0-9])(?:\.0++)?\s*+\Z")


@cache
def _numbers() -> dict[str, str]:
    """Returns the number of each record type by its name, folded."""
    return {row["name"].casefold(): row["id"] for row in read_csv("record_types.csv")}


def _read(text: str) -> str:
    if match := _NUMBER.match(text):
        return f"-{match[2]}" if match[1] == "-" and match[2] else match[2] or "0"
    return _numbers().get(text.strip().casefold(), text)


_known = Memo(_read)


def record_type(value: object) -> str:
    """Returns the number of a record type as text: ``50`` for 50, 50.0, ``"50"`` and ``ExchangeItemAggregated``.

    Text that names no record type that is known comes back as it is; empty for what is neither text nor a whole number.
    """
    if type(value) is int:
        return str(value)
    if type(value) is str:
        found: str = _known[value]
        return found
    return str(int(value)) if type(value) is float and value.is_integer() else ""
