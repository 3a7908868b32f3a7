"""The pages of docs/events are the generated ones, and each rule on them finds the record that it should, and no near one."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import fakes
from event_pages.asking import document_of, fields_asked, finds
from event_pages.reading import ELASTIC, SIGMA, Page, Rule, Sample, pages
from event_pages.shown import OF_EVERY_EVENT, reports_with_samples
from event_pages.writing import WIDTH, packed, written
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.validate.drift import KnownRecords
from ualpipe.transforms.validate.transform import ValidateTransform

DOCS = Path(__file__).parents[2] / "docs" / "events"
MAX_LINES = 300
SAMPLES = [sample for page in pages() for sample in page.samples]
RULES = [(page, rule) for page in pages() for rule in page.rules]
OF_RULES = pytest.mark.parametrize(("page", "rule"), RULES, ids=lambda one: one.name if isinstance(one, Page) else one.title)
OF_SAMPLES = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.about)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The reports that show each sample."""
    pytest.importorskip("duckdb")
    return reports_with_samples(tmp_path_factory.mktemp("archive"))


def test_the_pages_are_the_generated_ones(reports: dict[str, list[str]]) -> None:
    expected = written(reports)
    assert {path.name for path in DOCS.iterdir()} == expected.keys()
    for name, text in expected.items():
        known = (DOCS / name).read_text(encoding="utf-8")
        assert known == text, "make them anew: PYTHONPATH=tests .venv/bin/python -m event_pages"


def test_every_sample_stands_in_the_report_that_has_every_event(reports: dict[str, list[str]]) -> None:
    assert {name for name, shown in reports.items() if OF_EVERY_EVENT not in shown} == set()


def test_a_page_can_be_read_in_one_sitting() -> None:
    lines = {path.name: path.read_text(encoding="utf-8").count("\n") for path in DOCS.iterdir()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


@OF_RULES
def test_a_rule_finds_the_record_and_passes_the_near_one_over(page: Page, rule: Rule) -> None:
    assert finds(rule, rule.hit)
    assert not finds(rule, rule.miss)


@OF_RULES
def test_the_near_record_differs_in_few_fields(page: Page, rule: Rule) -> None:
    names = rule.hit.keys() | rule.miss.keys()
    assert 1 <= len({name for name in names if rule.hit.get(name) != rule.miss.get(name)}) <= 2


@OF_RULES
def test_a_link_leads_to_one_version_of_a_file(page: Page, rule: Rule) -> None:
    assert len(rule.commit) == 40
    assert set(rule.commit) <= set("0123456789abcdef")
    assert rule.path.endswith(".toml" if rule.repository == ELASTIC else ".yml")
    assert bool(rule.author) == (rule.repository == SIGMA), "the licence of Sigma's rules asks for their authors"


@pytest.mark.parametrize("rule", [rule for _, rule in RULES if rule.repository == ELASTIC], ids=lambda rule: rule.title)
def test_each_entry_of_a_condition_counts(rule: Rule) -> None:
    """With a value that no record has in its place, the rule finds nothing."""
    for name in (name for name in rule.asks if name not in ("any", "not") and not name.endswith("|exists")):
        assert not finds(dataclasses.replace(rule, asks={**rule.asks, name: "no record has this value"}), rule.hit), name


def test_the_six_sigma_rules_that_read_this_feed_are_named() -> None:
    assert {rule.path.rpartition("/")[2] for _, rule in RULES if rule.repository == SIGMA} == {
        "microsoft365_bypass_conditional_access.yml",
        "microsoft365_disabling_mfa.yml",
        "microsoft365_new_federated_domain_added_audit.yml",
        "microsoft365_susp_email_forwarding_activity.yml",
        "microsoft365_susp_inbox_rule_creation_or_update_activity.yml",
        "microsoft365_suspicious_email_delivered.yml",
    }


def test_a_rule_that_spells_values_in_another_case_needs_the_target_that_compares_without() -> None:
    named = {rule.title for _, rule in RULES if rule.language == "eql" and rule.repository == SIGMA}
    assert named == {"New Federated Domain Added"}
    for _, rule in RULES:
        if rule.title in named:
            assert not finds(dataclasses.replace(rule, language="lucene"), rule.hit)


def test_sigma_names_are_those_of_our_documents() -> None:
    asked = {name for _, rule in RULES if rule.repository == SIGMA for name in fields_asked(rule)}
    assert {"event.action", "event.dataset", "o365.audit.Parameters_text", "o365.audit.OperationProperties.Value"} <= asked
    assert {name for name in asked if "." not in name} == set()


def test_ids_of_samples_are_theirs_alone() -> None:
    assert [one for one, count in Counter(sample.record["Id"] for sample in SAMPLES).items() if count > 1] == []


@OF_SAMPLES
def test_a_sample_has_the_shape_of_a_real_record(sample: Sample) -> None:
    event = Event(dict(sample.record), 0, Origin("files", "", "events", "events", Chunk(b"", "lines", [])))
    assert _validate().apply(event).violations == ()
    assert list(KnownRecords().beyond(sample.record)) == []


@OF_SAMPLES
def test_a_sample_makes_a_sentence_about_whoever_did_it(sample: Sample) -> None:
    document = document_of(sample.record)
    assert document["event"]["kind"] in ("event", "alert")
    assert len(document["message"]) > 20


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": {"b": ["c" * 40, "d" * 60, {"e": "f" * 50}]}, "g": [1, 2], "h": "i" * 100}, [{"a": "b" * 90}] * 3, "x" * 200],
)
def test_json_on_few_lines_is_the_same_json(value: Any) -> None:
    text = packed(value)
    assert json.loads(text) == value
    assert all(len(line) <= WIDTH for line in text.splitlines() if '"xx' not in line)


@cache
def _validate() -> ValidateTransform:
    made = ValidateTransform(build(ValidateTransform.Config, {}, Path()), fakes.env("validate"))
    made.open()
    return made
