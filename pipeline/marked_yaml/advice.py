"""What to do about a text that is no YAML: the parser's words say what it met, not what the writer did. Pure."""

from __future__ import annotations

import unicodedata

import yaml

from ualpipe.pipeline.wording import is_unseen, named

_QUOTE = "put the value in single quotes"
_TYPOGRAPHIC = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_BY_PROBLEM = {
    "a tab character": "a tab stands where only blanks indent: write blanks",
    "unknown escape": "in double quotes a backslash begins an escape: write a Windows path in single quotes, 'C:\\data'",
    "expected hexdecimal": "in double quotes a backslash begins an escape: write a Windows path in single quotes, 'C:\\users'",
    "another document": "a config is one document: remove the line ---, or what stands before it",
    "expected <document start>": "a config is one document: remove the line that ends the first",
    "undefined alias": f"a value that begins with * is taken for an alias: {_QUOTE}",
    "expected comment or line break": f"a value that begins with | or > is taken for a block of text: {_QUOTE}",
    "unexpected end of stream": "a quotation mark that is opened above is never closed",
    "expected ',' or ']'": f"close the list with ]; {_QUOTE}, if it begins with [ or holds one of [ ] {{ }} ,",
    "expected ',' or '}'": f"close the mapping with }}; {_QUOTE}, if it begins with {{ or holds one of [ ] {{ }} ,",
    "expected node content": f"{_QUOTE}, if it begins with one of [ ] {{ }} ,",
    "mapping values": "indent the line as its neighbours; put a value that holds ': ' in quotes; write a blank behind a colon",
    "mapping keys are not": f"a value that begins with ? is taken for a key: {_QUOTE}",
    "block sequence entries": f"begin a list on a line of its own; {_QUOTE}, if it begins with '- '",
    "expected key": "indent the line as its neighbours; a quoted value ends at its second quotation mark",
    "expected ':'": "write a blank behind the colon of a key",
    "directive": "a line that begins with % is taken for a directive: put it in quotes",
    "tag": f"a value that begins with ! is taken for a tag: {_QUOTE}",
    "anchor": f"a value that begins with & is taken for an anchor: {_QUOTE}",
    "alias": f"a value that begins with * is taken for an alias: {_QUOTE}",
}


def advice(exc: yaml.MarkedYAMLError, text: str, line: int, column: int) -> str:
    """Returns what to do about an error of the parser, to stand behind its words; empty where nothing is known.

    Args:
        exc: The error.
        text: The whole file.
        line: Where it was met, from 1.
        column: Where in the line, from 1.
    """
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    odd = _odd_signs(lines[max(0, line - 2) : line])
    found = [_of_character(here[column - 1 : column]) if "start any token" in str(exc.problem) else _of_problem(exc), odd]
    return "".join(f"; {part}" for part in found if part)


def _of_problem(exc: yaml.MarkedYAMLError) -> str:
    words = f"{exc.problem} {exc.context}"
    return next((text for mark, text in _BY_PROBLEM.items() if mark in words), "")


def _of_character(sign: str) -> str:
    if sign == "\t":
        return "a tab stands where only blanks indent: write blanks"
    return f"a value can't begin with {sign}: {_QUOTE}" if sign else ""


def _odd_signs(lines: list[str]) -> str:
    """Names what editors and web pages put in place of what was typed: blanks, dashes and quotation marks that are none."""
    signs = (sign for line in lines for sign in line if _is_odd(sign))
    if (sign := next(signs, None)) is None:
        return ""
    return f"here or on the line above stands a {named(sign)}: was it pasted from a document? Type it anew"


def _is_odd(sign: str) -> bool:
    return sign in _TYPOGRAPHIC or (sign != "-" and unicodedata.category(sign) == "Pd") or (sign != "\t" and is_unseen(sign))
