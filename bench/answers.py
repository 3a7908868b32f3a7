"""Searches and reports over a large archive, the start of the process apart."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.pipeline_run import run, tenant

from ualpipe.pipeline.report.catalog import Catalog
from ualpipe.pipeline.report.contract import Asked, Search, Selection
from ualpipe.sinks.archive import duck, layout
from ualpipe.sinks.archive.store import ArchiveStore

DAYS = 10  # the corpus comes again on each of them, an hour of it spread over the day
COLUMNS = ("time", "id", "actor", "target", "ip", "sentence", "document")


def measure(corpus: Path, runs: int) -> dict[str, Any]:
    """Prints and returns seconds of each question, the least of some: what else runs on a machine only adds."""
    with tempfile.TemporaryDirectory(prefix="ualpipe-bench-") as name, tenant(Path(name), "--records", corpus) as source:
        small, large = Path(name, "small"), Path(name, "large")
        run(source, {"sinks": {"archive": {"type": "archive", "path": str(small)}}})
        grow(small, large)
        store = ArchiveStore(large)
        store.open()
        try:
            return _ask(store, max(runs, 3))
        finally:
            store.close()


def grow(small: Path, large: Path) -> None:
    """Copies an archive of one day to several days, the events of each under Ids of their own."""
    connection = duck.connect(threads=1, memory="2GiB")
    files = [str(file) for partition in layout.partitions(small) for file in layout.files(small, partition)]
    large.mkdir()
    (large / layout.MARKER).write_bytes((small / layout.MARKER).read_bytes())
    [(begin, tenant_id)] = connection.execute(f"SELECT min(time), min(tenant) FROM read_parquet({files})").fetchall()
    for day in range(DAYS):
        spread = f"(time - TIMESTAMPTZ '{begin}') * 23 - INTERVAL {day} DAY + TIMESTAMPTZ '{begin}'"
        rows = f"SELECT * REPLACE (event_id || '-{day}' AS event_id, id || '-{day}' AS id, {spread} AS time)"
        partition = layout.Partition(tenant_id, (begin - timedelta(days=day)).astimezone(UTC).date())
        folder = partition.folder(large)
        folder.mkdir(parents=True)
        duck.copy(connection, f"{rows} FROM read_parquet({files}) ORDER BY time", folder / layout.Part(1, 1).name)
    connection.close()


def _ask(store: ArchiveStore, runs: int) -> dict[str, Any]:
    user = _busiest(store)
    of_user = Selection(user=user, workloads=["SharePoint", "OneDrive"])
    questions: dict[str, Callable[[], int]] = {
        "newest 50": lambda: _search(store, Selection(), Search()),
        "newest 50 of one operation": lambda: _search(store, Selection(), Search(operation="New-InboxRule")),
        "newest 50 of one user": lambda: _search(store, Selection(user=user), Search()),
        "a text that nothing holds": lambda: _search(store, Selection(), Search(texts=["no such text"])),
        "user-activity, SharePoint of one": lambda: _report(store, "user-activity", of_user),
        **{name: lambda name=name: _report(store, name, Selection()) for name in Catalog().names if name != "user-activity"},
    }
    events = store.coverage(Selection()).events
    print(f"\n{events:,} events, the least of {runs} runs\n{'':34s} {'rows':>9s} {'seconds':>9s} {'median':>9s}")
    return {"events": events, **{name: _timed(name, ask, runs) for name, ask in questions.items()}}


def _timed(name: str, ask: Callable[[], int], runs: int) -> dict[str, Any]:
    seconds, rows = [], 0
    for _run in range(runs):
        began = time.perf_counter()
        rows = ask()
        seconds.append(time.perf_counter() - began)
    found = {"rows": rows, "s": round(min(seconds), 3), "median_s": round(statistics.median(seconds), 3)}
    print(f"{name:34s} {rows:9,} {found['s']:9.2f} {found['median_s']:9.2f}", flush=True)
    return found


def _busiest(store: ArchiveStore) -> str:
    sql = (
        "select actor from events where workload in ('SharePoint', 'OneDrive') and actor_kind = 'person' "
        "group by actor order by count(*) desc, actor limit 1"
    )
    [[actor]] = store.query(sql, Asked(Selection(), now=datetime.now(UTC))).rows
    return str(actor)


def _search(store: ArchiveStore, selection: Selection, search: Search) -> int:
    return len(list(itertools.islice(store.search(selection, search, COLUMNS), 50)))


def _report(store: ArchiveStore, name: str, selection: Selection) -> int:
    return len(store.query(Catalog().report(name).sql, Asked(selection, now=datetime.now(UTC))).rows)
