"""Servers of the tests in containers, on a real Docker engine: `make interop` starts one where none answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes import env
from servers import docker_engine
from servers.container import LABEL, Recipe, ServerContainer, remove_left_over
from servers.missing import missing
from servers.process import ServerFailed
from servers.rsyslog import ContainerRsyslog, Rsyslog
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog import SyslogSink
from ualpipe.testing import make_events


@pytest.fixture(autouse=True)
def engine() -> None:
    if docker_engine.address() is None:
        missing("no Docker engine answers: `make interop` starts one")


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of the engine."""
    with docker_engine.connected() as connected:
        yield connected


@pytest.fixture
def stubborn() -> Iterator[ServerContainer]:
    """A server that takes no notice of SIGTERM."""
    script = "trap '' TERM; echo it begins; while :; do sleep 0.1; done"
    server = ServerContainer("stubborn", Recipe(image=docker_engine.RSYSLOG, command=["sh", "-c", script], ports=[]))
    server.start(lambda: server.is_running, timeout_s=30)
    yield server
    server.kill()


def deliver(receiver: Rsyslog, transport: str, events: Sequence[Event]) -> None:
    """Writes events through the syslog sink."""
    ports = {"udp": receiver.udp_port, "tcp": receiver.tcp_port, "tls": receiver.tls_port}
    options = {"host": receiver.host, "port": ports[transport], "transport": transport, "tls": {"ca_file": str(receiver.ca_file)}}
    sink = SyslogSink(build(SyslogSink.Config, options, Path()), env("siem"))
    sink.open()
    assert not sink.write(Batch(events))
    sink.close()


def ids_at(receiver: Rsyslog, count: int) -> list[str]:
    """Returns the ids of the events that a receiver has, when it has so many."""
    return [orjson.loads(message["msg"])["event"]["id"] for message in receiver.wait_for(count)]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_container_receives_what_the_sink_writes(rsyslog: Rsyslog, transport: str) -> None:
    assert isinstance(rsyslog, ContainerRsyslog)
    events = make_events(3)
    deliver(rsyslog, transport, events)
    assert ids_at(rsyslog, 3) == [event.id for event in events]


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_container_comes_back_at_its_ports_with_its_data(rsyslog: Rsyslog, way: str) -> None:
    events = make_events(6)
    deliver(rsyslog, "tls", events[:3])
    ids_at(rsyslog, 3)
    getattr(rsyslog, way)()
    assert not rsyslog.is_running
    rsyslog.start()
    deliver(rsyslog, "tcp", events[3:])
    assert ids_at(rsyslog, 6) == [event.id for event in events]


def test_container_is_reached_from_this_machine_alone(rsyslog: Rsyslog, client: Any) -> None:
    (found,) = client.containers.list(filters={"ancestor": docker_engine.RSYSLOG, "publish": str(rsyslog.tls_port)})
    bindings = [binding for published in found.ports.values() for binding in published]
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
    assert len(bindings) == 4


def test_container_that_ends_while_starting_is_told_with_its_log() -> None:
    command = ["sh", "-c", "echo no such setting; exit 7"]
    server = ServerContainer("broken", Recipe(image=docker_engine.RSYSLOG, command=command, ports=[]))
    with pytest.raises(ServerFailed, match=r"broken ended while starting, exit code 7\.\nno such setting"):
        server.start(lambda: False, timeout_s=30)


def test_container_that_does_not_end_is_killed_and_told_of(stubborn: ServerContainer) -> None:
    with pytest.raises(ServerFailed, match=r"(?s)stubborn did not end 0.5 s after SIGTERM.*it begins"):
        stubborn.stop(timeout_s=0.5)
    assert not stubborn.is_running


def test_containers_go_with_their_run_and_those_of_killed_runs_with_the_next(stubborn: ServerContainer, client: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left_over = client.containers.create(docker_engine.RSYSLOG, "true", labels={LABEL: str(ended.pid)})
    remove_left_over.cache_clear()
    remove_left_over()
    owners = {found.id: found.labels[LABEL] for found in client.containers.list(all=True, filters={"label": LABEL})}
    assert left_over.id not in owners
    assert str(os.getpid()) in owners.values()


def test_image_that_is_nowhere_leaves_the_tests_to_local_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "notes", [])
    try:
        assert not docker_engine.has("localhost/ualpipe-tests-nowhere:1")
        assert not docker_engine.has("localhost/ualpipe-tests-nowhere:2")
    finally:
        docker_engine.forget_failure()
    first, second = docker_engine.notes
    assert first.startswith("local processes in place of localhost/ualpipe-tests-nowhere:1, which Docker has not and can't get: ")
    assert second.endswith("localhost/ualpipe-tests-nowhere:1 could not be fetched either")
