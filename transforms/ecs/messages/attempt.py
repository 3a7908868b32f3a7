"""Turns a text about what was done into one about what failed: ``X created Y`` into ``X failed to create Y``."""

from __future__ import annotations

from collections.abc import Mapping

from ualpipe.transforms.ecs.messages.model import VERB, Variant
from ualpipe.transforms.ecs.messages.template import Blank, Parts

_ACTOR = "user"


def attempted(variants: tuple[Variant, ...], verb: str, attempts: Mapping[str, str]) -> tuple[Variant, ...]:
    """Returns the texts for a failed operation; empty where one of them does not begin with ``{user}`` and a known verb.

    Args:
        variants: The texts about what was done.
        verb: What ``{verb}`` stands for.
        attempts: Verbs in the past tense with their infinitive.
    """
    found = [(variant, _attempted(variant.parts, verb, attempts)) for variant in variants]
    if not all(parts for _variant, parts in found):
        return ()
    return tuple(Variant(parts, variant.values, variant.when) for variant, parts in found)


def _attempted(parts: Parts, verb: str, attempts: Mapping[str, str]) -> Parts:
    if len(parts) < 2 or parts[0] != Blank(_ACTOR) or not isinstance(parts[1], str):
        return ()
    rest = parts[1:]
    if parts[1] == " " and parts[2:3] == (Blank(VERB),):
        rest = (f" {verb}", *parts[3:])
    words = str(rest[0])
    first, blank, more = words.strip(" ").partition(" ")
    if not words.startswith(" ") or first not in attempts:
        return ()
    end = " " if words.endswith(" ") and blank else ""
    return (parts[0], f" failed to {attempts[first]}{blank}{more}{end}", *rest[1:])
