"""Reads a YAML file; what is wrong with it is noted in words that say what to do, and nothing in it is without a bound."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ualpipe.pipeline.marked_yaml.advice import in_words
from ualpipe.pipeline.marked_yaml.decoding import NotText, decoded, read_bounded
from ualpipe.pipeline.marked_yaml.model import Defect, MarkedYaml
from ualpipe.pipeline.marked_yaml.reader import MAX_DEPTH, Reader
from ualpipe.pipeline.marked_yaml.references import References
from ualpipe.pipeline.wording import spelled_out

MAX_FILE_BYTES = 8 << 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SAFE_NESTING = 1000  # levels that libyaml's recursion takes for sure
_INDENT = re.compile(r"^[ \t?:-]*", re.MULTILINE)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> MarkedYaml:
    """Reads a YAML file; its defects are noted, not raised.

    ``${env:NAME}`` and ``${file:PATH}`` are substituted in string values only, after parsing, so that no content can change
    the structure. ``$${`` stands for a literal ``${``. Line ends and byte order marks around such a text are left out; relative
    paths start at the config's folder. ``<<`` merges mappings; top-level keys that begin with ``x-`` hold anchors alone.

    Raises:
        OSError: The file can't be read.
    """
    marked = MarkedYaml()
    try:
        text, _ = decoded(read_bounded(path, MAX_FILE_BYTES))
        node = _composed(text)
    except NotText as exc:
        marked.defects.append(Defect(exc.line, 1, "", f"not YAML: {exc}" + (f": {exc.advice}" if exc.advice else "")))
    except yaml.MarkedYAMLError as exc:
        marked.defects.append(_defect_of(exc, text))
    except yaml.reader.ReaderError as exc:
        marked.defects.append(_odd_character(exc, text))
    else:
        if node is not None:
            marked.data = Reader(marked, text, References(marked, path.parent, environ)).read(node)
    return marked


def _composed(text: str) -> yaml.Node | None:
    if _may_be_deep(text) and _is_deeper_than(text, MAX_DEPTH):
        raise NotText(f"nested deeper than {MAX_DEPTH} levels")
    node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    return node


def _may_be_deep(text: str) -> bool:
    deepest = max((len(indent) for indent in _INDENT.findall(text)), default=0)
    return text.count("[") + text.count("{") + deepest > _SAFE_NESTING


def _is_deeper_than(text: str, limit: int) -> bool:
    """Returns whether collections stand within one another too often, by events: nodes are made by recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > limit:
            return True
    return False


def _defect_of(exc: yaml.MarkedYAMLError, text: str) -> Defect:
    mark = exc.problem_mark or exc.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Defect(line, column, "", f"not YAML: {in_words(exc, text, line, column)}")


def _odd_character(exc: yaml.reader.ReaderError, text: str) -> Defect:
    """Returns the defect of a character that YAML takes nowhere; libyaml tells neither line nor, for sure, position."""
    odd = chr(exc.character) if isinstance(exc.character, int) else str(exc.character)
    before = text.partition(odd)[0]
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    return Defect(line, column, "", f"not YAML: the character {spelled_out(odd)} may stand nowhere: remove it")
