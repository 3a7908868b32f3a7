"""Results of pure functions of text, remembered: the same users, addresses, times and operations come again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAX_ENTRIES = 8192
MAX_LENGTH = 256  # characters; longer texts are computed anew each time, so that foreign text can't fill the memory


class Remembered(dict[Any, Any]):
    """Maps a text (or a pair of short texts) to what a function makes of it: ``remembered[text]``.

    Subscripting a dict is the cheapest call there is in Python (an ``lru_cache`` takes twice as long); when it is full it
    starts afresh. What it holds is shared: nobody changes it.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: Any) -> Any:
        made = self._make(text)
        if len(text) <= MAX_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[text] = made
        return made
