"""How values are said in a message: lists, numbers, counts; and what makes a sentence safe to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ualpipe.transforms.memo import Memo

MAX_LENGTH = 1000  # characters of a message
MAX_VALUE = 200  # characters of one value, where the message would be too long
MAX_LISTED = 3  # values of a list that are said; of more the number follows
_MAX_DEPTH = 6  # levels of lists and objects that are looked into
_MAX_ITEMS = 1000  # values of a list that are looked at
_MAX_BITS = 64


def spoken(value: Any) -> str | None:
    """Returns a value as words: ``a``, ``a and b``, ``a, b, c and 4 more``; None where there is nothing to say."""
    if type(value) is not list:
        return _word(value)
    return _word(value[0]) if len(value) == 1 and type(value[0]) is str else _enumerated(list(dict.fromkeys(_words(value))))


def _word(value: Any) -> str | None:
    if type(value) is str:
        return value or None
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value) if value.bit_length() <= _MAX_BITS else None
    return str(value) if type(value) is float else None


def _words(values: list[Any], depth: int = _MAX_DEPTH) -> Iterator[str]:
    for value in values[:_MAX_ITEMS]:
        if type(value) is list:
            if depth:
                yield from _words(value, depth - 1)
        elif (word := _word(value)) is not None:
            yield word


def _enumerated(words: list[str]) -> str | None:
    if len(words) > MAX_LISTED:
        return f"{', '.join(words[:MAX_LISTED])} and {len(words) - MAX_LISTED} more"
    *most, last = words or [""]
    return f"{', '.join(most)} and {last}" if most else last or None


def with_noun(value: Any, one: str, many: str) -> str | None:
    """Returns a number with its noun: ``1 message``, ``3 messages``; of a list its length, of an object 1.

    Text that holds a whole number counts as that number; None for what is no number.
    """
    if type(value) is list:
        value = len(value)
    elif type(value) is dict:
        value = 1
    elif type(value) is str:
        value = int(value) if value.isascii() and value.isdigit() and len(value) < _MAX_BITS else None
    if type(value) is not int or value.bit_length() > _MAX_BITS:
        return None
    return f"1 {one}" if value == 1 else f"{value} {many}"


def keys_of(value: Any, but: frozenset[str]) -> str | None:
    """Returns the names in an object as words, but for some; None where there are none."""
    return _enumerated([key for key in value if key not in but]) if type(value) is dict else None


def first(value: Any, key: str, wanted: str, name: str) -> Any:
    """Returns what stands at a name in the first object of a list that has a value at a key; None where there is none."""
    for item in value if type(value) is list else (value,):
        if type(item) is dict and item.get(key) == wanted and (found := item.get(name)) is not None:
            return found
    return None


def translated(words: Mapping[str, str], others: str | None) -> Callable[[str], str | None]:
    """Returns the function that replaces words, in any case.

    Args:
        words: What is said for each.
        others: What is said for other words; ``keep``: the word itself; None or ``drop``: nothing.
    """
    known = {word.lower(): text for word, text in words.items()}
    if others == "keep":
        return lambda text: known.get(text.strip().lower(), text)
    otherwise = None if others == "drop" else others
    return lambda text: known.get(text.strip().lower(), otherwise)


class Saying:
    """Words a value after converting it, or each value of a list.

    Attributes:
        known: The words for a text.
    """

    __slots__ = ("known",)

    def __init__(self, convert: Callable[[str], Any]) -> None:
        self.known = Memo(lambda text: spoken(convert(text)))

    def __call__(self, value: Any) -> str | None:
        """Returns the words for any value; None where there is nothing to say."""
        if type(value) is list and len(value) == 1 and type(value[0]) is str:
            only: str | None = self.known[value[0]]
            return only
        words = list(_words(value if type(value) is list else [value]))
        return _enumerated(list(dict.fromkeys(made for word in words if (made := self.known[word]))))


def tidy(text: str) -> str:
    """Returns a sentence in one line of bounded length: what is not printable, and blanks beside it, become one blank."""
    if not text.isprintable():
        text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split(" ")).strip()
        text = " ".join(word for word in text.split(" ") if word)
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def shortened(value: Any, depth: int = 16) -> Any:
    """Returns a value with long texts cut, so that one of them does not push all others out of a message."""
    if type(value) is str:
        return value if len(value) <= MAX_VALUE else f"{value[: MAX_VALUE - 1]}…"
    if type(value) is dict:
        return {key: shortened(item, depth - 1) for key, item in value.items()} if depth else {}
    if type(value) is list:
        return [shortened(item, depth - 1) for item in value] if depth else []
    return value
