"""Texts of a config that fit their option and yet are not what they seem: signs that can't be seen or look like others. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ualpipe.pipeline.marked_yaml import Pointer
from ualpipe.pipeline.wording import is_unseen, named

_QUOTED = re.compile(
    r"[\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a].*"
    r"[\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a]",
    re.DOTALL,
)
_CONTROLS = ("Cc", "Cs")
_ALPHABETS = ("CYRILLIC", "GREEK")


@dataclass(frozen=True, slots=True)
class Remark:
    """What is odd about a value, and what to do; the value itself is not in it.

    Attributes:
        is_wrong: It can't be meant: an error. Else a warning.
    """

    text: str
    is_wrong: bool = False


def odd_texts(schema: Mapping[str, Any], value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, Remark]]:
    """Yields remarks on the texts of a section that fits its schema; secrets and conditions are left to others."""
    for place, found, inner in leaves(schema, value, pointer):
        if isinstance(found, str) and not is_free(inner) and not is_secret(inner):
            yield from ((place, remark) for remark in remarks(found))


def misread_values(
    schema: Mapping[str, Any], value: Any, pointer: Pointer, written: Mapping[Pointer, str]
) -> Iterator[tuple[Pointer, Remark]]:
    """Yields remarks on values in conditions that YAML takes for something else than text: ``NO`` is false, ``1.10`` is 1.1."""
    for place, found, inner in leaves(schema, value, pointer):
        text = written.get(place, "~")
        if is_free(inner) and text != "~" and text.lower() != shown(found):
            yield place, Remark(f'{text} is taken for {shown(found)}: write "{text}" in quotes for the text, or {shown(found)}')


def shown(value: Any) -> str:
    """Returns a value of YAML as YAML writes it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def leaves(schema: Mapping[str, Any], value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, Any, Mapping[str, Any]]]:
    """Yields the single values of a section: place, value, and the schema of the option that each belongs to."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(_schema_of_key(schema, key), child, (*pointer, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from leaves(_schema_of_item(schema), child, (*pointer, index))
    else:
        yield pointer, value, schema


def _schema_of_key(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    for choice in _choices(schema):
        if key in choice.get("properties", {}):
            return choice["properties"][key]  # type: ignore[no-any-return]
        if isinstance(choice.get("additionalProperties"), dict):
            return choice["additionalProperties"]  # type: ignore[no-any-return]
    return schema


def _schema_of_item(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((choice["items"] for choice in _choices(schema) if isinstance(choice.get("items"), dict)), schema)


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [schema, *schema.get("anyOf", ())]


def is_secret(schema: Mapping[str, Any]) -> bool:
    """Returns whether an option holds a secret."""
    return any(choice.get("x-secret") for choice in _choices(schema))


def is_free(schema: Mapping[str, Any]) -> bool:
    """Returns whether an option takes values of any type: conditions, which compare text with text and numbers with numbers."""
    return isinstance(schema.get("type"), list)


def remarks(text: str) -> Iterator[Remark]:
    """Yields what is odd about a text."""
    if (at := next((index for index, sign in enumerate(text) if unicodedata.category(sign) in _CONTROLS), None)) is not None:
        hint = (
            "; in double quotes a backslash begins an escape: write the value in single quotes"
            if text[at] in "\t\n\r\a\b\f\v\x1b\0"
            else ""
        )
        yield Remark(f"holds the character {named(text[at])} at position {at + 1}: take it out{hint}", is_wrong=True)
    elif (at := next((index for index, sign in enumerate(text) if is_unseen(sign)), None)) is not None:
        yield Remark(
            f"holds the character {named(text[at])} at position {at + 1}, which can't be seen: take it out, or type a plain blank"
        )
    elif text != text.strip():
        yield Remark("begins or ends with a blank, which is a part of the value: take it out")
    elif _QUOTED.fullmatch(text):
        yield Remark(f"stands in typographic quotation marks ({named(text[0])}), a part of the value: write ' or \"")
    elif sign := look_alike(text):
        yield Remark(f"holds the character {named(sign)}, which looks like another character: type it anew, if it was pasted")


def look_alike(text: str) -> str:
    """Returns a character that looks like one of ASCII: a dash that is none, a Cyrillic or Greek letter in a Latin word."""
    for word in text.split():
        letters = {unicodedata.name(sign, "").partition(" ")[0] for sign in word if sign.isalpha()}
        for sign in word:
            is_dash = sign != "-" and unicodedata.category(sign) == "Pd" and len(word) > 1
            alphabet = unicodedata.name(sign, "").partition(" ")[0] if not sign.isascii() else ""
            if is_dash or sign == "\u2212" or (alphabet in _ALPHABETS and "LATIN" in letters):
                return sign
    return ""
