"""Redaction: secrets, also those that come to be known in the middle of a run, are blanked in logs and messages.

A secret is blanked in every spelling that a library, a service or a shell may give it, and in parts: whoever cuts a text may
leave the half of a secret. So texts are blanked first and cut afterwards.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

MIN_SECRET_LENGTH = 4  # a shorter "secret" would blank ordinary words
PART_LENGTH = 9
"""So many characters of a secret, wherever in it, are blanked even where the rest is missing."""

_BLANK = "***"
_MIN_DERIVED = 6  # characters of a base64 text; a shorter one is found in ordinary words
_GRAM = 5
"""Characters that are looked up at a time. Where a text is looked at in every fifth place, and a secret is known from every place
on, a part of nine characters has five that are found."""
_LONG = 512  # characters of a spelling from which on it is known from fewer places: a token has thousands
_STRIDE = 4  # of a long secret as it is: parts of 24 characters are found
_STRIDE_DERIVED = 11  # of its spellings: parts of 59
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_TOKENS = re.compile(
    r"(?i)((?:bearer|sharedaccesssignature)(?:\s|%20|\+)+|(?:basic|apikey|negotiate)(?:\s|%20|\+)+(?=[\w\-.~+/%]*[0-9=+/])(?=\S{8})"
    r"|(?:client_secret|client_assertion|password|passwd|api_key|apikey|sharedaccesskey|sig)(?:=|%3d)"
    r"|(?:access_token|refresh_token|id_token)[\\\"']*\s*[:=]\s*[\\\"']*|client_secret[\\\"']+\s*[:=]\s*[\\\"']*)[\w\-.~+/=%]+"
)
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*)*")  # base64url of `{"`: a token that nobody told us of
_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def spellings(text: str) -> set[str]:
    """Returns a secret as it may stand in a text: escaped, encoded, and escaped once more."""
    if len(text) > _LONG:  # a token
        return {text, *_escaped(text), *_base64(_bytes(text))}
    plain = {text, text.strip(), " ".join(text.split()), *(unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC"))}
    escaped = {form for word in plain for form in _escaped(word)}
    encoded = {form for word in plain for form in _encoded(word)}
    return {*plain, *escaped, *encoded, *(form for word in escaped for form in _escaped(word))}


def _escaped(text: str) -> Iterator[str]:
    """Yields a text as languages and formats write it."""
    raw = _bytes(text)
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    yield repr(raw)[2:-1]
    yield raw.decode("latin-1")
    for as_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield from (as_json, as_json.replace("/", "\\/"))
    yield from (quote(raw, safe=safe) for safe in ("", "/", "/:?#[]@!$&'()*+,;=", "*", "~()*!.'"))
    yield quote(raw, safe="").replace("%20", "+")
    as_html = html.escape(text)
    yield from (as_html, html.escape(text, quote=False), as_html.replace("&#x27;", "&#39;"), as_html.replace("&#x27;", "&apos;"))
    yield from (text.replace(mark, mark * 2) for mark in "\"'\\")


def _encoded(text: str) -> Iterator[str]:
    """Yields a text in which every character is written in another way."""
    raw = _bytes(text)
    for wide in (_bytes(text, "utf-16-le"), _bytes(text, "utf-16-be")):
        yield wide.decode("latin-1")
        yield repr(wide)[2:-1]
        yield json.dumps(wide.decode("latin-1"))[1:-1]
        yield wide.hex()
        yield from _base64(wide)
    yield from _base64(raw)
    yield base64.b32encode(raw).decode().rstrip("=")
    yield from (raw.hex(mark) if mark else raw.hex() for mark in ("", ":", " ", "-"))
    yield from ("".join(form % byte for byte in raw) for form in ("%%%02X", "\\x%02x", "&#%d;", "&#x%x;", "=%02X", "\\%03o"))
    yield "".join(f"\\u{ord(sign):04x}" for sign in text)


def _base64(raw: bytes) -> Iterator[str]:
    """Yields the characters of base64 that a text has for sure, whatever stands before and behind it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in range(3):  # in groups of three bytes, a text begins at one of three places
            found = encode(b"\0" * before + raw).decode()
            yield found[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


def _bytes(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding, "surrogatepass")


class _Texts:
    """Texts to blank, and where a text holds parts of them. Thread-safe."""

    def __init__(self) -> None:
        self._grams: dict[str, list[_Place]] = {}
        self._whole: dict[str, str] = {}  # spelling -> text
        self._added: dict[str, bool] = {}  # text -> whether it is known in every spelling
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, text: str, *, parts: bool) -> None:
        """Adds a text, in every spelling: also parts of it, or nothing but the whole."""
        if len(text.strip()) < MIN_SECRET_LENGTH or self._added.get(text, False) or (text in self._added and not parts):
            return
        with self._lock:
            self._added[text] = parts
            for spelling in sorted(spellings(text)):
                self._note(spelling, text, parts=parts)
            self._compile()

    def discard(self, text: str) -> None:
        """Lets go of a text."""
        with self._lock:
            if self._added.pop(text, None) is None:
                return
            left = {gram: [place for place in places if place.text != text] for gram, places in self._grams.items()}
            self._grams = {gram: places for gram, places in left.items() if places}
            self._whole = {spelling: owner for spelling, owner in self._whole.items() if owner != text}
            self._compile()

    def clear(self) -> None:
        """Lets go of all texts."""
        with self._lock:
            self._grams, self._whole, self._added, self._pattern = {}, {}, {}, None

    def _note(self, spelling: str, text: str, *, parts: bool) -> None:
        is_plain = spelling in (text, text.strip())
        if not parts or len(spelling) < PART_LENGTH:
            if len(spelling) >= (MIN_SECRET_LENGTH if is_plain else _MIN_DERIVED):
                self._whole[spelling] = text
            return
        folded = _folded(spelling)
        stride = 1 if len(folded) <= _LONG else _STRIDE if is_plain else _STRIDE_DERIVED
        for start in range(0, len(folded) - _GRAM + 1, stride):
            self._grams.setdefault(folded[start : start + _GRAM], []).append(_Place(folded, start, text))

    def _compile(self) -> None:
        words = sorted(self._whole, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def blanked(self, text: str) -> str:
        """Returns a text without the secrets and their parts."""
        if self._grams and len(text) >= PART_LENGTH:
            text = _without(text, self._extents(_folded(text)))
        return self._pattern.sub(_BLANK, text) if self._pattern else text

    def _extents(self, text: str) -> list[tuple[int, int]]:
        grams = self._grams
        found = []
        for at in range(0, len(text) - _GRAM + 1, _GRAM):
            if places := grams.get(text[at : at + _GRAM]):
                extents = {_extent(text, at, place) for place in list(places)}
                found += [(start, stop) for start, stop in extents if stop - start >= PART_LENGTH]
        return sorted(found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where some characters stand: in which spelling, at which position, of which text."""

    spelling: str
    position: int
    text: str


def _extent(text: str, at: int, place: _Place) -> tuple[int, int]:
    """Returns where in a text a spelling begins and ends, of which some characters stand at ``at``."""
    spelling, start, stop = place.spelling, at, at + _GRAM
    shift = place.position - at
    while start > 0 and start + shift > 0 and text[start - 1] == spelling[start + shift - 1]:
        start -= 1
    while stop < len(text) and stop + shift < len(spelling) and text[stop] == spelling[stop + shift]:
        stop += 1
    return start, stop


def _without(text: str, extents: list[tuple[int, int]]) -> str:
    """Returns a text with a mark in place of each stretch that any of the extents cover, which are in order."""
    kept: list[str] = []
    end = 0
    for start, stop in extents:
        if start > end or not kept:
            kept += [text[end:start], _BLANK]
        end = max(end, stop)
    return "".join([*kept, text[end:]]) if kept else text


def _folded(text: str) -> str:
    """Returns a text in which large letters are small ones: hosts and percent codes come in either."""
    return text.translate(_LOWER)


_known = _Texts()


def hide(text: str, *, instead_of: str = "") -> None:
    """Makes a text a secret, for the rest of the process.

    Args:
        text: The secret. Of a URL only the user and the password are one, and the URL as a whole.
        instead_of: A secret that has lost its meaning, as a token that has expired: let go of.
    """
    for secret in secrets_of(text):
        _known.add(secret, parts=True)
    if _URL.match(text):
        _known.add(text, parts=False)
    if instead_of:
        _known.discard(instead_of)


def hide_whole(text: str) -> None:
    """Has a text blanked where it stands whole, in any spelling: it came from outside the config, but need not be a secret."""
    _known.add(text, parts=False)


def forget() -> None:
    """Lets go of all secrets: a process that goes on with another config, as tests do, shows again what they hid."""
    _known.clear()


def secrets_of(text: str) -> list[str]:
    """Returns what is secret in the text of an option: all of it, or the user and password of a URL."""
    if not _URL.match(text):
        return [text]
    try:
        user, _, password = urlsplit(text).netloc.rpartition("@")[0].partition(":")
    except ValueError:
        return [text]
    pairs = [(user, password), (unquote(user), unquote(password))]
    return [found for name, word in pairs if word for found in (word, f"{name}:{word}")]


class Redactor:
    """Blanks known secrets, and what looks like a token, in any text."""

    def __init__(self, secrets: Iterable[str] = (), *, parts: bool = True) -> None:
        """Takes secrets besides those of the process (``hide``), and whether parts of them are blanked as well."""
        self._own = _Texts()
        for secret in secrets:
            self._own.add(secret, parts=parts)

    def __call__(self, text: str) -> str:
        text = _known.blanked(self._own.blanked(text))
        return _PRIVATE_KEY.sub(_BLANK, _JWT.sub(_BLANK, _TOKENS.sub(rf"\1{_BLANK}", text)))


blanked: Callable[[str], str] = Redactor()
"""Blanks every secret that this process knows of in a text that is kept or shown: a service may say again what it was told."""
