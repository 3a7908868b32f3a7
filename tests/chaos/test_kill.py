"""kill -9 at random moments: nothing is lost, and nothing is doubled where the destination can tell."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter

import pytest

from runs import generated, ids_in, record_ids, run_once, served, start, write_config

pytestmark = [pytest.mark.elasticsearch, pytest.mark.slow]

RECORDS = 50_000
KILLS = 20
INDEX = "logs-o365.audit-kill"
SLOW = 900  # requests a minute while runs are killed, so that each of them is killed at work
SEED = 20


def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing_in_elasticsearch(tmp_path, elasticsearch, capsys):
    rng = random.Random(SEED)
    sinks = {
        "sinks": {
            "local": {"type": "file", "path": "out/audit.ndjson"},
            "search": {"type": "elasticsearch", "urls": [elasticsearch.url], "data_stream": INDEX},
        }
    }
    with served(tmp_path, generated(RECORDS), records_per_blob=50) as tenant:
        source = tenant.sections["sources"]["contoso"]
        slow = {"sources": {"contoso": {**source, "requests_per_minute": SLOW}}}
        config = write_config(tmp_path, tenant.sections, slow, sinks)
        killed = 0
        while killed < KILLS:
            killed += killed_at_work(config, rng.uniform(0.4, 2.5))
        code, log = run_once(write_config(tmp_path, tenant.sections, sinks))
        assert code == 0, log
    in_file = Counter(ids_in(tmp_path / "out"))
    in_search = Counter(record_ids(elasticsearch.search_ids(INDEX)))
    repeated = in_file.total() - len(in_file)
    with capsys.disabled():
        print(
            f"\n{killed} kills, {RECORDS:,} records: lost 0 expected; file {len(in_file):,} and {repeated:,} repeated,", end=" "
        )
        print(f"Elasticsearch {len(in_search):,} and {in_search.total() - len(in_search):,} repeated")
    assert in_file.keys() == tenant.ids
    assert in_search.keys() == tenant.ids
    assert in_search.total() == RECORDS


def killed_at_work(config, after_s: float) -> bool:
    """Starts a run and kills it; returns False when it had ended by itself."""
    process = start(config)
    try:
        process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    pytest.fail("the run ended before it was killed: more records or a smaller budget are needed")
