from typing import Any

import pytest

import fakes
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build, schema_of
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.filter import FilterTransform, FilterTransformConfig

ORIGIN = Origin("files", "", "in", "a.json", Chunk(b"[]", "array", []))


def event_of(record: dict[str, Any], document: dict[str, Any] | None = None) -> Event:
    return Event(record, 0, ORIGIN, document=document)


def passes(event: Event, **options: Any) -> bool:
    transform = FilterTransform(FilterTransformConfig(**options), fakes.env("filter"))
    transform.open()
    found = transform.apply(event)
    assert found in (event, None)
    return found is event


EVENT = event_of(fakes.record(1), {"event": {"action": "FileAccessed"}, "user": {"id": "app@sharepoint"}})


def test_event_that_fits_drop_is_left_out() -> None:
    assert not passes(EVENT, drop={"event.action": ["FileAccessed"]})
    assert passes(EVENT, drop={"event.action": ["FileDeleted"]})


def test_all_keys_of_one_drop_mapping_must_hold() -> None:
    assert not passes(EVENT, drop={"event.action": "FileAccessed", "user.id|endswith": "@sharepoint"})
    assert passes(EVENT, drop={"event.action": "FileAccessed", "user.id|endswith": "@contoso.com"})


def test_one_mapping_of_a_drop_list_is_enough() -> None:
    assert not passes(EVENT, drop=[{"event.action": "FileDeleted"}, {"user.id": "app@sharepoint"}])


def test_only_events_that_fit_keep_go_on() -> None:
    assert passes(EVENT, keep={"event.action": "File*"})
    assert not passes(EVENT, keep={"event.action": "Send"})


def test_drop_wins_over_keep() -> None:
    assert not passes(EVENT, keep={"event.action": "File*"}, drop={"user.id": "app@sharepoint"})
    assert passes(EVENT, keep={"event.action": "File*"}, drop={"user.id": "alice@contoso.com"})


def test_before_a_mapping_conditions_look_at_the_record() -> None:
    assert not passes(event_of(fakes.record(1, Operation="Send")), drop={"Operation": "send"})
    assert passes(EVENT, drop={"Operation": "FileAccessed"})


def test_event_is_passed_on_untouched() -> None:
    event = event_of(fakes.record(1), {"event": {"action": "Send"}})
    before = (dict(event.record), dict(event.document or {}), list(event.violations))
    assert passes(event, keep={"event.action": "Send"})
    assert (event.record, event.document, list(event.violations)) == before


def test_wrong_conditions_are_refused_with_the_config() -> None:
    with pytest.raises(ConfigError, match=r"drop: user.id\|endwith: 'endwith' is no modifier \(did you mean endswith\?\)"):
        build(FilterTransformConfig, {"drop": {"user.id|endwith": "x"}}, fakes.Path("."))
    with pytest.raises(ConfigError, match="keep: conditions are a mapping"):
        FilterTransformConfig(keep=[])


def test_filter_without_conditions_is_refused() -> None:
    with pytest.raises(ConfigError, match="give `drop`, `keep` or both"):
        FilterTransformConfig()


def test_options_take_a_mapping_or_a_list() -> None:
    properties = schema_of(FilterTransformConfig)["properties"]
    assert {name: schema["type"] for name, schema in properties.items()} == {
        "drop": ["object", "array", "null"],
        "keep": ["object", "array", "null"],
    }
