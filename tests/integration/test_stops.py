"""A stop of the real process: it ends in time whatever other systems do, and loses and tears nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from chaos.running import Running, running
from fakes import record, rows, until
from runs import CLIENT_ID, ids_in, write_config
from servers.peers.dripping_peer import dripping_peer
from servers.peers.hostile_server import DRIPS, FLOODS, HostileServer, Play, dripping_body, whole
from ualpipe.simulator.service.ca import write_certificates

pytestmark = pytest.mark.slow

TENANTS, DRIPPING = 30, 10
STOP_S = 10.0
SOON_S = 60.0
EXCHANGE = "Audit.Exchange"


def tenant_id(number: int) -> str:
    return f"22222222-2222-2222-2222-{number:012d}"


def plays(port: int, tenants: int, drips: dict[int, tuple[str, Play]]) -> dict[str, Play]:
    """Returns what a service does that is honest but for some tenants: these drip at one of its answers."""
    found: dict[str, Play] = {}
    for number in range(tenants):
        where, play = drips.get(number, ("", whole(b"")))
        tenant, api = tenant_id(number), f"https://localhost:{port}/api/v1.0/{tenant_id(number)}/activity/feed"
        authority = f"https://localhost:{port}/{tenant}"
        endpoints = {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
        }
        token = {"token_type": "Bearer", "expires_in": 3599, "access_token": "planted-token"}
        listing = [
            {
                "contentUri": f"{api}/audit/blob{number}",
                "contentId": f"blob{number}",
                "contentType": EXCHANGE,
                "contentCreated": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 600)),
                "contentExpiration": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 86400)),
            }
        ]
        records = [record(number * 100 + at, OrganizationId=tenant) for at in range(10)]
        answers: dict[str, Any] = {
            f"/{tenant}/v2.0/": endpoints,
            f"/{tenant}/oauth2/": token,
            f"{tenant}/activity/feed/subscriptions/list": [{"contentType": EXCHANGE, "status": "enabled"}],
            f"{tenant}/activity/feed/subscriptions/content": listing,
            f"{tenant}/activity/feed/audit/": records,
        }
        for path, answer in answers.items():
            found[path] = play if where and where in path else whole(orjson.dumps(answer))
    return found


def source(port: int, number: int, ca_file: Path) -> dict[str, Any]:
    return {
        "type": "management_activity",
        "tenant_id": tenant_id(number),
        "credential": "app",
        "cloud": {"authority": f"https://localhost:{port}", "api": f"https://localhost:{port}"},
        "ca_file": str(ca_file),
        "content_types": [EXCHANGE],
        "timeout": "60s",
    }


@contextmanager
def service(folder: Path, tenants: int, drips: dict[int, tuple[str, Play]]) -> Iterator[tuple[HostileServer, dict[str, Any]]]:
    """Serves tenants; yields the server, and the sections of a config for them."""
    files = write_certificates(folder / "tls")
    with HostileServer({}, files.server_file) as server:
        server.plays = plays(server.port, tenants, drips)
        yield (
            server,
            {
                "credentials": {"app": {"client_id": CLIENT_ID, "client_secret": "planted-client-secret"}},
                "sources": {f"tenant{number}": source(server.port, number, files.ca_file) for number in range(tenants)},
            },
        )


def stopped_in(run: Running, *, signals: int = 1) -> float:
    """Sends SIGTERM, perhaps more than once; returns how long the process took to end, which it has to do well."""
    start = time.monotonic()
    for _signal in range(signals):
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    code = run.process.wait(60)
    took_s = time.monotonic() - start
    assert code == 0, run.log_file.read_text()[-3000:]
    return took_s


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_ends_in_time_with_ten_tenants_of_thirty_dripping_and_every_sink_hung(tmp_path: Path, signals: int) -> None:
    places = ["/v2.0/", "/oauth2/", "subscriptions/list", "subscriptions/content", "feed/audit/"]
    kinds = [DRIPS[what] for what in DRIPS if what != "100 Continue"] + [FLOODS["body"]]  # all but what ends by itself soon
    drips = {number: (places[number % 5], kinds[number % len(kinds)]) for number in range(DRIPPING)}
    expected = {str(record(number * 100 + at)["Id"]) for number in range(DRIPPING, TENANTS) for at in range(10)}
    with ExitStack() as stack:
        server, sections = stack.enter_context(service(tmp_path, TENANTS, drips))
        silent, deaf, broker = (stack.enter_context(dripping_peer(b"", reads=reads)) for reads in (True, False, False))
        sinks = {
            "local": {"type": "file", "path": str(tmp_path / "out/audit.ndjson")},
            "search": {"type": "elasticsearch", "urls": [f"http://127.0.0.1:{silent}"]},
            "siem": {"type": "syslog", "transport": "tcp", "host": "127.0.0.1", "port": deaf, "timeout": "60s"},
            "bus": {"type": "kafka", "bootstrap_servers": [f"127.0.0.1:{broker}"], "topic": "audit", "driver": "kafka-python"},
        }
        config = write_config(tmp_path, sections, {"sinks": sinks}, transforms=("ecs",))
        with running(config) as run:
            until(lambda: set(ids_so_far(tmp_path)) == expected, "the records of honest tenants", timeout_s=SOON_S)
            until(lambda: all(any(tenant_id(n) in line for line in server.asked) for n in drips), "the drips", timeout_s=SOON_S)
            took_s = stopped_in(run, signals=signals)
    print(f"the stop took {took_s:.1f} s")
    assert took_s < (STOP_S if signals == 1 else STOP_S / 2)
    assert Counter(ids_in(tmp_path / "out")) == Counter(expected), "each once, in whole lines"
    delivered = dict(rows(tmp_path / "state", "SELECT sink, SUM(delivered) FROM settlement GROUP BY sink"))
    assert delivered.pop("local") == len(expected)
    assert not any(delivered.values()), "what hung sinks did not take is theirs yet"
    attempts = rows(tmp_path / "state", "SELECT MAX(attempts) FROM item")[0][0]
    assert attempts == 0, "what a stop cut off has not failed"


def test_a_stop_ends_in_time_while_no_name_is_resolved(tmp_path: Path) -> None:
    black_hole = (
        "import sys, time, socket; socket.getaddrinfo = lambda *a, **k: time.sleep(3600);"
        " from ualpipe.pipeline.cli import main; sys.exit(main())"
    )
    with service(tmp_path, 2, {}) as (_server, sections):
        sinks = {
            "search": {"type": "elasticsearch", "urls": ["http://search.contoso.example:9200"]},
            "siem": {"type": "syslog", "transport": "udp", "host": "siem.contoso.example"},
        }
        config = write_config(tmp_path, sections, {"sinks": sinks}, transforms=("ecs",))
        with (tmp_path / "run.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-c", black_hole, "run", str(config)], stderr=log)
        try:
            until(lambda: b"started" in (tmp_path / "run.log").read_bytes(), "the start", timeout_s=SOON_S)
            time.sleep(1.0)  # the look-ups are under way
            took_s = stopped_in(Running(config, process))
        finally:
            process.kill()
            process.wait()
    assert took_s < STOP_S


def test_a_hangup_ends_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    with service(tmp_path, 1, {}) as (_server, sections):
        sinks = {"local": {"type": "file", "path": str(tmp_path / "out/audit.ndjson")}}
        config = write_config(tmp_path, sections, {"sinks": sinks}, transforms=("ecs",))
        with running(config) as run:
            until(lambda: len(ids_so_far(tmp_path)) == 10, "the records", timeout_s=SOON_S)
            run.process.send_signal(signal.SIGHUP)
            until(lambda: any("restart ualpipe" in said for said in run.said("ualpipe.runner")), "the word", timeout_s=SOON_S)
            assert run.process.poll() is None
            run.stop()


def test_a_tenant_that_drips_is_told_of_and_holds_up_no_other(tmp_path: Path) -> None:
    with service(tmp_path, 2, {0: ("feed/audit/", dripping_body())}) as (_server, sections):
        for name in sections["sources"]:
            sections["sources"][name]["timeout"] = "1s"
        sinks = {"local": {"type": "file", "path": str(tmp_path / "out/audit.ndjson")}}
        config = write_config(tmp_path, sections, {"sinks": sinks}, transforms=("ecs",))
        with running(config) as run:
            until(lambda: len(ids_so_far(tmp_path)) == 10, "the records of the other", timeout_s=SOON_S)
            said = "slower than 4096 bytes a second"
            until(lambda: any(said in line for line in run.said("ualpipe.source.tenant0")), "the word", timeout_s=SOON_S)
            run.stop()


def ids_so_far(folder: Path) -> list[str]:
    return ids_in(folder / "out", is_being_written=True) if (folder / "out").is_dir() else []
