"""Words that messages share: suggestions, counts, lengths of time; and foreign text made safe to show."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import Any

from ualpipe.pipeline.redaction import blanked

# What a terminal, a line's reader or the eye takes for something else than text: C0 with line breaks and tabs, DEL, C1, marks of
# direction, marks that can't be seen, line and paragraph separators, tags, halves of characters.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str, *, keeps_lines: bool = False) -> str:
    r"""Returns text in which whatever would act on a terminal or mislead its reader is a visible escape (``\x1b``, ``\u202e``).

    Everything shown that comes from elsewhere goes through here: names, keys, reasons, and what services answer.

    Args:
        text: Any text, our own words with foreign ones in them too.
        keeps_lines: Line breaks and tabs stay: for text of several lines that may not be taken for other lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return _ACTING.sub(_escape_but_lines if keeps_lines else _escape, text)


def visible_json(text: str, *, keeps_lines: bool = False) -> str:
    r"""Returns JSON with the same values in which such characters are escapes of JSON (``\u202e``).

    Args:
        text: JSON.
        keeps_lines: It is written over several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    if keeps_lines:
        return "\n".join(map(visible_json, text.split("\n")))
    return _ACTING.sub(_escape_for_json, text)


def cell(text: str) -> str:
    """Returns text as a cell of CSV that a spreadsheet takes for no formula, and a terminal for no command; line breaks stay."""
    return f"{chr(39) if text.startswith(_FORMULA) else ''}{visible(text, keeps_lines=True)}"


def without_acting(text: str) -> str:
    """Returns text with a blank for each such character, for formats that know no escapes."""
    return text if text.isascii() and text.isprintable() else _ACTING.sub(" ", text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _escape_but_lines(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\n\t" else _escape(found)


def _escape_for_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def did_you_mean(word: str, known: Any) -> str:
    """Returns `` (did you mean x?)`` for a word that is not known, the list of known words where that is short, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (there are: {', '.join(map(str, known))})" if 0 < len(known) <= 12 else ""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns ``no dead letters``, ``1 dead letter``, ``2,000 dead letters``; ``plural`` is for nouns that do not take an s."""
    return f"1 {noun}" if number == 1 else f"{f'{number:,}' if number else 'no'} {plural or noun + 's'}"


def rounded(seconds: float) -> str:
    """Returns a time as ``40s``, ``25m``, ``3h 20m`` or ``2d 5h``; at least ``1s``."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole}s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {rest}m" if rest else f"{hours}h"
    days, left = divmod(round(minutes / 60), 24)
    return f"{days}d {left}h" if left else f"{days}d"


OTHER_REASONS = "other reasons"
"""Stands for reasons that are counted together, as there are too many to tell apart."""

SHOWN_CHARACTERS = 300
"""So much of another system's own words goes into a message of ours."""


LONGEST_READ = 64 * 1024
"""Characters of another system's answer that are looked at for a message."""


def shorten(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """Returns a text in one line of bounded length, in characters that can be seen.

    Secrets in it are blanked first, as half of one would not be known.
    """
    line = visible(" ".join(blanked(text[:LONGEST_READ]).split()))
    return line if len(line) <= limit else f"{line[:limit]}..."


_NAMES = {"\t": "tab", "\n": "line break", "\r": "carriage return", "\0": "NUL", "\ufeff": "byte order mark"}
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def is_unseen(sign: str) -> bool:
    """Returns whether a character is one that a reader can't see, or takes for a blank that it is not."""
    return sign != " " and unicodedata.category(sign) in _UNSEEN


def named(sign: str) -> str:
    """Returns the name of a character: ``no-break space, U+00A0``."""
    name = _NAMES.get(sign) or unicodedata.name(sign, "").lower()
    return ", ".join(filter(None, [name, f"U+{ord(sign):04X}"]))


def spelled_out(text: str) -> str:
    """Returns a text in which what a reader can't see stands by its name: ``contoso<no-break space, U+00A0>``."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(f"<{named(sign)}>" if is_unseen(sign) else sign for sign in text)
