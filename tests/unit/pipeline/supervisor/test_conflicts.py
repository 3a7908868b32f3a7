"""Whole runs over records that share an Id: each content arrives once, whoever brought another one before, and it is counted."""

import itertools
import logging
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from fakes import (
    TENANT,
    HurriedClock,
    MemorySink,
    MemorySource,
    Pipeline,
    body,
    dead_letters_in,
    env,
    hurry,
    record,
    records,
    run_to_end,
    snapshot,
)
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.journal.replay import Selection
from ualpipe.pipeline.journal.sqlite.changes import SqliteJournalChanges
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch, SinkLimits
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.sinks.event_fields import document_id
from ualpipe.transforms.ecs.transform import EcsTransform

REAL = records(1, 5)
FORGED = [{**one, "UserId": "mallory@contoso.com"} for one in REAL]


@dataclass
class Index:
    """What Elasticsearch keeps: a document under an ``_id`` stays as the first that came under it."""

    limits: SinkLimits = field(default_factory=lambda: SinkLimits(max_events=3))
    documents: dict[str, dict] = field(default_factory=dict)
    refused_twice: int = 0

    def check(self):
        return []

    def open(self) -> None:
        return None

    def write(self, batch: Batch):
        for event in batch.events:
            document = orjson.loads(event.encoded)
            self.refused_twice += document_id(event) in self.documents
            self.documents.setdefault(document_id(event), document)
        return {}

    def close(self) -> None:
        return None

    @property
    def users(self) -> list[str]:
        return sorted(one["user"]["email"] for one in self.documents.values())


class FileSource(MemorySource):
    """Brings what nobody vouches for."""

    tenant = ""


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    hurry(monkeypatch)


def ecs() -> EcsTransform:
    made = EcsTransform(build(EcsTransform.Config, {}, Path()), env("ecs"))
    made.open()
    return made


def feed(*bodies: bytes) -> MemorySource:
    return MemorySource({"s": {f"blob {at}": one for at, one in enumerate(bodies)}})


def file(*bodies: bytes) -> MemorySource:
    return FileSource({"in": {f"file {at}": one for at, one in enumerate(bodies)}})


def pipeline(folder: Path, sink: object, source: object = None, *, on_conflict: str = "keep") -> Pipeline:
    options = {"concurrency": 1, "on_conflict": on_conflict}
    return Pipeline(folder, source or feed(), {"sink": sink}, [ecs()], source_options=options)


def run(made: Pipeline) -> tuple[int, object]:
    runner = made.runner()
    return run_to_end(runner.run, runner.stop), runner


def status_of(folder: Path):
    with closing(SqliteJournalReader(folder, HurriedClock())) as reader:
        return reader.status(["sink"])


def replay(folder: Path) -> None:
    with (
        closing(SqliteJournalReader(folder, HurriedClock())) as reader,
        closing(SqliteJournalChanges(folder, HurriedClock())) as changes,
    ):
        changes.send_again("sink", reader.choose("sink", Selection(), is_alone=True), [])


def shuffled(found: list[dict]) -> bytes:
    """Returns records as JSON with other blanks, and their keys the other way round."""
    return orjson.dumps([dict(reversed(one.items())) for one in found], option=orjson.OPT_INDENT_2)


@pytest.mark.parametrize("first", ["file", "feed"])
def test_forged_records_of_a_file_keep_no_record_of_the_feed_away(tmp_path, first, caplog):
    sources = {"file": file(body(FORGED)), "feed": feed(body(REAL))}
    sink = Index()
    for name in (first, *(sources.keys() - {first})):
        with caplog.at_level(logging.INFO):
            code, runner = run(pipeline(tmp_path, sink, {name: sources[name]}))
        assert code == EXIT_FINE
    assert sink.users == ["alice@contoso.com"] * 5 + ["mallory@contoso.com"] * 5
    later = "alice@contoso.com" if first == "file" else "mallory@contoso.com"
    marked = [one["user"]["email"] for one in sink.documents.values() if "id_conflict" in one.get("tags", ())]
    assert marked == [later] * 5, "analysts find those that came later"
    assert runner.metrics.get(m.RECORDS_CONFLICT) == 5
    assert sum(stream.conflicts for stream in status_of(tmp_path).streams) == 5
    assert next(line.conflicts for line in caplog.records if line.message == "ended" and hasattr(line, "conflicts")) == 5
    assert "under their Id" in caplog.text


@pytest.mark.parametrize("first", ["file", "feed"])
def test_set_aside_is_what_a_file_brings_under_ids_of_the_feed_and_never_what_the_feed_brings(tmp_path, first):
    sources = {"file": file(body(FORGED)), "feed": feed(body(REAL))}
    sink = Index()
    codes = [
        run(pipeline(tmp_path, sink, {name: sources[name]}, on_conflict="dead_letter"))[0]
        for name in (first, *(sources.keys() - {first}))
    ]
    assert sink.users.count("alice@contoso.com") == 5
    letters = dead_letters_in(tmp_path)
    if first == "file":
        assert (codes, letters) == ([EXIT_FINE, EXIT_FINE], [])
        return
    assert codes == [EXIT_FINE, EXIT_INCOMPLETE]
    assert {(one.source, one.dead_letter.code, one.dead_letter.pointer) for one in letters} == {("file", "IdConflict", "/Id")}
    assert sorted(orjson.loads(one.dead_letter.body)["Id"] for one in letters) == [one["Id"] for one in REAL]
    assert status_of(tmp_path).sinks[0].dead == 5


def test_what_was_set_aside_goes_to_the_sinks_when_it_is_sent_again_and_lies_beside_the_first(tmp_path):
    sink = Index()
    run(pipeline(tmp_path, sink, feed(body(REAL)), on_conflict="dead_letter"))
    run(pipeline(tmp_path, sink, {"file": file(body(FORGED))}, on_conflict="dead_letter"))
    with closing(SqliteJournalChanges(tmp_path, HurriedClock())) as changes:
        assert sum(changes.requeue(stored) for stored in dead_letters_in(tmp_path)) == 5
    assert run(pipeline(tmp_path, sink, on_conflict="dead_letter"))[0] == EXIT_FINE
    assert sink.users == ["alice@contoso.com"] * 5 + ["mallory@contoso.com"] * 5
    assert dead_letters_in(tmp_path) == []


def test_a_blob_that_is_listed_again_in_another_order_of_keys_brings_nothing(tmp_path):
    sink = Index()
    run(pipeline(tmp_path, sink, feed(body(REAL), shuffled(REAL), b"[" + body(REAL)[1:-1] + b" ]")))
    (stream,) = status_of(tmp_path).streams
    assert (stream.records, stream.duplicates, stream.conflicts) == (15, 10, 0)
    assert len(sink.documents) == 5


def test_the_same_record_by_feed_and_by_export_is_one(tmp_path):
    sink = Index()
    exported = [{"@odata.type": "#microsoft.graph.auditData", **one} for one in REAL]
    run(pipeline(tmp_path, sink, feed(body(REAL))))
    run(pipeline(tmp_path, sink, {"file": file(shuffled(exported))}))
    assert (len(sink.documents), sink.refused_twice) == (5, 0)


def test_a_longer_delivery_under_a_known_id_is_kept(tmp_path):
    sink = Index()
    longer = [{**one, "ObjectId": "https://contoso.sharepoint.com/a"} for one in REAL]
    code, _runner = run(pipeline(tmp_path, sink, feed(body(REAL), body(longer), body(REAL), body(longer))))
    assert code == EXIT_FINE
    (stream,) = status_of(tmp_path).streams
    assert (stream.duplicates, stream.conflicts) == (10, 5)
    assert sorted("id_conflict" in one.get("tags", ()) for one in sink.documents.values()) == [False] * 5 + [True] * 5


@pytest.mark.parametrize("own", ["N/A", "00000000-0000-0000-0000-000000000000", " ", "-", "null", "000000000000", 7, None])
def test_acts_without_an_id_of_their_own_all_arrive_and_none_twice(tmp_path, own):
    acts = [record(1, Id=own, ObjectId=f"document {number}") for number in range(1000)]
    sink = Index(SinkLimits())
    run(pipeline(tmp_path, sink, feed(body(acts), shuffled(acts))))
    assert (len(sink.documents), sink.refused_twice) == (1000, 0)
    (stream,) = status_of(tmp_path).streams
    assert (stream.duplicates, stream.conflicts) == (1000, 0)


def test_what_transforms_and_conditions_see_of_a_conflict_is_its_tag(tmp_path):
    sinks = {"all": MemorySink(), "some": MemorySink()}
    made = Pipeline(tmp_path, feed(body(REAL), body(FORGED)), sinks, [ecs()], source_options={"concurrency": 1})
    made.whens["some"] = lambda document: "id_conflict" in document.get("tags", ())
    assert run(made)[0] == EXIT_FINE
    assert [len(sink.delivered) for sink in sinks.values()] == [10, 5]
    assert all(event.conflict for event in sinks["some"].events)


def test_a_transform_that_fails_on_one_event_takes_no_mark_off_the_others():
    found = [record(1), record(2, fail=True), record(3)]
    origin = Origin("source", TENANT, "s", "i", Chunk(body(found), "array"))

    def fail(event: Event) -> Event:
        if event.record.get("fail"):
            raise ZeroDivisionError
        return event

    made = LocalProcessor([fail, ecs().apply]).transform(origin, (), {0: "c", 1: "d"})
    assert [(event.index, event.conflict) for event in made.events] == [(0, "c"), (2, "")]
    assert [failure.index for failure in made.failures] == [1]
    assert (made.events[0].decode_document() or {})["tags"] == ["id_conflict"]


def contents(index: Index) -> Counter[bytes]:
    """Returns the documents without the mark: what was under way at a kill comes last, so another content may be the first."""
    return Counter(
        orjson.dumps({name: value for name, value in document.items() if name != "tags"}, option=orjson.OPT_SORT_KEYS)
        for document in index.documents.values()
    )


def there_or_aside(index: Index, folder: Path) -> set[tuple[str, str]]:
    """Returns the contents, by Id and who did it, that are delivered or set aside; which of two is set aside may change."""
    found = [document["o365"]["audit"] for document in index.documents.values()]
    found += [orjson.loads(stored.dead_letter.body) for stored in dead_letters_in(folder)]
    return {(record["Id"], record["UserId"]) for record in found}


@pytest.mark.parametrize("on_conflict", ["keep", "dead_letter"])
def test_replays_listings_and_kills_at_any_transaction_double_nothing(tmp_path, monkeypatch, on_conflict):
    """A destination that knows documents by their ``_id`` has each content once, whatever was killed and came again."""
    bodies = (body(REAL[:3] + FORGED[1:3]), body(FORGED), shuffled(REAL), body(records(50, 4)))
    calm = Index()
    run(pipeline(tmp_path / "calm", calm, feed(*bodies), on_conflict=on_conflict))
    crashes: list[tuple[Path, Index]] = []
    sink, numbers, connect = Index(), itertools.count(), sqlite3.connect

    def watched(*args, **how):
        db = connect(*args, **how)
        db.set_trace_callback(lambda statement: copy() if statement in ("BEGIN IMMEDIATE", "COMMIT") else None)
        return db

    def copy() -> None:
        if (tmp_path / "state" / "journal.db").exists():
            folder = snapshot(tmp_path / "state", tmp_path / f"crash {next(numbers)}")
            crashes.append((folder, Index(documents=dict(sink.documents))))

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", watched)
        run(pipeline(tmp_path / "state", sink, feed(*bodies), on_conflict=on_conflict))
    assert sink.documents == calm.documents
    assert len(crashes) > 15
    for folder, after in crashes:
        run(pipeline(folder, after, feed(*bodies), on_conflict=on_conflict))
        replay(folder)
        run(pipeline(folder, after, feed(*bodies, *bodies), on_conflict="keep"))
        assert max(contents(after).values()) == 1, folder.name
        assert there_or_aside(after, folder) == there_or_aside(calm, tmp_path / "calm"), folder.name
        assert on_conflict == "dead_letter" or contents(after) == contents(calm), folder.name
