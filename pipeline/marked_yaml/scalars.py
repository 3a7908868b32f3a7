"""Single values of YAML: what they stand for, and where a writer falls into a trap of the notation. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

_YAML = "tag:yaml.org,2002:"
_TEXTS = {"str", "timestamp", "merge", "value"}
_TYPED = {"null", "bool", "int", "float"}
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_DRIVE = re.compile(r'"(?:[A-Za-z]:\\(?!\\)|\\(?!\\)[A-Za-z]\w+[\\."]|\\\\(?!\\)\w+\\(?!\\))')
_COMMENT = re.compile(r"[ \t]+#(.?)")
_CLEARLY_COMMENTS = frozenset(" \t\r\n#-=!*~_")
_SHOWN = {None: "null", True: "true", False: "false"}
_scalars: Any = yaml.constructor.SafeConstructor()


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment behind a value.

    Attributes:
        is_doubtful: It begins as a comment seldom does: the value may have been meant to go on.
    """

    is_doubtful: bool

    @property
    def advice(self) -> str:
        """What to do about a comment that may be none."""
        return (
            "the value ends before ' #', where a comment begins: put it in quotes if # belongs to it, or write a blank behind #"
        )


def plain_value(node: yaml.ScalarNode) -> tuple[Any, bool]:
    """Returns what a value stands for, and whether it would be shown as it is written.

    Dates stay text, and so does ``22:22``, which YAML 1.1 takes for a number in base 60.

    Raises:
        ValueError: It has a tag that it does not fit.
    """
    kind = node.tag.removeprefix(_YAML)
    if kind not in _TYPED or (kind in ("int", "float") and ":" in node.value):
        return node.value, True
    try:
        value = getattr(_scalars, f"construct_yaml_{kind}")(node)
    except (ValueError, KeyError):
        raise ValueError(f"the value is no {kind}, as its tag says") from None
    shown = _SHOWN[value] if value is None or isinstance(value, bool) else str(value)
    return value, node.value in (shown, "")


def misread(node: yaml.ScalarNode, text: str) -> str:
    """Returns why a value is not what its writer sees, and what to write; empty where it is.

    Args:
        node: The value.
        text: The file that it stands in.
    """
    raw = text[node.start_mark.index : node.end_mark.index]
    if node.style == '"' and _DRIVE.match(raw):
        return "in double quotes a backslash begins an escape (\\t is a tab): write a Windows path in single quotes, 'C:\\temp'"
    if raw.startswith("!") and node.tag.removeprefix(_YAML) not in _TYPED | {"str"} | _TEXTS:
        return "a value that begins with ! is taken for a tag: put it in single quotes"
    if raw == "!" or (node.tag == "!" and not node.value):
        return "a value that begins with ! is taken for a tag: put it in single quotes"
    if not node.value and not node.style and raw.startswith("&"):
        return "a value that begins with & is taken for an anchor: put it in single quotes"
    if node.style is None or not node.style:
        return _of_number(node)
    return ""


def _of_number(node: yaml.ScalarNode) -> str:
    written = node.value
    if node.tag != f"{_YAML}int" or not _OCTAL.fullmatch(written):
        return ""
    number = written.replace("_", "")
    sign = "-" if number.startswith("-") else ""
    decimal = sign + (number.lstrip("+-").lstrip("0") or "0")
    return f'{written} is taken for an octal number: write {decimal} for the number, or "{written}" in quotes for the text'


def comment_behind(node: yaml.ScalarNode, text: str) -> Comment | None:
    """Returns the comment that stands behind an unquoted value on the same line."""
    if node.style:
        return None
    match = _COMMENT.match(text, node.end_mark.index)
    return Comment(is_doubtful=bool(match[1]) and match[1] not in _CLEARLY_COMMENTS) if match else None
