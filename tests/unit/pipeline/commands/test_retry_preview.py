"""What would become of dead letters is told without changing anything."""

import dataclasses
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from fakes import (
    NOW,
    TENANT,
    FakeClock,
    MemorySink,
    MemorySource,
    Pipeline,
    TagTransform,
    body,
    enter,
    open_journal,
    record,
    records,
    store,
)
from ualpipe.pipeline.commands._retry_preview import RetryPreviewer
from ualpipe.pipeline.errors import SchemaMismatch
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import DeadLetter, Notice, Settlement
from ualpipe.pipeline.notices import gap_notice, notice_body
from ualpipe.pipeline.stages import Gap, Listed, WorkItem


@pytest.fixture
def journal(tmp_path):
    made = open_journal(tmp_path, FakeClock(), config_version="an older one")
    yield made
    made.close()


@pytest.fixture
def config(tmp_path):
    sinks = {"siem": MemorySink(), "alerts": MemorySink()}
    whens = {"alerts": lambda found: found["event"]["id"] == record(1)["Id"]}
    return Pipeline(tmp_path, MemorySource({"stream": {}}), sinks, whens=whens).config()


def mismatch(event):
    if event.record["Operation"] == "Strange":
        raise SchemaMismatch("not an Operation", "/Operation")
    return event


def set_aside(journal, *found, stage: str = "transform", sink: str | None = None) -> None:
    (ref,) = store(journal, f"item {found[0]['Id']}", found).batches
    made = [
        DeadLetter(stage, "SchemaMismatch", "was wrong", body([one])[1:-1], ref.id, at, sink, "/UserId")
        for at, one in enumerate(found)
    ]
    journal.settle("siem", [Settlement(ref.id, dead=len(made))], made)


@pytest.fixture
def previews(journal, tmp_path):
    """Returns what would become of all dead letters."""

    def preview(config, *transforms):
        before = contents(tmp_path)
        with closing(SqliteJournalReader(tmp_path, FakeClock())) as reader:
            previewer = RetryPreviewer(config, reader, transforms or [mismatch, TagTransform().apply])
            found = [previewer.preview(stored) for stored in reader.dead_letters()]
        assert contents(tmp_path) == before, "a preview changes nothing"
        return found

    return preview


def contents(folder) -> list[str]:
    """Returns all that is in the tables of a journal."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        return list(db.iterdump())


def test_an_event_that_passes_now_goes_to_the_sinks_that_want_it(journal, config, previews):
    set_aside(journal, record(1), record(2))
    first, second = previews(config)
    assert (first.outcome, first.sinks) == ("sent", ("siem", "alerts"))
    assert (second.outcome, second.sinks) == ("sent", ("siem",))


def test_an_event_that_fails_still_says_why(journal, config, previews):
    set_aside(journal, record(1, Operation="Strange"))
    (found,) = previews(config)
    assert (found.outcome, found.code, found.reason, found.pointer) == (
        "refused",
        "SchemaMismatch",
        "not an Operation",
        "/Operation",
    )


def test_a_transform_with_a_bug_is_named_and_hides_no_other_letter(journal, config, previews):
    set_aside(journal, record(1), record(2))

    def buggy(event):
        return event if event.id == record(2)["Id"] else {}["missing"]

    first, second = previews(config, buggy, TagTransform().apply)
    assert (first.outcome, second.outcome) == ("refused", "sent")
    assert "KeyError" in first.reason


def test_what_is_filtered_now_is_told(journal, config, previews):
    set_aside(journal, record(1, drop=True))
    assert [found.outcome for found in previews(config)] == ["filtered"]


def test_an_event_that_a_sink_refused_goes_to_that_sink_alone(journal, config, previews):
    set_aside(journal, record(1), stage="sink", sink="siem")
    (found,) = previews(config)
    assert (found.outcome, found.sinks) == ("sent", ("siem",))


def test_a_sink_that_does_not_want_the_event_any_more_filters_it(journal, config, previews):
    set_aside(journal, record(2), stage="sink", sink="alerts")
    assert [found.outcome for found in previews(config)] == ["filtered"]


def test_an_event_of_a_sink_that_is_gone_stays(journal, config, previews):
    set_aside(journal, record(1), stage="sink", sink="removed")
    (found,) = previews(config)
    assert (found.outcome, found.reason) == ("stays", "the config has no sink 'removed'")


def test_an_event_of_a_sink_that_is_off_waits_for_it(journal, config, previews):
    off = dataclasses.replace(config, disabled_sinks=frozenset({"paused"}))
    set_aside(journal, record(1), stage="sink", sink="paused")
    (found,) = previews(off)
    assert (found.outcome, found.sinks) == ("sent", ("paused",))
    assert found.reason == "waits until sink paused is switched on"


@pytest.mark.parametrize(
    ("hours", "source", "outcome"), [(1, "source", "fetched"), (-1, "source", "stays"), (1, "gone", "stays")]
)
def test_a_work_item_is_fetched_again_while_the_service_and_the_config_have_it(journal, config, previews, hours, source, outcome):
    journal.enter(source, TENANT, [WorkItem("stream", "item", {}, NOW, NOW + timedelta(hours=hours))])
    (item,) = journal.lease(source, ["stream"], 9)
    journal.bury(item, DeadLetter("fetch", "ContentUndecodable", "no JSON array", b"<html>"), "dead")
    assert [found.outcome for found in previews(config)] == [outcome]


def test_a_notice_that_a_sink_refused_is_no_record_for_the_transforms(journal, config, previews):
    gap = Gap(NOW - timedelta(days=9), NOW - timedelta(days=7), "older than 7 days")
    notice = Notice("notice:1", notice_body(gap_notice("source", TENANT, "stream", gap)))
    (ref,) = journal.conclude_listing("source", TENANT, "stream", {gap: notice}, Listed(NOW))
    raw = journal.read(ref).origin.chunk.raw(0)
    letter = DeadLetter("sink", "SinkRejected", "mapping conflict", raw, ref.id, 0, "siem")
    journal.settle("siem", [Settlement(ref.id, dead=1)], [letter])

    def strict(event):
        raise SchemaMismatch("no record at all")

    (found,) = previews(config, strict)
    assert (found.outcome, found.sinks) == ("sent", ("siem",))


def test_what_is_told_is_what_happens(journal, config, previews, tmp_path):
    set_aside(journal, *records(1, 3))
    enter(journal, "other")
    told = previews(config)
    assert all(found.outcome == "sent" for found in told)
    with closing(SqliteJournalChanges(tmp_path, FakeClock())) as changes:
        assert all(changes.requeue(found.stored) for found in told)
    assert len(journal.unsettled("siem")) == 3
