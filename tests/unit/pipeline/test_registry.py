"""Stages are found by entry points, by name, and only what is asked for is imported."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline import registry
from ualpipe.pipeline.errors import ConfigError


@pytest.fixture
def extra_stages(monkeypatch):
    """Installs sinks of other packages, some of them broken."""
    points = {
        "good": EntryPoint("good", "collections:OrderedDict", "ualpipe.sinks"),
        "no_module": EntryPoint("no_module", "not_installed_library:Sink", "ualpipe.sinks"),
        "no_class": EntryPoint("no_class", "collections:NoSuchSink", "ualpipe.sinks"),
    }
    monkeypatch.setattr(registry, "installed", lambda kind: points if kind == "sinks" else {})


def test_our_own_stages_are_found():
    assert {"files", "management_activity"} <= registry.installed("sources").keys()
    assert {"ecs", "filter", "validate"} <= registry.installed("transforms").keys()
    assert {"elasticsearch", "file", "kafka", "syslog"} <= registry.installed("sinks").keys()


@pytest.mark.parametrize("kind", registry.KINDS)
def test_stages_are_in_the_order_of_their_names_and_each_can_be_loaded(kind):
    names = list(registry.installed(kind))
    assert names == sorted(names)
    assert all(hasattr(registry.load(kind, name), "Config") for name in names)


def test_a_kind_without_stages_is_empty():
    assert registry.installed("nothing") == {}


@pytest.mark.usefixtures("extra_stages")
def test_a_stage_of_another_package_is_loaded():
    assert registry.load("sinks", "good").__name__ == "OrderedDict"


@pytest.mark.usefixtures("extra_stages")
@pytest.mark.parametrize(("name", "reason"), [("no_module", "not_installed_library")])
def test_a_stage_whose_library_is_missing_says_which(name, reason):
    with pytest.raises(ConfigError, match=f"sink '{name}' can't be loaded: .*{reason}"):
        registry.load("sinks", name)


@pytest.mark.usefixtures("extra_stages")
def test_a_stage_whose_class_is_missing_is_a_defect_of_the_config_and_no_crash():
    with pytest.raises(ConfigError, match=r"sink 'no_class' can't be loaded: .*NoSuchSink"):
        registry.load("sinks", "no_class")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("sinks", "elasticsarch", "'elasticsarch' is no sink (did you mean elasticsearch?)"),
        ("sources", "management-activity", "'management-activity' is no source (did you mean management_activity?)"),
        ("transforms", "xyz", "'xyz' is no transform (there are: ecs, filter, geoip, validate)"),
    ],
)
def test_an_unknown_stage_is_answered_with_what_there_is(kind, name, message):
    with pytest.raises(ConfigError) as raised:
        registry.load(kind, name)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("word", "known", "answer"),
    [
        ("prot", ["port", "host"], " (did you mean port?)"),
        ("zzz", ["port", "host"], " (there are: port, host)"),
        ("zzz", [f"option_{number}" for number in range(13)], ""),
        ("zzz", [], ""),
    ],
)
def test_suggestions_are_the_nearest_name_or_the_whole_short_list_or_nothing(word, known, answer):
    assert registry.did_you_mean(word, known) == answer


@given(st.text(max_size=10), st.lists(st.text(max_size=10), max_size=15))
def test_a_suggestion_is_always_one_of_the_known_names(word, known):
    answer = registry.did_you_mean(word, known)
    assert not answer.startswith(" (did you mean") or answer.removeprefix(" (did you mean ").removesuffix("?)") in known


def test_only_the_stages_asked_for_are_imported():
    code = (
        "import sys; from ualpipe.pipeline import registry; registry.load('sinks', 'file');"
        "print([name for name in sys.modules if name.startswith(('ualpipe.sinks.', 'ualpipe.sources.', 'ualpipe.transforms.'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "ualpipe.sinks.file.sink" in found
    assert "kafka" not in found
    assert "ualpipe.sources" not in found
