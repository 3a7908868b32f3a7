"""What is new in records goes from the files through a run into the status, and changes nothing on the way."""

import json
import threading
from contextlib import closing

import pytest

from fakes import FakeClock, MemorySink, MemorySource, Pipeline, record, records, until
from memory_journal import MemoryJournal
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.errors import JournalError, JournalFull
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.process.processor import LocalProcessor
from ualpipe.pipeline.runtime.context import RunContext
from ualpipe.pipeline.runtime.cpu_affinity import CpuAffinity
from ualpipe.pipeline.runtime.memory import MemoryBudget, MemoryLimit
from ualpipe.pipeline.supervisor.housekeeping import Housekeeping

CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {archive: {type: files, paths: [in]}}
transforms: [{type: validate%s}]
sinks: {local: {type: file, path: out/audit.ndjson}}
"""


pytestmark = pytest.mark.usefixtures("quiet_logs")


@pytest.fixture
def pipeline(tmp_path, capsys):
    """Runs records through a pipeline; gives exit code and log lines."""

    def run(name, found, options=""):
        path = tmp_path / "pipeline.yaml"
        path.write_text(CONFIG % options)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("".join(json.dumps(one) + "\n" for one in found))
        code = main(["run", "--once", str(path)])
        return code, [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]

    return run


@pytest.fixture
def status(tmp_path, capsys):
    def run(*arguments):
        assert main(["status", str(tmp_path / "pipeline.yaml"), *arguments]) == 0
        return capsys.readouterr().out

    return run


def drift_of(out):
    """Returns the drift of a JSON status without its times."""
    return [tuple(seen[key] for key in ("kind", "record_type", "name", "source", "count")) for seen in json.loads(out)["drift"]]


def new_things(log):
    return [line["message"] for line in log if line["logger"] == "ualpipe.drift"]


ODD = [record(7, Colour="red"), record(8, Colour="blue"), record(9, RecordType=9001, Operation="Beamed")]


def test_new_things_are_in_the_status_and_in_the_log(pipeline, status):
    code, log = pipeline("a.json", [*records(1, 5), *ODD])
    assert code == 0
    assert drift_of(status("--json")) == [
        ("record_type", "9001", "", "archive", 1),
        ("operation", "9001", "Beamed", "archive", 1),
        ("field", "6", "Colour", "archive", 2),
    ]
    assert sorted(new_things(log)) == [
        "new in audit records: field Colour of record type 6",
        "new in audit records: operation Beamed of record type 9001",
        "new in audit records: record type 9001",
    ]


def test_odd_records_are_delivered_as_they_are(pipeline, tmp_path):
    pipeline("a.json", [*records(1, 5), *ODD])
    lines = (tmp_path / "out" / "audit.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [*records(1, 5), *ODD]


def test_the_status_for_people_shows_them_in_a_table(pipeline, status):
    pipeline("a.json", [*ODD, record(10, **{"[red]Shape\n": 1})])
    out = status()
    assert "in the records, but not known to ualpipe: 4 things (they are delivered all the same)" in out
    (line,) = [line for line in out.splitlines() if "Colour" in line]
    assert line.split()[:6] == ["field", "6", "SharePointFileOperation", "Colour", "2", "archive"]
    assert "[red]Shape\\n" in out


def test_ordinary_records_show_none(pipeline, status):
    pipeline("a.json", records(1, 5))
    assert drift_of(status("--json")) == []
    assert "not known" not in status()


def test_a_restart_counts_on_and_tells_nothing_twice(pipeline, status):
    pipeline("a.json", [record(1, Colour="red")])
    (first,) = json.loads(status("--json"))["drift"]
    _code, log = pipeline("b.json", [record(2, Colour="red")])
    (then,) = json.loads(status("--json"))["drift"]
    assert new_things(log) == []
    assert then["count"] == 2
    assert then["first_seen"] == first["first_seen"] < then["last_seen"]


def test_a_switch_turns_it_off(pipeline, status):
    _code, log = pipeline("a.json", ODD, ", drift: false")
    assert (drift_of(status("--json")), new_things(log)) == ([], [])


def test_many_new_things_are_cut_for_people_only(pipeline, status):
    pipeline("a.json", [record(1, **{f"Field{number:02}": 1 for number in range(30)})])
    out = status()
    assert out.count("Field") == 20
    assert "10 more; --json shows all of them" in out
    assert len(drift_of(status("--json"))) == 30


# --- while a pipeline runs -------------------------------------------------------------------------------------------

THING = Thing(FIELD, "6", "Colour")


def test_what_is_found_is_kept_before_the_run_ends(tmp_path):
    """A crash loses the counts of the last seconds only."""
    runner = Pipeline(tmp_path, MemorySource({"stream": {}}), {"siem": MemorySink()}).runner(once=False)
    thread = threading.Thread(target=runner.run)
    thread.start()
    until(lambda: runner.deliveries, "the start")
    runner._context.drift.note(THING, "contoso")

    def kept():
        with closing(SqliteJournalReader(tmp_path, FakeClock())) as reader:
            return [seen.name for seen in reader.status(["siem"]).drift] == ["Colour"]

    try:
        until(kept, "the drift")
    finally:
        runner.stop()
        thread.join()


@pytest.fixture
def housekeeping(tmp_path):
    """The housekeeping of a run that has found something new."""
    clock = FakeClock()
    context = RunContext(once=False, clock=clock)
    context.drift.note(THING, "contoso")
    config = Pipeline(tmp_path, MemorySource({"stream": {}}), {"siem": MemorySink()}).config()
    memory = MemoryBudget(MemoryLimit(1 << 40, "a test"))
    return Housekeeping(config, MemoryJournal(clock), context, LocalProcessor(), CpuAffinity(), memory, dict, {})


def test_a_full_disk_delays_what_is_new_and_does_not_end_the_run(housekeeping, caplog):
    journal, context = housekeeping._journal, housekeeping._context
    journal.full = JournalFull("the disk of state is full")
    housekeeping.keep_drift()
    (line,) = caplog.records
    assert (line.getMessage(), line.not_done) == ("the disk of state is full", ["what is new in records can't be noted now"])
    assert not context.stop.is_set()
    journal.full = None
    housekeeping.keep_drift()
    assert journal.known_drift() == {THING}


def test_a_damaged_journal_ends_the_run(housekeeping):
    housekeeping._journal.full = JournalError("damaged")
    housekeeping.keep_drift()
    assert housekeeping._context.stop.is_set()
    assert str(housekeeping.fatal) == "damaged"
