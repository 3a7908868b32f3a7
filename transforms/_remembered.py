"""Results of pure functions of text, remembered: the same users, addresses, times and operations come again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

MAX_ENTRIES = 8192
OF_PEOPLE = 32768
"""The same for what is asked about user ids: a hundred tenants, or a large one, have so many users."""
MAX_LENGTH = 256  # characters; longer texts are computed anew each time, so that foreign text can't fill the memory


class Remembered(dict[Any, Any]):
    """Maps a text (or a pair of short texts) to what a function makes of it: ``remembered[text]``.

    Subscripting a dict is the cheapest call there is in Python (an ``lru_cache`` takes twice as long); when it is full it
    starts afresh. What it holds is shared: nobody changes it.

    Attributes:
        make: The function.
    """

    __slots__ = ("__weakref__", "_most", "make")

    def __init__(self, make: Callable[[Any], Any], most: int = MAX_ENTRIES) -> None:
        super().__init__()
        self.make = make
        self._most = most

    def __missing__(self, text: Any) -> Any:
        made = self.make(text)
        if len(text) <= MAX_LENGTH:
            if len(self) >= self._most:
                self.clear()
            self[text] = made
        return made


_together: WeakValueDictionary[tuple[int, ...], Remembered] = WeakValueDictionary()


def together(several: Sequence[Remembered]) -> Remembered:
    """Returns what maps a text to all that several make of it, in a tuple: one look-up in place of several.

    Whoever asks for the same ones gets the same: a user is met in records of many kinds.
    """
    functions = [one.make for one in several]

    def make(text: Any) -> tuple[Any, ...]:
        return tuple(function(text) for function in functions)

    key = tuple(map(id, functions))  # none of them goes, and leaves its id to another, before what is remembered by it
    return _together.setdefault(key, Remembered(make, OF_PEOPLE))
