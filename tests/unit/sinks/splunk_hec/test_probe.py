"""What `check --live` says of a collector: each cause by its name, with what to do, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import env
from servers.peers.fake_splunk import TOKEN, FakeSplunk
from servers.peers.hostile_server import DRIPS, HostileServer, whole
from ualpipe.pipeline.options import build
from ualpipe.pipeline.stages import Finding
from ualpipe.simulator.service.ca import ServerFiles, write_certificates
from ualpipe.sinks.splunk_hec import SplunkHecSink


@pytest.fixture
def splunk() -> Iterator[FakeSplunk]:
    with FakeSplunk() as made:
        yield made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    return write_certificates(tmp_path_factory.mktemp("splunk"))


def check(url: Any, **options: Any) -> list[Finding]:
    values = {"url": url, "token": TOKEN, "timeout": "300ms", **options}
    return list(SplunkHecSink(build(SplunkHecSink.Config, values, Path()), env("siem")).check())


def error(url: Any, **options: Any) -> str:
    """Returns what the last finding says, which is an error."""
    found = check(url, **options)[-1]
    assert found.level == "error", found
    return f"{found.message} {found.action}"


def test_a_collector_that_is_well_is_said_to_be_and_gets_no_event(splunk: FakeSplunk) -> None:
    found = check(splunk.url)
    assert [one.level for one in found] == ["ok"] * 3
    assert "the token has it" in found[2].message
    assert not splunk.ids()
    assert not any(memory.next_ids for memory in splunk._memories)
    assert {came.path.partition("?")[0].rpartition("/")[2] for came in splunk.came} == {"health", "event", "ack"}


def test_each_collector_is_asked() -> None:
    with FakeSplunk(nodes=2) as splunk:
        found = check([*splunk.urls, "http://127.0.0.1:9"])
    assert [one.level for one in found] == ["ok"] * 6 + ["error"]
    assert "refused" in found[-1].message


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"token": "planted-other"}, ["code 4 Invalid token", "copy the token's value"]),
        ({"is_enabled": False}, {}, ["code 1 Token disabled", "enable the token"]),
        ({"has_ack": False}, {"ack": True}, ["the token has none", "enable indexer acknowledgement"]),
    ],
)
def test_a_token_that_will_not_do_is_named(
    splunk: FakeSplunk, change: dict[str, Any], options: dict[str, Any], words: list[str]
) -> None:
    splunk.change(**change)
    said = error(splunk.url, **options)
    assert all(word in said for word in words)
    assert "planted" not in said


def test_a_token_without_acknowledgement_is_a_warning(splunk: FakeSplunk) -> None:
    splunk.change(has_ack=False)
    found = check(splunk.url)[-1]
    assert found.level == "warning"
    assert "what it loses then is lost" in found.message
    assert len(check(splunk.url, ack=False)) == 2


def test_a_collector_that_is_busy_is_a_warning(splunk: FakeSplunk) -> None:
    splunk.change(answer=9)
    assert [one.level for one in check(splunk.url)][:2] == ["warning", "warning"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (whole(b"<html>Splunk Web</html>", "303 See Other", "Location: /en-US/\r\n"), "8000 is Splunk Web"),
        (whole(b"nginx", "404 Not Found"), "no HTTP Event Collector answers here"),
        (whole(b"<html>log in</html>"), "the answer is not Splunk's"),
        (DRIPS["header line"], "check `url`"),
    ],
    ids=["splunk web", "404", "page", "drips"],
)
def test_what_is_no_collector_is_named(answer: Any, words: str) -> None:
    with HostileServer({"": answer}) as server:
        assert words in error(f"http://127.0.0.1:{server.port}")


def test_a_certificate_that_nobody_trusts_is_named_with_the_option(certificates: ServerFiles) -> None:
    with HostileServer({"": whole(b'{"text":"HEC is healthy","code":17}')}, certificates.server_file) as server:
        said = error(f"https://127.0.0.1:{server.port}")
        assert "`ca_file`" in said
        assert "self-signed if nobody replaced it" in said


def test_a_port_that_speaks_no_tls_is_named(splunk: FakeSplunk) -> None:
    assert "does not speak TLS" in error(splunk.url.replace("http:", "https:"))


def test_a_file_of_the_options_that_is_missing_is_named(splunk: FakeSplunk) -> None:
    assert "nowhere.pem" in error("https://127.0.0.1:9", ca_file="/nowhere.pem")
