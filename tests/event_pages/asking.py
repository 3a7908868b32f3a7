"""Whether a rule's condition holds for the document of a record, as a search over our index would answer it.

Elastic's conditions are mappings: every entry has to hold, ``any`` is a list of conditions of which one has to, ``not`` one
that may not. An entry is a field, with the way of asking behind ``|`` (``like``, ``like~``, ``from``, ``exists``; else it is
the value), and one value or several of which one has to be there. ``{user.domain}`` in a value is that of the document.
Sigma's detections are converted by the processing pipeline that ships, and what comes of it is asked.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sigma.backends.elasticsearch import EqlBackend, LuceneBackend
from sigma.collection import SigmaCollection
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionItem, ConditionNOT, ConditionOR
from sigma.processing.pipeline import ProcessingPipeline
from sigma.types import SigmaString

from detections import CanNotBeAsked, Question, answers, merged, transform
from event_pages.reading import ELASTIC, Rule
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.schemas import read_text

ORIGIN = Origin("files", "", "events", "events", Chunk(b"", "lines", []))
BACKENDS = {"lucene": LuceneBackend, "eql": EqlBackend}


def event_of(record: Mapping[str, Any]) -> Event:
    """Returns an event as transforms get it."""
    return Event(dict(record), 0, ORIGIN)


def document_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what ``ecs`` makes of a record; under ``ecs`` stands what a later transform would add."""
    made = transform().apply(event_of({name: value for name, value in record.items() if name != "ecs"})).document
    assert made is not None
    return merged(copy.deepcopy(made), record.get("ecs", {}))


def finds(rule: Rule, record: Mapping[str, Any]) -> bool:
    """Returns whether a rule's condition holds for one record.

    Raises:
        CanNotBeAsked: An index of our types can't answer Elastic's condition.
    """
    document = document_of(record)
    if rule.repository == ELASTIC:
        return _holds(rule.asks, rule.language, document)
    return _holds_of_sigma(_converted(rule), rule.language, document)


def fields_asked(rule: Rule) -> set[str]:
    """Returns the fields of the document that a rule asks for."""
    if rule.repository == ELASTIC:
        return set(_named(rule.asks))
    return {leaf.field for leaf in _leaves(_converted(rule))}


def _named(asks: Mapping[str, Any]) -> Iterator[str]:
    for key, value in asks.items():
        if key == "any":
            for one in value:
                yield from _named(one)
        elif key == "not":
            yield from _named(value)
        else:
            yield key.partition("|")[0]


def _holds(asks: Mapping[str, Any], language: str, document: Mapping[str, Any]) -> bool:
    return all(_entry_holds(key, value, language, document) for key, value in asks.items())


def _entry_holds(key: str, value: Any, language: str, document: Mapping[str, Any]) -> bool:
    if key == "any":
        branches = [_holds(one, language, document) for one in value]  # all of them: one that can't be asked is an error
        return any(branches)
    if key == "not":
        return not _holds(value, language, document)
    field, _, way = key.partition("|")
    values = value if isinstance(value, list) else [value]
    return any(_answer(field, way or "is", one, language, document) for one in values)


def _answer(field: str, way: str, value: Any, language: str, document: Mapping[str, Any]) -> bool:
    asked = value.replace("{user.domain}", document.get("user", {}).get("domain", "")) if isinstance(value, str) else value
    return answers(Question(field, way, asked, (language,), {}, None), language, document)


@cache
def _pipeline() -> ProcessingPipeline:
    return ProcessingPipeline.from_yaml(read_text("sigma/ualpipe.yml"))


def _converted(rule: Rule) -> Any:
    """Returns the condition of a Sigma rule as the backend gets it, with the names of our documents; it converts, too."""
    backend = BACKENDS[rule.language](processing_pipeline=_pipeline())
    collection = SigmaCollection.from_dicts([_as_sigma(rule)])
    assert backend.convert(collection)
    return collection.rules[0].detection.parsed_condition[0].parsed


def _as_sigma(rule: Rule) -> dict[str, Any]:
    source = {"product": "m365", "service": "audit"}
    return {"title": rule.title, "id": str(uuid.uuid4()), "logsource": source, "detection": rule.asks}


def _leaves(node: Any) -> Iterator[ConditionFieldEqualsValueExpression]:
    if isinstance(node, ConditionFieldEqualsValueExpression):
        yield node
    elif isinstance(node, ConditionItem):
        for one in node.args:
            yield from _leaves(one)


def _holds_of_sigma(node: Any, target: str, document: Mapping[str, Any]) -> bool:
    if isinstance(node, ConditionAND):
        return all(_holds_of_sigma(one, target, document) for one in node.args)
    if isinstance(node, ConditionOR):
        return any(_holds_of_sigma(one, target, document) for one in node.args)
    if isinstance(node, ConditionNOT):
        return not _holds_of_sigma(node.args[0], target, document)
    assert isinstance(node, ConditionFieldEqualsValueExpression)
    assert isinstance(node.value, SigmaString), "the six rules compare text alone"
    # `eql` compares without case, Lucene's syntax compares keywords as they are.
    way = "like~" if target == "eql" else "like"
    try:
        return answers(Question(node.field, way, str(node.value), (target,), {}, None), "kql", document)
    except CanNotBeAsked:
        return False  # a query in Lucene's syntax is no error there: it finds nothing
