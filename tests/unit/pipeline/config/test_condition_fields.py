"""Conditions that name a field which no event can have are found when the config is read, with the name that was meant."""

import pytest
import yaml

from fakes import NoOptions
from ualpipe.pipeline import registry
from ualpipe.pipeline.conditions.known_fields import KnownFields
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.errors import ConfigError
from ualpipe.transforms.ecs.fields import fields_of_documents

DOCUMENT = fields_of_documents(KnownFields())
BOTH = ({"type": "validate"}, {"type": "ecs"})


@pytest.fixture
def load(tmp_path):
    def read(*transforms, when=None, **top):
        sink = {"type": "file", "path": "out/a.ndjson", **({"when": when} if when else {})}
        config = {"version": 1, "pipeline": "p", "state_dir": "s", "sources": {"in": {"type": "files", "paths": ["in"]}}}
        path = tmp_path / "pipeline.yaml"
        path.write_text(yaml.safe_dump({**config, "transforms": list(transforms), "sinks": {"local": sink}, **top}))
        return load_config(path)

    return read


def drop(**conditions):
    return {"type": "filter", "drop": conditions}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("event.categroy", "event.category"),
        ("user.mail", "user.email"),
        ("event.action.keyword", "event.action"),
        ("Operation", "o365.audit.Operation"),
        ("o365.audit.objectid", "o365.audit.ObjectId"),
        ("o365.audit.Paramters.Name", "o365.audit.Parameters.Name"),
    ],
)
def test_a_slip_in_the_name_of_a_field_of_documents_is_an_error(load, name, meant):
    for found in ({"when": {f"{name}|contains": "x"}}, {"when": [{"event.kind": "event"}, {name: "x"}]}):
        with pytest.raises(ConfigError, match=r"there is no such field \(did you mean") as error:
            load(*BOTH, **found)
        assert f"did you mean {meant}?" in str(error.value)
        assert "where it is right, name it under known_fields" in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["event.category", "user", "labels.site", "o365.audit.Operation", "o365.audit.Item_json.Id",
     "o365.audit.ModifiedProperties.x", "source.geo.country_iso_code",
     "@timestamp", "o365", "o365.audit", "container.labels.x", "data_stream.dataset"],
)  # fmt: skip
def test_fields_that_documents_can_have_are_known(name):
    assert DOCUMENT.unknown(name) is None


def test_each_wrong_field_is_named_at_its_place(load):
    transforms = (drop(operation="x"), *BOTH, {"type": "filter", "keep": {"event.actoin|fieldref": "event.cod"}})
    with pytest.raises(ConfigError) as error:
        load(*transforms, when={"user.nmae": "x"})
    lines = str(error.value).splitlines()
    assert [line.partition("  ")[2].partition(" (")[0] for line in lines] == [
        "sinks.local.when.user.nmae: there is no such field",
        "transforms[0].drop.operation: there is no such field",
        "transforms[3].keep.event.actoin|fieldref: event.cod: there is no such field",
        "transforms[3].keep.event.actoin|fieldref: there is no such field",
    ]


def test_before_ecs_and_without_it_conditions_speak_of_records(load):
    assert load(drop(Operation="x", **{"ExtendedProperties.Name": "y"}), *BOTH)
    assert load({"type": "validate"}, when={"Workload": "SharePoint"})
    with pytest.raises(ConfigError, match="is a field of documents, and no `ecs` stands before this"):
        load(when={"event.category": "iam"})


def test_a_field_of_records_that_is_like_no_other_is_a_warning_as_the_service_adds_fields(load):
    config = load(*BOTH, when={"o365.audit.QuantumTunnel.Depth": 1})
    assert [warning.partition("  ")[2] for warning in config.warnings] == [
        "sinks.local.when.o365.audit.QuantumTunnel.Depth: no record that ualpipe knows has this field; "
        "where it is right, name it under known_fields"
    ]


def test_who_says_that_a_field_is_there_is_believed(load):
    when = {"o365.audit.objectid": 1, "event.own.rank": 1, "o365.audit.QuantumTunnel.Depth": 1}
    config = load(*BOTH, when=when, known_fields=["o365.audit.objectid", "event.own", "o365.audit.QuantumTunnel"])
    assert not config.warnings
    with pytest.raises(ConfigError, match="known_fields: 5 "):
        load(*BOTH, known_fields=5)


def test_behind_a_transform_that_does_not_say_what_it_makes_no_name_is_looked_at(load, monkeypatch):
    class Enrich:
        """As a plugin's: it may make any field."""

        Config = NoOptions

    known = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: Enrich if name == "enrich" else known(kind, name))
    assert load(*BOTH, {"type": "enrich"}, when={"event.own": 1})
    with pytest.raises(ConfigError, match="no such field"):
        load(*BOTH, drop(**{"event.own": 1}), {"type": "enrich"})
