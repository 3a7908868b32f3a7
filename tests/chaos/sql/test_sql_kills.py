"""The sink `sql` when its server and our own process are killed: each record is there once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from archives.databases import Server, ids_in, options, own_schema, rows
from chaos import crash_points as at
from chaos.crash_ledger import end_pauses, left
from chaos.crash_runs import Runs
from chaos.running import Running, running
from runs import generated, run_once, served, write_config
from servers.postgres import Postgres

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

IS_LONG = os.environ.get("UALPIPE_CHAOS") == "long"
RECORDS = 200_000 if IS_LONG else 4000
KILLS = 20 if IS_LONG else 2
"""Of the server, and as many of ours."""
POINT_RECORDS = 400
MOST_RUNS = 4
PATIENCE_S = 300.0


@pytest.fixture
def schema(postgres: Postgres) -> Iterator[str]:
    with own_schema(postgres) as name:
        yield name


def sink_section(server: Server, schema: str, folder: Path) -> dict[str, Any]:
    secret = folder / "database-password"
    secret.write_text(server.password, encoding="utf-8")
    section = {"type": "sql", **options(server, schema, timeout="10s", connect_timeout="5s")}
    return {"sinks": {"database": section | {"password": f"${{file:{secret}}}"}}}


def test_a_kill_at_a_named_point_neither_loses_nor_doubles(
    tmp_path: Path, warm_process: Any, postgres: Postgres, schema: str, capsys: Any
) -> None:
    with served(tmp_path, generated(POINT_RECORDS), records_per_blob=10) as tenant:
        runs = Runs(warm_process, write_config(tmp_path, tenant.sections, sink_section(postgres, schema, tmp_path)))
        runs.killed_at_each(at.SQL, "database")
        assert Counter(ids_in(postgres, schema)) == Counter(tenant.ids)
        with capsys.disabled():
            print(f"\nsql: kills at {len(at.SQL)} points: {len(tenant.ids)} records, none lost, none doubled")


def test_kills_of_the_server_and_of_ours_neither_lose_nor_double(
    tmp_path: Path, postgres: Postgres, schema: str, capsys: Any
) -> None:
    rng = random.Random(7)
    kills = ["server", "ours"] * KILLS
    rng.shuffle(kills)
    steps = iter(RECORDS * step // (len(kills) + 1) for step in range(1, len(kills) + 1))
    with served(tmp_path, generated(RECORDS), requests_per_minute=1_000_000) as tenant:
        config = write_config(tmp_path, tenant.sections, sink_section(postgres, schema, tmp_path))
        waiting = list(kills)
        while waiting:
            with running(config) as run:
                is_ours = False
                while waiting and not is_ours:
                    wait_for_more(next(steps), postgres, schema, run)
                    time.sleep(rng.uniform(0, 0.2))
                    is_ours = waiting.pop(0) == "ours"
                    if is_ours:
                        run.process.kill()
                    else:
                        postgres.kill()
                        time.sleep(rng.uniform(0, 0.5))
                        postgres.start()
        end_pauses(tmp_path / "state")
        for _run in range(MOST_RUNS):
            code, log = run_once(config)
            if not left(tmp_path / "state", ["database"]):
                break
        assert code == 0, log[-3000:]
        found = Counter(ids_in(postgres, schema))
        with capsys.disabled():
            lost, doubled = len(tenant.ids - found.keys()), found.total() - len(found)
            each = f"{KILLS} kills of the server and {KILLS} of ours"
            print(f"\nsql: {each}: {len(tenant.ids):,} records, lost {lost}, doubled {doubled}")
        assert found == Counter(tenant.ids)


def count(server: Postgres, schema: str) -> int:
    """Returns how many events there are; 0 while there are no tables."""
    try:
        return int(rows(server, f'SELECT count(*) FROM "{schema}".events')[0][0])
    except psycopg.errors.UndefinedTable:
        return 0


def wait_for_more(events: int, server: Postgres, schema: str, run: Running) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while count(server, schema) < events:
        assert run.process.poll() is None, run.log_file.read_text(encoding="utf-8")[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
