"""Records that can't be mapped go from the files through a run into exit code, summary, metrics and status: never in silence."""

import json
import pickle
import threading
from contextlib import closing
from pathlib import Path

import pytest

from fakes import FakeClock, MemorySink, MemorySource, Pipeline, body, env, record, records, rows, until
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.buffer.prepare import pack, prepare, unpack
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.events import Event, Origin, event_of
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.types import BatchRef, StoredBatch
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.process.transforming import transform_group
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.decoding import BadRecord
from ualpipe.pipeline.stages import SinkLimits
from ualpipe.transforms.ecs import EcsTransform
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.filter import FilterTransform, FilterTransformConfig
from ualpipe.transforms.validate import ValidateTransform, ValidateTransformConfig

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
workers: 1
%s
sources: {archive: {type: files, paths: [in]}}
transforms: [{type: validate}, {type: ecs}]
sinks:
  local: {type: file, path: out/audit.ndjson}
  logins: {type: file, path: out/logins.ndjson, when: {event.category: authentication}}
"""

BAD = [
    record(1, CreationTime="yesterday"),
    record(2, Operation=None),
    {"Id": "3", "RecordType": 6, "Workload": "SharePoint"},
    record(4, UserId=5),
]

pytestmark = pytest.mark.usefixtures("quiet_logs")


@pytest.fixture
def run(tmp_path, capsys):
    """Runs records through a pipeline; gives exit code and the last line of the log."""

    def run_once(found, options="", tail=""):
        path = tmp_path / "pipeline.yaml"
        path.write_text(CONFIG % options)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found) + tail)
        code = main(["run", "--once", str(path)])
        return code, json.loads(capsys.readouterr().err.splitlines()[-1])

    return run_once


@pytest.fixture
def status(tmp_path, capsys):
    def read(*arguments):
        code = main(["status", str(tmp_path / "pipeline.yaml"), *arguments])
        return code, capsys.readouterr().out

    return read


def test_a_run_and_its_status_say_what_could_not_be_mapped_and_exit_1(run, status):
    code, ended = run([*BAD, *records(10, 2)], tail='{"Id": "torn\n')
    assert (code, ended["unmappable"], ended["suspicious"]) == (1, {"archive": 4}, {"archive": 1})
    code, out = status("--json")
    found = {(one["kind"], one["reason"], one["records"], one["example"]) for one in json.loads(out)["flaws"]}
    assert code == 1
    assert {(kind, records) for kind, _reason, records, _example in found} == {
        ("untimed", 1),
        ("invalid", 1),
        ("unreadable", 1),
        ("suspicious", 1),
    }
    assert ("invalid", "CreationTime is missing; Operation is missing; OrganizationId is missing", 1, "3") in found
    assert all(one["sinks"] == {"local": one["records"]} for one in json.loads(out)["flaws"]), "the other sink wants logins alone"


def test_people_read_it_in_the_status(run, status):
    run(BAD)
    code, out = status()
    assert code == 1
    assert "archive: 3 records could not be mapped (event.kind: pipeline_error), 1 record delivered with an odd field" in out
    assert "no unmappable records" not in out


def test_a_good_file_is_said_to_be_good(run, status):
    code, ended = run(records(1, 2))
    assert (code, "unmappable" in ended) == (0, False)
    assert status()[1].splitlines()[-1].startswith("no dead letters, no gaps, no unmappable records")


def test_a_second_run_without_new_records_is_fine_and_the_status_remembers(run, status):
    run(BAD)
    assert run(BAD)[0] == 0, "nothing came in this run"
    assert status()[0] == 1


def test_a_pipeline_that_accepts_them_counts_them_and_exits_0(run, status):
    code, ended = run(BAD, "unmappable: accept")
    assert (code, ended["unmappable"]) == (0, {"archive": 3})
    code, out = status()
    assert code == 0
    assert "3 records could not be mapped" in out


def test_odd_fields_alone_leave_the_exit_code_as_it_is(run, status):
    assert run(BAD[3:])[0] == 0
    assert status()[0] == 0


def test_a_run_that_is_stopped_and_started_counts_each_record_once(tmp_path):
    """The sink refuses for now what it gets after the first batch; the next run reads the rest back, and maps it again."""
    source = MemorySource({"a": {"one": body(BAD), "two": body([record(9, CreationTime="never")])}})
    sink = MemorySink([None, *[SinkUnavailable("down")] * 50], SinkLimits(max_events=len(BAD)))  # never both batches at once
    pipeline = Pipeline(tmp_path, source, {"siem": sink, "other": MemorySink()}, stages())
    first = pipeline.runner()
    assert first.run() == 1
    sink.script.clear()
    assert pipeline.runner().run() == 1
    with closing(SqliteJournalReader(tmp_path, FakeClock())) as reader:
        flaws = reader.status(["siem", "other"]).flaws
    assert sum(flaw.records for flaw in flaws) == 5
    assert [sum(flaw.sinks[sink] for flaw in flaws) for sink in ("siem", "other")] == [5, 5]


def test_a_run_without_end_ends_as_before_and_its_journal_has_the_counts(tmp_path):
    sink = MemorySink()
    runner = Pipeline(tmp_path, MemorySource({"a": {"one": body(BAD)}}), {"siem": sink}, stages()).runner(once=False)
    codes = []
    thread = threading.Thread(target=lambda: codes.append(runner.run()))
    thread.start()
    until(lambda: rows(tmp_path, "SELECT count(*) FROM settlement") == [(1,)] if (tmp_path / "journal.db").exists() else False)
    runner.stop()
    thread.join()
    assert codes == [0]
    assert rows(tmp_path, "SELECT sum(records) FROM flaw WHERE sink = 'siem'") == [(4,)]


def test_a_batch_that_waits_on_disk_and_one_from_a_worker_keep_their_flaws():
    chunk = Chunk(body(BAD), "array")
    origin = Origin("contoso", "", "in", "in/a.json", chunk)
    processor = LocalProcessor([stage.apply for stage in stages()])
    stored = StoredBatch(
        BatchRef(1, len(BAD), len(chunk.body)), origin, frozenset({1}), processor.process(origin, transform=True).transformed
    )
    assert len(pickle.loads(pickle.dumps(stored.transformed)).flaws) == 4
    prepared = prepare(stored, processor)
    assert [flaw.index for flaw in prepared.flaws] == [0, 2, 3], "a duplicate is no new record"
    again = unpack(pack(prepared), stored)
    assert (again.flaws, again.steps) == (prepared.flaws, [4, 4, 4])


def test_metrics_count_them_by_sink_source_and_kind(tmp_path):
    source = MemorySource({"a": {"one": body(BAD)}})
    runner = Pipeline(tmp_path, source, {"siem": MemorySink()}, stages()).runner()
    runner.run()
    kinds = ("untimed", "invalid", "suspicious", "unreadable")
    found = [runner.metrics.get(m.EVENTS_FLAWED, sink="siem", source="source", kind=kind) for kind in kinds]
    assert found == [1, 2, 1, 0]


def stages(on_invalid="forward", drop=None):
    made = [
        ValidateTransform(build(ValidateTransformConfig, {"on_invalid": on_invalid, "drift": False}, Path()), env()),
        EcsTransform(build(EcsTransformConfig, {}, Path()), env()),
        *([FilterTransform(FilterTransformConfig(drop=drop), env())] if drop else []),
    ]
    for stage in made:
        stage.open()
    return made


def flaws_of(found, steps, framing="array"):
    origin = Origin("contoso", "", "in", "in/a.json", Chunk(b"[{}]", framing))
    events = [event_of(one, at, origin) for at, one in enumerate(found)]
    return transform_group(events, [step.apply if hasattr(step, "apply") else step for step in steps]).flaws


def test_a_filter_that_drops_them_drops_no_count():
    """Whoever keeps logins only never sees a document of an error: the count is all that tells."""
    found = flaws_of(BAD, stages(drop={"event.kind": "pipeline_error"}))
    assert [(flaw.index, flaw.kind, flaw.source) for flaw in found] == [
        (0, "untimed", "contoso"),
        (1, "invalid", "contoso"),
        (2, "invalid", "contoso"),
        (3, "suspicious", "contoso"),
    ]


def test_a_refused_record_is_a_dead_letter_and_no_flaw():
    assert flaws_of(BAD, stages("dead_letter")) == []


def test_a_notice_of_the_pipeline_is_no_flawed_record():
    assert flaws_of([BadRecord("a gap")], stages(), framing="notice") == []


def test_a_record_without_an_id_is_named_by_its_place():
    assert [flaw.record for flaw in flaws_of([BadRecord("cut")], stages(), framing="lines")] == ["record 1 of in/a.json"]


def test_a_document_that_another_transform_made_an_error_of_counts():
    def spoil(event: Event) -> Event:
        event.document = {"event": {"kind": "pipeline_error"}}
        return event

    (found,) = flaws_of([record(1)], [spoil])
    assert (found.kind, found.reason, found.record) == ("invalid", "a transform made it a pipeline_error", record(1)["Id"])


def test_a_time_that_fits_the_schema_and_is_none_is_a_flaw_without_validate():
    (found,) = flaws_of([record(1, CreationTime="2026-13-45T08:00:00")], stages()[1:])
    assert found.kind == "untimed"
    assert found.reason.startswith("/CreationTime: is no time")
