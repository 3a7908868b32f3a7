"""A disk that fills up under a running pipeline, for its journal or for its file sink, and has room again later."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from chaos.running import Running, running
from chaos.small_disk import SmallDisk
from fakes import rows
from runs import TENANT_ID, Tenant, ids_in, served, write_config
from servers.peers.hostile_server import HostileServer, whole
from ualpipe.simulator.records.generator import generate

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

STREAM = "Audit.General"
PER_BLOB = 50
WITHIN_S = 60.0
SIZE = "16m"


MAKE_JOURNALS = """
import gc, pathlib, sys
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.errors import JournalError
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.sqlite.journal import SqliteJournal

def make(folder):
    SqliteJournal(JournalFile(folder, SystemClock(), exclusive=True)).close()

disk = pathlib.Path(sys.argv[1])
for free in range(0, 400, 20):  # KiB
    (disk / "ballast").write_bytes(bytes(1024 * (1000 - free)))
    folder = disk / f"state-{free}"
    try:
        make(folder)
        print("made")
    except JournalError as exc:
        print(exc)
    (disk / "ballast").unlink()
    gc.collect()
    make(folder)
    for file in folder.iterdir():
        file.unlink()
"""
"""With little room and then with enough: the second time it has to come about, whatever the first left."""


class Feed:
    """Gives a tenant new content, blob by blob.

    Attributes:
        ids: What it has by now.
    """

    def __init__(self, tenant: Tenant) -> None:
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
        self.ids: set[str] = set()
        self._tenant = tenant.tenant
        self._records = generate(start=start, rate=50, tenant_id=TENANT_ID)

    def more(self, blobs: int = 10) -> None:
        for _blob in range(blobs):
            piece = list(itertools.islice(self._records, PER_BLOB))
            self._tenant.add_blob(STREAM, piece)
            self.ids |= {str(record["Id"]) for record in piece}


@contextmanager
def pipeline(folder: Path, disk: SmallDisk, **sinks: Any) -> Iterator[tuple[Running, Feed]]:
    """Runs a pipeline on a small disk."""
    with served(folder, [], poll_interval="500ms", content_types=[STREAM], lookback="15m") as tenant:
        config = write_config(folder, tenant.sections, {"sinks": {name: {"type": "file", **sinks[name]} for name in sinks}})
        with running(config, before=disk.before) as run:
            yield run, Feed(tenant)


def soon(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {WITHIN_S:g} s"
        threading.Event().wait(0.05)


def whole_lines(file: Path) -> Counter[str]:
    """Returns the Ids in a file that is being written to."""
    lines = file.read_bytes().rpartition(b"\n")[0].splitlines() if file.exists() else []
    return Counter(orjson.loads(line)["event"]["id"] for line in lines)


def says(run: Running, logger: str, words: str) -> bool:
    return any(words in message for message in run.said(logger))


def test_a_full_disk_under_the_journal_stops_fetching_says_so_and_goes_on(tmp_path: Path) -> None:
    disk, out = SmallDisk(tmp_path / "state", SIZE), tmp_path / "out/audit.ndjson"
    with pipeline(tmp_path, disk, local={"path": str(out)}) as (run, feed):
        pid = run.process.pid
        feed.more()
        soon(lambda: whole_lines(out).keys() == feed.ids, "the first records")
        disk.fill(pid)
        before = set(feed.ids)
        feed.more()
        soon(lambda: says(run, "ualpipe.source.contoso", "fetching pauses: the disk of"), "the pause")
        assert whole_lines(out).keys() == before, "what has no place in the journal must not be on its way"
        assert disk.free_bytes(pid) < 128 * 1024
        disk.clear(pid)
        soon(lambda: whole_lines(out).keys() == feed.ids, "the others")
        assert says(run, "ualpipe.source.contoso", "there is room again; fetching goes on")
        run.stop()
    assert Counter(ids_in(tmp_path / "out")) == Counter(feed.ids)


def test_a_full_disk_under_a_file_sink_holds_up_that_sink_alone_and_tears_no_line(tmp_path: Path) -> None:
    disk, beside = SmallDisk(tmp_path / "small", SIZE), tmp_path / "out/audit.ndjson"
    out = disk.folder / "audit.ndjson"
    with pipeline(tmp_path, disk, local={"path": str(out)}, beside={"path": str(beside)}) as (run, feed):
        pid = run.process.pid
        out = disk.seen_by(pid) / out.name
        feed.more()
        soon(lambda: whole_lines(out).keys() == feed.ids, "the first records")
        disk.fill(pid)
        before = out.read_bytes()
        feed.more()
        soon(lambda: whole_lines(beside).keys() == feed.ids, "everything in the other file")
        soon(lambda: says(run, "ualpipe.sink.local", "the disk is full; make room"), "the word of a full disk")
        assert out.read_bytes().startswith(before)
        assert out.read_bytes().endswith(b"\n")
        assert {sink["sink"]: sink["backlog"] > 0 for sink in run.status()["sinks"]} == {"local": True, "beside": False}
        disk.clear(pid)
        soon(lambda: whole_lines(out).keys() == feed.ids, "the others")
        assert says(run, "ualpipe.sink.local", "delivering again")
        found = whole_lines(out)
        run.stop()
    assert found == Counter(feed.ids)
    assert Counter(ids_in(tmp_path / "out")) == Counter(feed.ids)


def test_a_journal_that_was_to_be_made_on_a_nearly_full_disk_is_there_once_there_is_room(tmp_path):
    disk = SmallDisk(tmp_path / "disk", "1m")
    command = [*disk.before, sys.executable, "-c", MAKE_JOURNALS, str(disk.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert done.returncode == 0, done.stderr
    answers = set(done.stdout.splitlines())
    assert "made" in answers
    assert any("is full" in answer for answer in answers), answers


LEAVE_A_LOG = """
import os, pathlib, signal, subprocess, sys
disk, config = pathlib.Path(sys.argv[1]), sys.argv[2]
(disk / "state").mkdir(mode=0o700)
ualpipe = [sys.executable, "-m", "ualpipe.pipeline.cli"]
run = subprocess.Popen([*ualpipe, "run", config], stderr=subprocess.PIPE, text=True)
for line in run.stderr:
    if "delivering" in line or "fetching pauses" in line:
        break
    if '"started"' in line:
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(65536))
            except OSError:
                pass
os.kill(run.pid, signal.SIGKILL)
run.wait()
for path in (disk / "state").glob("*-shm"):
    path.unlink()
with (disk / "more").open("wb", buffering=0) as ballast:
    try:
        while True:
            ballast.write(bytes(512))
    except OSError:
        pass
print(subprocess.run([*ualpipe, "status", config, "--json"], capture_output=True, text=True))
"""
"""Kills a run when it has filled its disk, takes the index of its write-ahead log away, and asks for the status."""


def test_status_reads_what_a_killed_run_left_on_a_full_disk(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", SIZE)
    with served(tmp_path, [], content_types=[STREAM], poll_interval="500ms") as tenant:
        Feed(tenant).more()
        out = {"sinks": {"local": {"type": "file", "path": str(tmp_path / "out/audit.ndjson")}}}
        config = write_config(tmp_path, tenant.sections, out, {"state_dir": str(disk.folder / "state")})
        command = [*disk.before, sys.executable, "-c", LEAVE_A_LOG, str(disk.folder), str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert done.returncode == 0, done.stderr
    assert "returncode=1" in done.stdout
    assert '"is_running": false' in done.stdout
    assert '"kind": "not_running"' in done.stdout


STAY = 'trap "" TERM; "$@"; code=$?; cp -r "$STATE" "$KEPT"; exit $code'
"""Keeps what the process leaves on the disk, which is gone with the last process that has it."""


def test_a_stop_on_a_full_disk_notes_what_was_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, kept, is_full = SmallDisk(tmp_path / "state", SIZE), tmp_path / "kept", threading.Event()
    monkeypatch.setenv("STATE", str(disk.folder))
    monkeypatch.setenv("KEPT", str(kept))

    def when_the_disk_is_full() -> Iterator[bytes]:
        is_full.wait(WITHIN_S)
        yield from whole(b'{"errors":false}')()

    plays = {"_bulk": when_the_disk_is_full, "GET /": whole(b"{}")}
    with HostileServer(plays) as server, served(tmp_path, [], content_types=[STREAM]) as tenant:
        feed = Feed(tenant)
        feed.more()
        sink = {"type": "elasticsearch", "urls": [f"http://127.0.0.1:{server.port}"], "setup": False, "concurrency": 1}
        config = write_config(tmp_path, tenant.sections, {"sinks": {"search": sink}})
        with running(config, before=[*disk.before, "sh", "-c", STAY, "sh"]) as run:
            soon(lambda: any("_bulk" in line for line in server.asked), "a write")
            pid = int(Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()[0])
            disk.fill(pid)
            is_full.set()
            soon(lambda: says(run, "ualpipe.sink.search", "can't note what was delivered"), "the wait for room")
            os.kill(pid, signal.SIGTERM)
            assert run.process.wait(WITHIN_S) == 0
        assert not says(run, "ualpipe.sink.search", "sent again after the next start")
    assert not (kept / "reserve").exists()
    delivered, left = rows(kept, "SELECT SUM(delivered), SUM(LENGTH(pending)) FROM settlement")[0]
    assert delivered > 0
    assert not left
