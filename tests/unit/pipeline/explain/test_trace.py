"""What transforms did settles what their explainers said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fakes import record
from ualpipe.pipeline.errors import SchemaMismatch
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.explain.contract import Made, Notes, Rule
from ualpipe.pipeline.explain.trace import Explained, ExplainedStage, explain
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Apply

ROW = Rule("row", "constant", file="a.yaml", line=1)


class Says:
    """An explainer that says the same of every event."""

    def __init__(self, *made: Made) -> None:
        self._made = made

    def open(self) -> None: ...

    def rules(self) -> Iterable[Rule]:
        return ()

    def explain(self, event: Event) -> Notes:
        return Notes(made=list(self._made), remarks=[f"seen {event.id[-1]}"])


def event() -> Event:
    return Event(record(1), 0, Origin("t", "", "t", "t", Chunk(b"{}", "lines")))


def makes(document: dict[str, Any]) -> Apply:
    def apply(event: Event) -> Event:
        event.document = document
        return event

    return apply


def adds(change: Any) -> Apply:
    def apply(event: Event) -> Event:
        assert event.document is not None
        change(event.document)
        return event

    return apply


def told(found: Explained) -> dict[str, list[tuple[Any, str]]]:
    return {name: [(made.value, made.rule.does) for made in makers] for name, makers in found.makers.items()}


def test_what_the_explainer_says_counts_where_the_document_bears_it_out() -> None:
    stage = ExplainedStage("ecs", makes({"a": {"b": 1}, "c": 2}), Says(Made("a.b", 1, ROW), Made("c", 3, ROW), Made("d", 4, ROW)))
    assert told(explain(event(), [stage])) == {"a.b": [(1, "constant")], "c": [(2, "transform ecs")]}


def test_object_that_is_made_as_a_whole_has_one_maker_for_all_in_it() -> None:
    stage = ExplainedStage("ecs", makes({"o": {"x": {"y": 1, "z": [2]}}}), Says(Made("o.x", {"y": 1, "z": [2]}, ROW)))
    found = explain(event(), [stage])
    assert [made.field for made in found.makers_of("o.x.y")] == ["o.x"]
    assert found.makers_of("o") == []


def test_transform_without_an_explainer_is_named_for_what_it_changes() -> None:
    first = ExplainedStage(
        "ecs", makes({"a": 1, "b": ["x"], "c": {"d": 1, "e": 2}}), Says(Made("b", ["x"], ROW), Made("c", {"d": 1, "e": 2}, ROW))
    )

    def change(document: dict[str, Any]) -> None:
        document["a"] = 2
        document["b"].append("y")
        document["c"]["d"] = 5
        document["new"] = {"place": "Bern"}

    found = explain(event(), [first, ExplainedStage("geo", adds(change), None)])
    assert told(found) == {
        "a": [(2, "transform geo")],
        "b": [(["x"], "constant"), (["y"], "transform geo")],
        "c": [({"d": 1, "e": 2}, "constant")],
        "c.d": [(5, "transform geo")],
        "new.place": [("Bern", "transform geo")],
    }
    assert [made.rule.does for made in found.makers_of("c.d")] == ["transform geo"]
    assert [made.rule.does for made in found.makers_of("c.e")] == ["constant"]


def test_field_that_a_transform_removes_has_no_maker() -> None:
    first = ExplainedStage("ecs", makes({"a": 1, "b": 2}), None)
    found = explain(event(), [first, ExplainedStage("less", adds(lambda document: document.pop("a")), None)])
    assert told(found) == {"b": [(2, "transform ecs")]}
    assert found.document == {"b": 2}


def test_filtered_event_names_the_transform() -> None:
    def drop(_event: Event) -> None: ...

    found = explain(event(), [ExplainedStage("ecs", makes({"a": 1}), None), ExplainedStage("filter", drop, None)])
    assert (found.document, found.filtered_by, found.outcome()) == (None, "filter", None)


def test_refused_event_keeps_what_was_said_before() -> None:
    def refuse(_event: Event) -> Event:
        raise SchemaMismatch("must be text", "/UserId")

    found = explain(event(), [ExplainedStage("validate", refuse, Says())])
    assert found.outcome() == {"error": {"code": "SchemaMismatch", "message": "must be text", "pointer": "/UserId"}}
    assert found.notes.remarks == ["seen 1"]


def test_without_a_document_nothing_is_made() -> None:
    found = explain(event(), [])
    assert (found.document, found.makers) == (None, {})


@pytest.mark.parametrize(
    ("rule", "place"),
    [(ROW, "a.yaml"), (Rule("option", "x", file="options of ecs"), "options of ecs"), (Rule("transform", "x"), "")],
)
def test_rule_that_stands_in_no_file_has_no_line(rule: Rule, place: str) -> None:
    assert rule.place == place
