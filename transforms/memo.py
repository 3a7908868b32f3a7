"""Results of pure functions of text, remembered: the same users, addresses, times and operations come again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

MAX_ENTRIES = 8192
"""Entries of a memo, which starts afresh when it is full."""
OF_PEOPLE = 32768
"""Entries for what is asked about user ids: a hundred tenants, or a large one, have so many users."""
MAX_LENGTH = 256  # characters; longer texts are computed anew each time, so that foreign text can't fill the memory


class Memo(dict[Any, Any]):
    """Maps a text (or a pair of short texts) to what a function makes of it: ``memo[text]``.

    Subscripting a dict is the cheapest call there is in Python; an ``lru_cache`` takes twice as long. The results are shared:
    nobody changes them.

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
    """Memos of several functions at once: one look-up gives what all of them make of a text.

    The functions of one mapping share a group, as the same user is met in records of many kinds.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Callable[[Any], Any], ...], Memo] = {}

    def of(self, several: Sequence[Memo]) -> Memo:
        """Returns the memo that maps a text to a tuple: what the functions of several memos make of it."""
        functions = tuple(one.make for one in several)
        if functions not in self._made:
            self._made[functions] = Memo(lambda text: tuple(function(text) for function in functions), OF_PEOPLE)
        return self._made[functions]
