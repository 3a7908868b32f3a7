"""Values of cells: booleans, lists of actions, lengths of time, ids, in the shapes that cmdlets, JSON and spreadsheets give them.

What can't be told is None, with a note that says why: it counts as not exported, never as missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ualpipe.pipeline.mailbox_audit.actions import LOGONS, MailboxKind, catalogue
from ualpipe.pipeline.mailbox_audit.exports.model import MOST_TEXT
from ualpipe.pipeline.wording import shorten

_TRUE = frozenset({"true", "$true", "1"})
_FALSE = frozenset({"false", "$false", "0"})
# As spreadsheets write them elsewhere: German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Danish, Norwegian, Polish,
# Finnish, Czech, Turkish, Russian, Japanese and Chinese.
_TRUE_ELSEWHERE = frozenset(
    {
        *("wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "sant", "sand", "sann", "prawda"),
        *("tosi", "pravda", "doğru", "истина", "真"),
    }
)
_FALSE_ELSEWHERE = frozenset(
    {
        *("falsch", "faux", "falso", "onwaar", "falskt", "falsk", "usann", "fałsz"),
        *("epätosi", "nepravda", "yanl\N{LATIN SMALL LETTER DOTLESS I}ş", "ложь", "假", "偽"),
    }
)
_TYPE_NAME = re.compile(r"(?:Deserialized\.)?(?:Microsoft|System|Selected)\.[\w.]{1,200}(?:[`\[{<+].{0,2000})?", re.DOTALL)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{1,63}")
_BETWEEN = re.compile(r"[\s,;|]+")
_GUID = re.compile(r"\{?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\}?")
_NO_GUID = "00000000-0000-0000-0000-000000000000"
_SPAN = re.compile(r"(?:([0-9]{1,7})\.)?([0-9]{1,7}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)?")
_ISO_SPAN = re.compile(r"P(?:([0-9]{1,7})D)?(?:T(?:([0-9]{1,7})H)?(?:([0-9]{1,7})M)?(?:([0-9]{1,9})(?:\.[0-9]{1,9})?S)?)?")
_DAYS = re.compile(r"([0-9]{1,7})(?: ?days?)?", re.IGNORECASE)
_TICKS_A_DAY = 864_000_000_000  # of 100 ns
_MOST_TICKS = 2**63
_MOST_ELEMENTS = 1000
_NO_NAME = "?"
_CUT = ("…", "...")


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a list.

    Attributes:
        names: As Microsoft spells them, where they are known.
        is_cut: Whether there may be more: the export was cut (``{Update, Move…``).
    """

    names: frozenset[str]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a cell tells.

    Attributes:
        value: Of the type that is asked for; None where it is not exported, or can't be told.
        note: What was odd, and what to do; empty where nothing was.
        kind: What such notes have in common.
    """

    value: Any = None
    note: str = ""
    kind: str = ""


def truth(value: Any) -> Told:
    """Returns a boolean."""
    if isinstance(value, bool) or value is None:
        return Told(value)
    word = str(_plain(value)).strip().casefold()
    if word in _TRUE or word in _FALSE:
        return Told(word in _TRUE)
    if word in _TRUE_ELSEWHERE or word in _FALSE_ELSEWHERE:
        meant = word in _TRUE_ELSEWHERE
        return Told(meant, f"{shorten(str(value), 20)!r} is taken for {meant}: a spreadsheet saved this in its own language")
    return Told() if not word else Told(None, f"{shorten(str(value), 40)!r} is neither True nor False: left out")


def is_blank(value: Any) -> bool:
    """Returns whether a cell is empty: of CSV, where that may mean an empty list as well as nothing."""
    return isinstance(value, str) and not value.strip()


def actions(value: Any) -> Told:
    """Returns the ``Names`` of actions."""
    return _with_names(value, _action_names)


def default_set(value: Any) -> Told:
    """Returns the ``Names`` of the kinds of log-on whose lists follow Microsoft's."""
    return _with_names(value, _logon_names)


def _with_names(value: Any, read: Any) -> Told:
    if value is None:
        return Told()
    if isinstance(value, dict):
        value = _plain(value)
    if isinstance(value, list):
        told = [read(_word(one)) for one in value[:_MOST_ELEMENTS]]
        return _together(told, is_cut=len(value) > _MOST_ELEMENTS)
    found: Told = read(_word(value))
    return found


def _word(value: Any) -> str | float:
    """Returns an element of a list as text or number; what can't be a name as a text that is none."""
    plain = _plain(value)
    if plain is None:
        return ""
    if isinstance(plain, bool | list) or not isinstance(plain, str | int | float):
        return _NO_NAME
    return plain[:MOST_TEXT] if isinstance(plain, str) else plain


def _together(told: list[Told], *, is_cut: bool) -> Told:
    odd = next((one for one in told if one.note), Told())
    known = [one.value for one in told if one.value is not None]
    if told and not known:
        return odd
    names = frozenset(name for one in known for name in one.names)
    return Told(_shared(names, is_cut or any(one.is_cut for one in known) or len(known) < len(told)), odd.note, odd.kind)


@lru_cache(maxsize=4096)
def _shared(names: frozenset[str], is_cut: bool) -> Names:  # noqa: FBT001 - a key of the cache
    """Returns the same object for the same list: most mailboxes have one of few."""
    return Names(names, is_cut)


def _plain(value: Any) -> Any:
    """Returns what an object stands for: an enumeration's name, a list with its count, an object with its text."""
    for _depth in range(4):
        if not isinstance(value, Mapping):
            break
        lower = {str(key).lower(): inner for key, inner in value.items()}
        value = next((lower[key] for key in ("value", "name", "tostring", "guid", "address") if lower.get(key) is not None), "")
    return value


@lru_cache(maxsize=4096)
def _action_names(value: Any) -> Told:
    if isinstance(value, int | float):
        return _numbered(value)
    return _listed(str(value), catalogue().by_lower, catalogue().by_lower.get)


@lru_cache(maxsize=512)
def _logon_names(value: Any) -> Told:
    if isinstance(value, int | float):
        return Told(None, "a number in place of Admin, Delegate, Owner: join it with -join ','", "DefaultAuditSet as a number")
    known: dict[str, str] = {name: name for name in LOGONS}
    told = _listed(str(value), known, known.get)
    odd = told.value.names - known.keys() if told.value else frozenset()
    return Told(None, f"DefaultAuditSet has {', '.join(sorted(odd))}, which is no kind of log-on: left out") if odd else told


def _listed(text: str, known: Mapping[str, str], spell: Any) -> Told:
    """Returns the names in a text, parted by comma, semicolon, bar or blanks, with or without braces."""
    text = text.strip()
    if _TYPE_NAME.fullmatch(text):
        return Told(
            None,
            f"{shorten(text, 60)} in place of the list: join it, as in @{{n='AuditOwner';e={{$_.AuditOwner -join ','}}}}",
            "the name of a type in place of a list",
        )
    is_open = text.startswith("{") and not text.endswith("}")
    inner = text.removeprefix("{").removesuffix("}").strip()
    is_cut = inner.endswith(_CUT) or is_open
    for mark in _CUT:
        inner = inner.removesuffix(mark)
    words = [word for word in _BETWEEN.split(inner) if word]
    if is_open and words and not inner[-1:].isspace() and inner[-1:] not in ",;":
        words.pop()  # it may be the beginning of a longer name
    return _named(words, is_cut=is_cut, spell=spell, known=known)


def _named(words: list[str], *, is_cut: bool, spell: Any, known: Mapping[str, str]) -> Told:
    names: set[str] = set()
    for word in words[:_MOST_ELEMENTS]:
        if word.isdecimal() and known is catalogue().by_lower:
            return _numbered(int(word)) if len(words) == 1 and len(word) <= 18 else _sum_of(words)
        if not _NAME.fullmatch(word):
            return Told(None, f"{shorten(word, 40)!r} is no name of an action: the list is left out", "no name of an action")
        if word.lower() != "none":
            names.add(spell(word.lower()) or word)
    note = (
        "a list that is cut (…): what is behind it is not known: set $FormatEnumerationLimit = -1, or join it" if is_cut else ""
    )
    return Told(Names(frozenset(names), is_cut or len(words) > _MOST_ELEMENTS), note)


def _sum_of(words: list[str]) -> Told:
    if not all(word.isdecimal() and len(word) <= 18 for word in words):
        return Told(None, "numbers among names: the list is left out")
    return _together([_numbered(int(word)) for word in words], is_cut=False)


def _numbered(value: float) -> Told:
    """Returns the actions of a number, or of a sum of numbers; younger actions have none that is known."""
    number = int(value) if float(value).is_integer() else -1
    names = frozenset(name for name, bit in catalogue().numbers.items() if number > 0 and number & bit)
    is_whole = 0 <= number < 2 * max(catalogue().numbers.values())
    if not is_whole and not names:
        return Told(None, f"{value} in place of a name, and it is not known of which: join the list with -join ','", "a number")
    return Told(Names(names, is_cut=not is_whole))


def days(value: Any) -> Told:
    """Returns a length of time in days, as a float."""
    if value is None or isinstance(value, bool):
        return Told()
    if isinstance(value, Mapping):
        return _days_of_object({str(key).lower(): inner for key, inner in value.items()})
    if isinstance(value, int | float):
        return Told(float(value)) if 0 <= value < 10_000_000 else Told(None, f"{value} is no number of days: left out")
    text = str(value).strip()
    if found := _SPAN.fullmatch(text) or (_ISO_SPAN.fullmatch(text) if len(text) > 1 else None):
        day, hour, minute, second = (int(part or 0) for part in found.groups())
    elif found := _DAYS.fullmatch(text):
        day, hour, minute, second = int(found[1]), 0, 0, 0
    else:
        return Told() if not text else Told(None, f"{shorten(text, 40)!r} is no length of time as 90.00:00:00: left out")
    return Told(day + hour / 24 + minute / 1440 + second / 86400)


def _days_of_object(members: Mapping[str, Any]) -> Told:
    for key, units_a_day in (("ticks", _TICKS_A_DAY), ("totaldays", 1), ("days", 1)):
        found = members.get(key)
        if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < _MOST_TICKS:
            return Told(found / units_a_day)
    return days(members["value"]) if isinstance(members.get("value"), str) else Told()


def guid(value: Any) -> str:
    """Returns a GUID in lower case; empty where it is none, or all zeros."""
    found = _GUID.fullmatch(str(_plain(value)).strip().lower())
    return found[1] if found and found[1] != _NO_GUID else ""


def text(value: Any) -> str:
    """Returns text, without blanks around it; empty where it is none, or the name of a type."""
    plain = _plain(value)
    found = str(plain).strip()[:MOST_TEXT] if isinstance(plain, str | int | float) else ""
    return "" if _TYPE_NAME.fullmatch(found) else found


def mailbox_kind(value: Any) -> MailboxKind:
    """Returns what kind of mailbox a ``RecipientTypeDetails`` names, by name or number."""
    found = text(value).lower()
    if not found:
        return "unknown"
    return catalogue().kinds.get(found, "other" if found.endswith("mailbox") else "unknown")


def addresses(value: Any) -> Iterator[str]:
    """Yields the SMTP addresses of ``EmailAddresses``, in lower case."""
    parts = value if isinstance(value, list) else re.split(r"[\s,;{}]+", text(value)) if value is not None else []
    for part in parts[:_MOST_ELEMENTS]:
        found = text(part).lower()
        prefix, _, address = found.rpartition(":")
        if "@" in address and prefix in ("", "smtp") and len(address) <= 320:
            yield address
