"""Results of pure functions of text, remembered: the same users, addresses, times and operations come again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

MAX_ENTRIES = 8192
OF_PEOPLE = 32768
"""The same for what is asked about user ids: a hundred tenants, or a large one, have so many users."""
MAX_LENGTH = 256  # characters; longer texts are computed anew each time, so that foreign text can't fill the memory


class Memo(dict[Any, Any]):
    """Maps a text (or a pair of short texts) to what a function makes of it: ``remembered[text]``.

    Subscripting a dict is the cheapest call there is in Python (an ``lru_cache`` takes twice as long); when it is full it
    starts afresh. What it holds is shared: nobody changes it.

    Attributes:
        make: The function.
    """

    __slots__ = ("_most", "make")

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


class MemoGroup:
    """What several functions make of a text, remembered in one place for all who ask for the same ones.

    A user is met in records of many kinds: the functions of one mapping share it.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Callable[[Any], Any], ...], Memo] = {}

    def of(self, several: Sequence[Memo]) -> Memo:
        """Returns what maps a text to all that several make of it, in a tuple: one look-up in place of several."""
        functions = tuple(one.make for one in several)
        if functions not in self._made:
            self._made[functions] = Memo(lambda text: tuple(function(text) for function in functions), OF_PEOPLE)
        return self._made[functions]
