"""Turns YAML nodes into data, and notes places, defects and what the writer probably did not mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from ualpipe.pipeline.marked_yaml.model import Defect, MarkedYaml, Pointer, dotted
from ualpipe.pipeline.marked_yaml.references import References
from ualpipe.pipeline.marked_yaml.scalars import comment_behind, misread, plain_value
from ualpipe.pipeline.wording import spelled_out

MAX_DEPTH = 100
"""Levels of mappings and lists within one another."""
MAX_VALUES = 200_000
"""Values of a file, each counted as often as aliases and merge keys repeat it."""
EXTENSION = "x-"
"""How top-level keys begin that hold what is used elsewhere by an alias."""

_MERGE = "tag:yaml.org,2002:merge"
_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_HOW_TO_MERGE = "<< takes a mapping, or a list of mappings: write <<: *NAME or <<: [*NAME, *OTHER]"


class _TooMany(Exception):
    """Aliases repeat more values than a config can mean."""


class Reader:
    """Reads the nodes of one file."""

    def __init__(self, marked: MarkedYaml, text: str, references: References) -> None:
        """Reads nothing yet.

        Args:
            marked: Gets places, defects and warnings.
            text: The file, in which nodes know their positions.
            references: Follows the references in values.
        """
        self._marked = marked
        self._text = text
        self._references = references
        self._under_way: set[int] = set()
        self._left = MAX_VALUES

    def read(self, node: yaml.Node) -> Any:
        """Returns the data of a document; None, with a defect, where its aliases repeat too much."""
        try:
            return self._value(node, ())
        except _TooMany:
            self._marked.defects[:] = [
                Defect(1, 1, "", f"aliases and merge keys make more than {MAX_VALUES:,} values of this file")
            ]
            return None

    def _value(self, node: yaml.Node, pointer: Pointer) -> Any:
        self._count()
        self._marked.places.setdefault(pointer, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, pointer)
        if id(node) in self._under_way:
            self._marked.defect(pointer, "the alias leads back into itself")
            return None
        if len(pointer) > MAX_DEPTH:
            self._marked.defect(pointer[:MAX_DEPTH], f"nested deeper than {MAX_DEPTH} levels")
            return None
        if node.tag not in _COLLECTIONS:
            self._marked.defect(pointer, f"{node.tag.removeprefix('tag:yaml.org,2002:')} is a tag that no config has: remove it")
        self._under_way.add(id(node))
        value = self._collection(node, pointer)
        self._under_way.discard(id(node))
        return value

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooMany

    def _collection(self, node: yaml.Node, pointer: Pointer) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {key: self._value(child, (*pointer, key)) for key, child in self._pairs(node, pointer)}
        assert isinstance(node, yaml.SequenceNode)
        return [self._value(child, (*pointer, index)) for index, child in enumerate(node.value)]

    def _pairs(self, node: yaml.MappingNode, pointer: Pointer) -> Iterator[tuple[str, yaml.Node]]:
        """Yields the keys of a mapping with their values, its own first, then those that it merges and does not have."""
        seen: set[str] = set()
        merges = [pair for pair in node.value if pair[0].tag == _MERGE]
        for key, key_node, child in self._own_pairs(node, pointer, seen):
            if pointer or not key.startswith(EXTENSION):
                self._marked.places[(*pointer, key)] = _place(key_node)
                yield key, child
        for at, (key_node, child) in enumerate(merges):
            if at:
                self._note(key_node, (*pointer, "<<"), "the key stands twice: write <<: [*NAME, *OTHER]")
                continue
            for key, merged_key, merged in self._merged(child, key_node, pointer, {id(node)}):
                if key not in seen:
                    seen.add(key)
                    self._marked.places[(*pointer, key)] = _place(merged_key)
                    yield key, merged

    def _own_pairs(self, node: yaml.MappingNode, pointer: Pointer, seen: set[str]) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yields key, its node and value of a mapping, without merge keys; a key that stands twice is a defect."""
        for key_node, child in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(key_node, pointer, "a key must be text")
                continue
            key = str(key_node.value)
            if key in seen:
                self._note(key_node, (*pointer, key), "the key stands twice; remove one")
                continue
            seen.add(key)
            yield key, key_node, child

    def _merged(
        self, node: yaml.Node, at: yaml.Node, pointer: Pointer, above: set[int]
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yields what a merge key brings: of several mappings the first counts, of one its own keys before those it merges."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            self._count()
            if not isinstance(part, yaml.MappingNode):
                self._note(at, (*pointer, "<<"), _HOW_TO_MERGE)
                continue
            if id(part) in above or len(above) > MAX_DEPTH:
                self._note(at, (*pointer, "<<"), "the alias leads back into itself")
                continue
            seen: set[str] = set()
            yield from self._counted(self._own_pairs(part, pointer, seen))
            for key_node, child in part.value:
                if key_node.tag == _MERGE:
                    yield from self._merged(child, key_node, pointer, above | {id(part)})

    def _counted(self, pairs: Iterator[tuple[str, yaml.Node, yaml.Node]]) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        for pair in pairs:
            self._count()
            yield pair

    def _note(self, node: yaml.Node, pointer: Pointer, message: str) -> None:
        self._marked.defects.append(Defect(*_place(node), spelled_out(dotted(pointer)), message))

    def _scalar(self, node: yaml.ScalarNode, pointer: Pointer) -> Any:
        if message := misread(node, self._text):
            self._marked.unresolved.add(pointer)
            self._marked.defect(pointer, message)
            return None
        if comment := comment_behind(node, self._text):
            self._marked.commented.add(pointer)
            if comment.is_doubtful:
                self._marked.warning(pointer, comment.advice)
        try:
            value, is_as_written = plain_value(node)
        except ValueError as exc:
            self._marked.defect(pointer, str(exc))
            return None
        if not is_as_written:
            self._marked.written[pointer] = node.value
        return self._references.substituted(value, pointer) if isinstance(value, str) else value


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
