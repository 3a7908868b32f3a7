"""The points at which a run is killed: before, inside and after each step of the journal and each write of a sink.

A point names code of the product, which runs as it is: the child that is to die looks at the calls that its interpreter reports
(`crash_child.py`), so nothing is replaced. What a point names and no run reaches fails the test.
"""

from __future__ import annotations

import importlib
import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Literal

from ualpipe.pipeline.journal.reserve import RESERVE_BYTES

Moment = Literal["before", "uncommitted", "after"]
"""Of a call: at its start; with everything written, right before COMMIT; at its end, before the caller has the result."""

_JOURNAL = "ualpipe.pipeline.journal.sqlite"
_UNANSWERED_S = 0.05  # for the other side to take what went out, and to answer


@dataclass(frozen=True, slots=True)
class Point:
    """One point.

    Attributes:
        name: As it is shown.
        function: ``module:qualified.name`` of what is watched.
        moment: Of that call.
        calling: Not the call itself, but when it calls the C function of this name.
        within: Counts only below this function.
        passage: The n-th time, in one run, that it is passed.
        act: What is done yet before the end: a write that gets no further than half, a wait for what is under way.
    """

    name: str
    function: str
    moment: Moment = "before"
    calling: str = ""
    within: str = ""
    passage: int = 1
    act: Callable[[FrameType], None] | None = None


def half_to_file(frame: FrameType) -> None:
    """Writes the first half of what is to be written, which ends inside a line."""
    data = bytes(frame.f_locals["data"])
    os.write(frame.f_locals["fd"], data[: len(data) // 2])


def half_of_the_reserve(frame: FrameType) -> None:
    os.write(frame.f_locals["fd"], bytes(RESERVE_BYTES // 2))


def half_to_socket(frame: FrameType) -> None:
    """Sends the first half of what is to be sent, which ends inside a frame."""
    data = frame.f_locals["data"]
    frame.f_locals["self"]._sock.sendall(data[: len(data) // 2])


def wait_for_the_other_side(_frame: FrameType) -> None:
    time.sleep(_UNANSWERED_S)


def _step(name: str, function: str, passage: int = 1) -> list[Point]:
    """Returns the three points of a step that is one transaction."""
    moments: tuple[Moment, ...] = ("before", "uncommitted", "after")
    return [Point(f"{name}, {moment}", f"{_JOURNAL}.{function}", moment, passage=passage) for moment in moments]


def _around(name: str, function: str, passage: int = 1) -> list[Point]:
    return [Point(f"{name}, before", function, passage=passage), Point(f"{name}, after", function, "after", passage=passage)]


_SEGMENTS = f"{_JOURNAL}.seen.segments:Segments"
_ARCHIVE = "ualpipe.sinks.archive"
_FILE, _APPEND = "ualpipe.sinks.file:FileSink", "ualpipe.sinks.file.append_file"
_KAFKA, _PRODUCER = "ualpipe.sinks.kafka:KafkaSink", "ualpipe.sinks.kafka.producer_confluent:ConfluentProducer.send"
_AWAIT = "ualpipe.sinks.kafka.producer_python:PythonProducer._await"
_SEARCH, _ANSWER = "ualpipe.sinks.elasticsearch:ElasticsearchSink", "urllib3.connection:HTTPConnection.getresponse"
_HTTP = "ualpipe.sinks.http:HttpSink"
_SENTINEL, _ROWS = "ualpipe.sinks.sentinel:SentinelSink", "ualpipe.sinks.sentinel.delivery:RowDelivery._send"
_SPLUNK = "ualpipe.sinks.splunk_hec"
_SQL = "ualpipe.sinks.sql"
_SYSLOG, _STREAM = "ualpipe.sinks.syslog:SyslogSink", "ualpipe.sinks.syslog.tcp:Stream"
_BEATS, _SESSION = "ualpipe.sinks.logstash.connection:Connection", "ualpipe.sinks.syslog.relp:Session"
_HEAR = "ualpipe.sinks.dialogue:Dialogue.receive"

_MAKING, _KEEPING = f"{_JOURNAL}.file:_create", "ualpipe.pipeline.journal.reserve:Reserve._make"
_MARK = f"{_JOURNAL}.state_dir"

MAKING = [  # in this order one run after the other comes to them: behind the last there is a journal
    Point("make the journal, before", _MAKING),
    Point("make the journal: nothing in it", _MAKING, calling="connect"),
    Point("make the journal: no tables in it", _MAKING, calling="executescript"),
    Point("make the journal: not in its place", "pathlib:Path.replace", within=_MAKING),
    Point("make the journal, after", _MAKING, "after"),
    Point("mark the journal, before", f"{_MARK}.generation:settle_mark"),
    Point("mark the journal: not in its place", "pathlib:Path.replace", within=f"{_MARK}.mark:make_mark"),
    Point("mark the journal: made, nothing counted", f"{_MARK}.generation:_note"),
    Point("mark the journal: counted, not marked", f"{_MARK}.generation:_note", "after"),
    Point("mark the journal, after", f"{_MARK}.generation:settle_mark", "after"),
]
MARKING = [  # of each transaction: committed, and the mark lags behind
    *_around("note a transaction in the mark", f"{_MARK}.mark:Mark.note", 4),
    Point("close the journal: the mark not on the disk", f"{_MARK}.mark:Mark.close"),
]
_MIGRATE = f"{_JOURNAL}.file:_migrate"
ADDED_COLUMNS = [
    *((table, "width") for table in ("seen_run", "seen_sorted")),
    *((table, "conflicts") for table in ("batch", "item", "item_past")),
    ("dead_letter", "conflict"),
]
"""What version 6 of the journal added to version 5."""
_BEFORE_COLUMNS = 3  # statements: which version it is, the beginning, and which version it is now

MIGRATING = [  # in this order one run after the other comes to them: behind the last the journal is up to date
    Point("bring the journal up to date, before", _MIGRATE),
    Point("bring the journal up to date: one column added", _MIGRATE, calling="execute", passage=_BEFORE_COLUMNS + 2),
    Point(
        "bring the journal up to date, uncommitted",
        *(_MIGRATE, "before", "execute"),
        passage=_BEFORE_COLUMNS + len(ADDED_COLUMNS) + 2,
    ),
    Point("bring the journal up to date, after", _MIGRATE, "after"),
]
KEEPING = [  # in this order, too: behind the last the reserve is there
    Point("keep the reserve, before", _KEEPING),
    Point("keep the reserve: nothing in it", _KEEPING, calling="write"),
    Point("keep the reserve: half of it", _KEEPING, calling="write", act=half_of_the_reserve),
    Point("keep the reserve: not on the disk", _KEEPING, calling="fsync"),
]
LISTING = [
    *_step("open the journal", "record_store:RecordStore.__init__"),
    *_step("note what stands still", "notes:StandingStillNote.note"),
    *_step("make what waits due", "ledger:Ledger.make_due"),
    *_step("enter in the ledger", "ledger:Ledger.enter", 2),
]
CHUNKS = [
    *_step("stage a chunk", "record_store:RecordStore.stage"),
    *_step("commit an item", "record_store:RecordStore.commit", 3),
]
DISCARDING = _step("discard staged chunks", "record_store:RecordStore.discard")
LETTERS = [
    *_around("insert a dead letter", f"{_JOURNAL}.dead_letters:DeadLetters._insert", 2),
    *_step("postpone an item", "ledger:Ledger.postpone"),
]
BURIAL = _step("bury an item", "journal:SqliteJournal.bury")
SETTLING = _step("settle", "batches:Batches.settle", 2)
FLAWS = [
    *_step("note what conditions fit", "notes:ConditionNote.note"),
    *_around("note what is wrong with records", f"{_JOURNAL}.notes:note_flaws", 2),
]
DRIFT = _step("keep drift", "notes:DriftTable.add")
GAPS = [*_step("note a gap", "gaps:Gaps.note"), *_step("conclude a listing", "gaps:Gaps.conclude")]
SEEN = [
    *_around("write a run of seen Ids", f"{_SEGMENTS}.write"),
    *_around("merge runs of seen Ids, third step", f"{_SEGMENTS}._step", 3),
]
FORGETTING = _step("forget old items", "retention:Retention._forget_items")
PRUNING = [
    *_step("remove batches", "retention:Retention.remove_batches"),
    *_around("sum up what was wrong with records", f"{_JOURNAL}.notes:sum_up_flaws"),
]
REQUEUE = _step("send a dead letter again", "dead_letters:DeadLetters.requeue", 5)
FILE = [
    *_around("file: write", f"{_FILE}.write"),
    Point("file: written, not on the disk", f"{_APPEND}:_write_all", "after"),
    Point("file: inside a line", f"{_APPEND}:_write_all", act=half_to_file),
    Point("file: a torn line found", f"{_APPEND}:AppendFile._cut_torn_end", calling="ftruncate"),
    Point("file: between two files", f"{_FILE}._opened", passage=2),
    Point("file: the next file made, nothing in it", f"{_FILE}._opened", "after", passage=2),
]
KAFKA = [
    Point("kafka: open", f"{_KAFKA}.open", "after"),
    *_around("kafka: write", f"{_KAFKA}.write"),
    Point("kafka: queued", _PRODUCER, calling="flush"),
    Point("kafka: sent, not acknowledged", _PRODUCER, calling="flush", act=wait_for_the_other_side),
]
KAFKA_PYTHON = [
    Point("kafka-python: handed over", _AWAIT),
    Point("kafka-python: sent, not acknowledged", _AWAIT, act=wait_for_the_other_side),
    Point("kafka-python: acknowledged", _AWAIT, "after"),
]
SEARCH = [
    Point("elasticsearch: open", f"{_SEARCH}.open", "after"),
    *_around("elasticsearch: write", f"{_SEARCH}.write"),
    Point("elasticsearch: sent", _ANSWER, within=f"{_SEARCH}._deliver"),
    Point("elasticsearch: answered, not read", _ANSWER, within=f"{_SEARCH}._deliver", act=wait_for_the_other_side),
    Point("elasticsearch: read, not understood", "ualpipe.sinks.elasticsearch.bulk:failures"),
]
HTTP = [
    Point("http: open", f"{_HTTP}.open", "after"),
    *_around("http: write", f"{_HTTP}.write"),
    Point("http: sent", _ANSWER, within=f"{_HTTP}._send"),
    Point("http: answered, not read", _ANSWER, within=f"{_HTTP}._send", act=wait_for_the_other_side),
    Point("http: read, not understood", "ualpipe.sinks.http.answers:judged"),
]
SYSLOG = [
    *_around("syslog: write", f"{_SYSLOG}.write"),
    Point("syslog: inside a frame", f"{_STREAM}.send", act=half_to_socket),
    Point("syslog: sent, not acknowledged", f"{_STREAM}._await_acknowledgement"),
    Point("syslog: acknowledged", f"{_STREAM}._await_acknowledgement", "after"),
]
SENTINEL = [
    Point("sentinel: open", f"{_SENTINEL}.open", "after"),
    *_around("sentinel: write", f"{_SENTINEL}.write"),
    Point("sentinel: sent", _ANSWER, within=_ROWS),
    Point("sentinel: answered, not read", _ANSWER, within=_ROWS, act=wait_for_the_other_side),
    Point("sentinel: one body taken", _ROWS, "after"),
]
BEATS = [
    *_around("logstash: write", f"{_BEATS}.send"),
    Point("logstash: inside a window", "ualpipe.sinks.dialogue:Dialogue.send", within=f"{_BEATS}.send", act=half_to_socket),
    Point("logstash: sent, not acknowledged", _HEAR, within=f"{_BEATS}.send"),
    Point("logstash: acknowledged, not read", _HEAR, within=f"{_BEATS}.send", act=wait_for_the_other_side),
]
RELP = [
    *_around("relp: write", f"{_SESSION}.send"),
    Point("relp: inside a frame", "ualpipe.sinks.dialogue:Dialogue.send", within=f"{_SESSION}.send", act=half_to_socket),
    Point("relp: sent, not acknowledged", _HEAR, within=f"{_SESSION}.send"),
    Point("relp: acknowledged, not read", _HEAR, within=f"{_SESSION}.send", act=wait_for_the_other_side),
]
ACKED = {"beats": BEATS, "siem": RELP}
"""Points of the sinks whose receivers acknowledge events themselves, by the sink's name in `test_acked_crashes.py`."""
SPLUNK = [  # of `test_splunk_hec.py`, each at its n-th passage
    *_around("splunk: write", f"{_SPLUNK}:SplunkHecSink.write"),
    Point("splunk: sent", _ANSWER, within=f"{_SPLUNK}.sending:Sending._send_one"),
    Point("splunk: answered, not read", _ANSWER, within=f"{_SPLUNK}.sending:Sending._send_one", act=wait_for_the_other_side),
    Point("splunk: read, not sorted", f"{_SPLUNK}.sending:Sending._sort"),
    Point("splunk: taken, not acknowledged", f"{_SPLUNK}.acknowledgements:Acknowledgements.wait"),
    Point("splunk: told, not read", _ANSWER, within=f"{_SPLUNK}.collector:Collector.acknowledged", act=wait_for_the_other_side),
    Point("splunk: acknowledged", f"{_SPLUNK}.acknowledgements:Acknowledgements.wait", "after"),
]
_PARTS, _MERGE, _SWEEP = (
    f"{_ARCHIVE}.parts",
    f"{_ARCHIVE}.upkeep.compaction:merge",
    f"{_ARCHIVE}.upkeep.retention:remove_leftovers",
)
_RENAME = "pathlib:Path.rename"
ARCHIVE = [  # of `archive/test_archive_crashes.py`, in this order: behind each there is what the next one takes
    Point("archive: marked, nothing in it", f"{_ARCHIVE}:ArchiveSink._sweep"),
    *_around("archive: write", f"{_ARCHIVE}:ArchiveSink.write"),
    Point("archive: a file made, nothing in it", f"{_ARCHIVE}.duck:write"),
    Point("archive: what was half made found", f"{_PARTS}:remove", within=_SWEEP),
    Point("archive: written, not on the disk", f"{_ARCHIVE}.duck:write", "after"),
    Point("archive: not in its place", _RENAME, within=f"{_PARTS}:add_part"),
    Point("archive: in its place, not settled", _RENAME, "after", within=f"{_PARTS}:add_part"),
    *_around("archive: merge", _MERGE),
    Point("archive: merged, not on the disk", f"{_ARCHIVE}.duck:copy", "after", within=_MERGE),
    Point("archive: merged, not in its place", _RENAME, within=_MERGE),
    Point("archive: merged, nothing removed", _RENAME, "after", within=_MERGE),
    Point("archive: merged, one removed", f"{_PARTS}:remove", "after", within=_MERGE),
    Point("archive: coverage not in its place", "pathlib:Path.replace", within=f"{_ARCHIVE}.coverage:write_coverage"),
]
SQL = [  # of `sql/test_sql_kills.py`
    Point("sql: tables made, uncommitted", f"{_SQL}.setup:set_up", "after"),
    Point("sql: open", f"{_SQL}:SqlSink.open", "after"),
    *_around("sql: write", f"{_SQL}:SqlSink.write"),
    Point("sql: months made, uncommitted", f"{_SQL}.setup:make_months", "after"),
    Point("sql: copied, not inserted", f"{_SQL}.copying:insert"),
    Point("sql: inserted, uncommitted", f"{_SQL}.copying:insert", "after"),
    Point("sql: committed", f"{_SQL}:SqlSink._write", "after"),
]

_WAY_IN = (MAKING, MARKING, KEEPING, MIGRATING, LISTING, CHUNKS, DISCARDING, LETTERS, BURIAL, SETTLING, FLAWS, DRIFT, GAPS)
_CARE = (SEEN, FORGETTING, PRUNING, REQUEUE)
_SINKS = (FILE, HTTP, KAFKA, KAFKA_PYTHON, SEARCH, SENTINEL, SYSLOG, BEATS, RELP, SPLUNK, ARCHIVE, SQL)
POINTS = {point.name: point for group in (*_WAY_IN, *_CARE, *_SINKS) for point in group}

ELSEWHERE = {
    "notes:DeathsNote.add": "a start that blames an item for the end of a run: without it the item is blamed once less",
    "notes:DeathsNote.forget": "what was fetched is no longer blamed: the next start that blames anything clears it",
    "notes:note_run": "begin and version of a run, for `ualpipe status`: without it the run before is named",
    "dead_letters:DeadLetters.discard": "`ualpipe dead-letters discard`, which whoever sees it fail types again",
    "queries.accounts:mend": "`ualpipe reconcile`, which does the rest when it is typed again",
    "queries.replay:send_again": "`ualpipe replay`, which sends the rest when it is typed again",
}
"""Other transactions of the journal, and why none of them is a point here."""


def named(function: str) -> Any:
    """Returns the object that ``module:qualified.name`` names."""
    module, _colon, path = function.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    return found


def code_of(function: str) -> CodeType:
    """Returns the code of a function."""
    code: CodeType = inspect.unwrap(named(function)).__code__
    return code
