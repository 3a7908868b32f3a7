"""What to do about a text that is no YAML: the parser's words say what it met, not what the writer did. Pure."""

from __future__ import annotations

import unicodedata

import yaml

from ualpipe.pipeline.wording import is_unseen, named

_QUOTE = "put the value in single quotes"
_TYPOGRAPHIC = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_BY_PROBLEM = {
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
    "mapping keys are not": f"a value that begins with ? is taken for a key: {_QUOTE}",
    "block sequence entries": f"begin a list on a line of its own; {_QUOTE}, if it begins with '- '",
    "expected ':'": "write a blank behind the colon of a key",
    "directive": "a line that begins with % is taken for a directive: put it in quotes",
    "tag": f"a value that begins with ! is taken for a tag: {_QUOTE}",
    "anchor": f"a value that begins with & is taken for an anchor: {_QUOTE}",
    "alias": f"a value that begins with * is taken for an alias: {_QUOTE}",
}
_TAB = "a tab stands where only blanks indent: write blanks"


def in_words(exc: yaml.MarkedYAMLError, text: str, line: int, column: int) -> str:
    """Returns what is wrong and what to do about it: of indentation in plain words, else behind the words of the parser.

    Args:
        exc: The error.
        text: The whole file.
        line: Where it was met, from 1.
        column: Where in the line, from 1.
    """
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    odd = _odd_signs(lines[max(0, line - 2) : line])
    if plain := _of_indentation(exc, lines, line, column):
        return "; ".join(filter(None, [plain, odd]))
    advice = _of_character(here[column - 1 : column]) if "start any token" in str(exc.problem) else _of_problem(exc)
    return "; ".join(filter(None, [str(exc.problem or exc.context), advice, odd]))


def _of_indentation(exc: yaml.MarkedYAMLError, lines: list[str], line: int, column: int) -> str:
    """Returns what is wrong in the words of whoever wrote the file, where a line is indented wrongly; else nothing."""
    problem = str(exc.problem)
    here = lines[line - 1] if line <= len(lines) else ""
    if "a tab character" in problem or ("start any token" in problem and here.lstrip(" ").startswith("\t")):
        return _TAB
    is_too_deep = "mapping values" in problem
    if not (is_too_deep or "expected key" in problem or "block end" in problem or "expected '-' indicator" in problem):
        return ""
    above = next((one for one in reversed(lines[: line - 1]) if one.strip() and not one.lstrip().startswith("#")), "")
    is_below_key = above.rstrip().endswith(":") and _indent(here) > _indent(above)
    is_elsewhere = not is_too_deep and column - 1 != _indent(here)
    if _indent(here) == _indent(above) or is_below_key or is_elsewhere:
        cause = "put a value that holds ': ' in quotes, and write a blank behind a colon that ends a key"
        return cause if is_too_deep else "a quoted value ends at its second quotation mark: put it in quotes of the other kind"
    return (
        f"the line is indented by {_indent(here)}, the line above by {_indent(above)}: begin each key of a mapping in the same "
        "column, and what belongs to a key further to the right"
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _of_problem(exc: yaml.MarkedYAMLError) -> str:
    words = f"{exc.problem} {exc.context}"
    return next((text for mark, text in _BY_PROBLEM.items() if mark in words), "")


def _of_character(sign: str) -> str:
    if sign == "\t":
        return _TAB
    return f"a value can't begin with {sign}: {_QUOTE}" if sign else ""


def _odd_signs(lines: list[str]) -> str:
    """Names what editors and web pages put in place of what was typed: blanks, dashes and quotation marks that are none."""
    signs = (sign for line in lines for sign in line if _is_odd(sign))
    if (sign := next(signs, None)) is None:
        return ""
    return f"here or on the line above stands a {named(sign)}: was it pasted from a document? Type it anew"


def _is_odd(sign: str) -> bool:
    return sign in _TYPOGRAPHIC or (sign != "-" and unicodedata.category(sign) == "Pd") or (sign != "\t" and is_unseen(sign))
