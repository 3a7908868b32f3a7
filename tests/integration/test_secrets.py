"""Planted secrets: every kind of them is used in a run at debug level in which everything goes wrong, and none is seen again."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

from runs import CLIENT_SECRET, generated, served, write_config
from servers.ports import free_ports
from ualpipe.simulator.service.login.client_certificate import write_client_certificate

pytestmark = [pytest.mark.kafka, pytest.mark.elasticsearch, pytest.mark.rsyslog]

OTHER_TENANT = "33333333-3333-3333-3333-333333333333"
SECRETS = {
    "client secret": CLIENT_SECRET,
    "another client secret": "canary-Wq81-tRzV-other",
    "PFX passphrase": "canary-Pf29-uKxM",
    "wrong PFX passphrase": "canary-Wp30-yTgB",
    "proxy password": "canary-Px41-hJdN",
    "Kafka password": "canary-Kf52-bVcS",
    "Kafka key password": "canary-Kk63-eRwL",
    "Elasticsearch password": "canary-Es74-oPzQ",
    "Elasticsearch API key": "canary-Id85:canary-Ak96-iUyH",
    "Elasticsearch key password": "canary-Ek07-mNjF",
    "syslog key passphrase": "canary-Sk18-aSdG",
}
ECHO = f'{{"error": {{"code": "AF50000", "message": "You said client_secret {CLIENT_SECRET}"}}}}'
FAULTS = [
    {"operation": "fetch", "times": 2, "answer": {"status": 500, "body": ECHO}},
    {"operation": "list", "times": 1, "answer": {"status": 500, "body": ECHO}},
    {"operation": "fetch", "skip": 1, "times": 1, "answer": {"revoke_tokens": True}},
    {"operation": "fetch", "skip": 1, "times": 1, "answer": {"cut_at_byte": 100}},
    {"operation": "fetch", "skip": 2, "times": 3, "answer": {"status": 200, "body": f"[{{{CLIENT_SECRET}"}},
    {
        "operation": "fetch",
        "content_id": "*",
        "skip": 3,
        "times": 1,
        "answer": {"status": 404, "body": ECHO.replace("AF50000", "AF20051")},
    },
]


@dataclass
class Seen:
    """All that a run and the commands after it have shown or left behind, by where."""

    places: dict[str, bytes] = field(default_factory=dict)

    def add(self, place: str, text: bytes | str) -> None:
        self.places[place] = self.places.get(place, b"") + (text.encode() if isinstance(text, str) else text)

    def add_files(self, folder: Path) -> None:
        for path in (path for path in folder.rglob("*") if path.is_file()):
            self.add(str(path), path.read_bytes())

    def where(self, secret: bytes) -> list[str]:
        return [place for place, text in self.places.items() if secret in text]


def sources(folder: Path, proxy_port: int, source: Mapping[str, Any]) -> dict[str, Any]:
    """Returns sources whose secrets are all wrong, besides the good one."""
    pfx = write_client_certificate(folder / "app", SECRETS["PFX passphrase"]).pfx
    credentials = {
        "wrong": {"client_id": "11111111-1111-1111-1111-111111111111", "client_secret": SECRETS["another client secret"]},
        "pfx": {"client_id": "c", "certificate": {"pfx": str(pfx), "passphrase": SECRETS["PFX passphrase"]}},
        "wrong-pfx": {"client_id": "c", "certificate": {"pfx": str(pfx), "passphrase": SECRETS["wrong PFX passphrase"]}},
    }
    found = {name: {**source, "credential": name} for name in credentials}
    found["proxied"] = {**source, "proxy": f"http://agent:{SECRETS['proxy password']}@127.0.0.1:{proxy_port}"}
    found["pfx"]["tenant_id"] = OTHER_TENANT
    return {"credentials": credentials, "sources": found}


def encrypted_key(folder: Path) -> dict[str, str]:
    made = write_client_certificate(folder / "key", "the right passphrase")
    return {"client_certificate": str(made.public), "client_key": str(made.private_key)}


def sinks(folder: Path, kafka: Any, elasticsearch: Any, rsyslog: Any, dead_port: int) -> dict[str, Any]:
    """Returns sinks that are refused for their secrets, one that is not there, and a good one."""
    ca, key = str(kafka.ca_file), encrypted_key(folder)
    bus = {"type": "kafka", "bootstrap_servers": [kafka.sasl_ssl], "topic": "secrets", "tls": {"ca_file": ca}, "timeout": "5s"}
    sasl = {"mechanism": "PLAIN", "username": "alice", "password": SECRETS["Kafka password"]}
    search = {"type": "elasticsearch", "urls": [elasticsearch.url], "ca_file": str(elasticsearch.ca_file)}
    siem = {"type": "syslog", "host": "localhost", "port": rsyslog.tls_port, "transport": "tls"}
    passphrase = {"key_passphrase": SECRETS["syslog key passphrase"]}  # a former name: what stands under it is no less a secret
    return {
        "local": {"type": "file", "path": "out/audit.ndjson"},
        "bus-python": {**bus, "driver": "kafka-python", "sasl": sasl},
        "bus-confluent": {**bus, "driver": "confluent", "sasl": sasl},
        "bus-scram": {**bus, "driver": "confluent", "sasl": {**sasl, "mechanism": "SCRAM-SHA-256"}},
        "bus-key": {
            **bus,
            "driver": "kafka-python",
            "tls": {"ca_file": ca, **key, "key_password": SECRETS["Kafka key password"]},
        },
        "bus-confluent-key": {
            **bus,
            "driver": "confluent",
            "tls": {"ca_file": ca, **key, "client_key_password": SECRETS["Kafka key password"]},
        },
        "search-password": {**search, "username": "ualpipe-writer", "password": SECRETS["Elasticsearch password"]},
        "search-key": {**search, "api_key": SECRETS["Elasticsearch API key"]},
        "search-certificate": {**search, **key, "client_key_password": SECRETS["Elasticsearch key password"]},
        "search-gone": {**search, "urls": [f"https://localhost:{dead_port}"], "api_key": SECRETS["Elasticsearch API key"]},
        "siem": {**siem, "tls": {"ca_file": str(rsyslog.ca_file), **key, **passphrase}},
    }


def command(name: str, config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ualpipe.pipeline.cli", *name.split(), *arguments, str(config)]


def run(config: Path, seen: Seen) -> str:
    """Runs a pipeline under the widest umask, and looks at how the system shows the process; returns its log."""
    process = subprocess.Popen(
        command("run --once --log-level debug", config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0
    )
    for name in ("cmdline", "environ"):
        seen.add(f"/proc/PID/{name}", Path(f"/proc/{process.pid}/{name}").read_bytes())
    out, log = process.communicate(timeout=120)
    seen.add("stdout", out)
    seen.add("stderr", log)
    assert process.returncode in (1, 3), log.decode()
    return log.decode()


def look_at_everything(config: Path, seen: Seen) -> None:
    """Adds what commands print and files hold, compressed bodies too."""
    for name in ("status", "status --json", "dead-letters list", "dead-letters list --json", "dead-letters show"):
        done = subprocess.run(command(name, config), capture_output=True, check=False, timeout=60)
        seen.add(f"ualpipe {name}", done.stdout + done.stderr)
    folder = config.parent
    for part in ("state", "out"):
        seen.add_files(folder / part)
    with closing(sqlite3.connect(f"{(folder / 'state/journal.db').as_uri()}?mode=ro", uri=True)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                seen.add(f"journal, {table}", repr([plain(value) for value in row]))


def plain(value: Any) -> Any:
    is_packed = isinstance(value, bytes) and value.startswith(b"\x28\xb5\x2f\xfd")
    return zstandard.ZstdDecompressor().decompress(value) if is_packed else value


@contextmanager
def scene(folder: Path, kafka: Any, elasticsearch: Any, rsyslog: Any) -> Iterator[tuple[Any, Path]]:
    dead_port, proxy_port = free_ports(2)
    with served(folder, generated(120), records_per_blob=10, lookback="24h") as tenant:
        tenant.service.play(FAULTS)
        wrong = sources(folder, proxy_port, tenant.sections["sources"]["contoso"])
        sections = {name: {**tenant.sections[name], **wrong[name]} for name in ("credentials", "sources")}
        yield tenant, write_config(folder, sections, {"sinks": sinks(folder, kafka, elasticsearch, rsyslog, dead_port)})


def test_no_planted_secret_is_seen_again(tmp_path, kafka, secure_elasticsearch, rsyslog):
    """Of a record's bytes alone it can't be said: a body that the service itself put a secret in is a dead letter as it came."""
    seen = Seen()
    with scene(tmp_path, kafka, secure_elasticsearch, rsyslog) as (tenant, config):
        log = run(config, seen)
        tokens = [*tenant.service._issuer._read]
    look_at_everything(config, seen)
    assert_all_went_wrong(log, tokens)
    secrets = SECRETS | {f"token {at}": token for at, token in enumerate(tokens)}
    found = {name: where for name, secret in secrets.items() if (where := seen.where(secret.encode()))}
    echoed = {"journal, dead_letter", "ualpipe dead-letters show"}
    assert {name: places for name, places in found.items() if name != "client secret" or set(places) - echoed} == {}
    size = sum(map(len, seen.places.values()))
    print(f"\nplanted secrets: {len(secrets)}, looked for in {len(seen.places)} places, {size:,} bytes")


def assert_all_went_wrong(log: str, tokens: list[str]) -> None:
    """Holds the test itself to account: each secret was used, and each way to fail was taken."""
    assert len(tokens) >= 2
    loggers: dict[str, str] = {}
    for line in log.splitlines():
        entry = json.loads(line)
        if entry["level"] in ("warning", "error"):
            loggers[entry["logger"]] = loggers.get(entry["logger"], "") + entry["message"]
    refused = [
        "bus-python",
        "bus-confluent",
        "bus-scram",
        "bus-key",
        "bus-confluent-key",
        "search-password",
        "search-key",
        "search-certificate",
        "siem",
    ]
    missing = [name for name in [*refused, "search-gone"] if f"ualpipe.sink.{name}" not in loggers]
    missing += [name for name in ("wrong", "pfx", "wrong-pfx", "proxied", "contoso") if f"ualpipe.source.{name}" not in loggers]
    assert not missing, f"{missing}\n{log}"


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))[2:]


def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path):
    """Also while the pipeline runs: SQLite makes its files beside the journal with the journal's own mode."""
    with served(tmp_path, generated(40)) as tenant:
        sinks = {
            "local": {"type": "file", "path": "out/a/audit.ndjson"},
            "packed": {"type": "file", "path": "packed/x", "gzip": True},
        }
        config = write_config(tmp_path, tenant.sections, {"sinks": sinks})
        process = subprocess.Popen(command("run", config), stderr=subprocess.PIPE, umask=0)
        try:
            while not (tmp_path / "packed").is_dir() or not list((tmp_path / "packed").iterdir()):
                assert process.poll() is None
            subprocess.run(backup(config), check=True, umask=0)
            state, out = tmp_path / "state", tmp_path / "out"
            found = {path.name: mode(path) for path in state.iterdir()}
            assert {"journal.db", "journal.db-wal", "lock"} <= set(found)
            assert set(found.values()) == {"600"}, found
            assert [mode(path) for path in (state, out, out / "a", tmp_path / "packed")] == ["700"] * 4
            assert [mode(path) for path in (out / "a/audit.ndjson", tmp_path / "packed/x.gz", tmp_path / "copy.db")] == [
                "600"
            ] * 3
        finally:
            process.terminate()
            process.communicate(timeout=60)


def backup(config: Path) -> list[str]:
    return [*command("backup", config), str(config.parent / "copy.db")]


def test_a_state_directory_that_others_may_read_is_named(tmp_path):
    """It was made by somebody else: ualpipe leaves it as it is, but the files in it are for the owner alone."""
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o755)
    with served(tmp_path, generated(5)) as tenant:
        config = write_config(tmp_path, tenant.sections, {"sinks": {"local": {"type": "file", "path": "out/x"}}})
        done = subprocess.run(command("run --once", config), capture_output=True, check=False, timeout=60, umask=0)
    assert done.returncode == 0, done.stderr
    assert {mode(path) for path in state.iterdir()} == {"600"}
    assert b"can be read by others" in done.stderr


def test_the_environment_of_this_test_holds_no_secret():
    """Else the look at /proc would prove nothing."""
    assert not [name for name, value in os.environ.items() if "planted-" in value]
