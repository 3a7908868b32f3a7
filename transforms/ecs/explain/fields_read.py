"""Finds out which fields of a record a conversion of whole records looks at, by watching it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class _Watched(dict[str, Any]):
    """Originals that remember which of their fields were looked at."""

    def __init__(self, originals: Mapping[str, Any]) -> None:
        super().__init__(originals)
        self.seen: dict[str, None] = {}

    def _see(self, key: Any) -> None:
        if super().__contains__(key):
            self.seen[key] = None

    def get(self, key: Any, default: Any = None) -> Any:
        self._see(key)
        return super().get(key, default)

    def __getitem__(self, key: Any) -> Any:
        self._see(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._see(key)
        return super().__contains__(key)


def fields_read(convert: Callable[[Any], Any], originals: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the fields that a conversion of whole records looks at, as far as the record has them."""
    watched = _Watched(originals)
    convert(watched)
    return tuple(watched.seen)
