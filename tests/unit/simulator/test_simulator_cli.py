from __future__ import annotations

import argparse
import ssl
from pathlib import Path

import orjson
import pytest
from cryptography import x509

from ualpipe.pipeline.errors import ConfigError
from ualpipe.simulator import cli
from ualpipe.simulator.service.ca import write_certificates
from ualpipe.simulator.service.service import SimulatedService


def bytes_of(body: bytes | Path) -> bytes:
    return body if isinstance(body, bytes) else body.read_bytes()


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(argv)


@pytest.mark.parametrize("text", ['{"Id" : "1"}\n\n {"Id":"a\\/b"} \r\n', '\ufeff[{"Id" : "1"},\n{"Id":"a\\/b"}]'])
def test_records_are_read_byte_for_byte_from_lines_and_from_an_array(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records"
    path.write_text(text, encoding="utf-8")
    assert list(cli._read_records(path)) == [b'{"Id" : "1"}', b'{"Id":"a\\/b"}']


def test_records_and_count_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--records", "x", "--count", "1")
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["--faults", "trottled"], ["--records", "missing.ndjson"], ["--records", "rubbish"], ["--faults", "missing.yaml"]]
)
def test_what_can_not_be_used_is_a_config_error(argv: list[str], tmp_path: Path) -> None:
    (tmp_path / "rubbish").write_bytes(b"[{]")
    argv = [str(tmp_path / "rubbish") if word == "rubbish" else word for word in argv]
    with pytest.raises(ConfigError, match=r"trottled|missing|not"):
        cli.run(parse(*argv, "--folder", str(tmp_path)))


@pytest.mark.parametrize("argv", [["--tenants", "0"], ["--tenants", "2", "--records", "x"]])
def test_tenants_that_can_not_be_served_are_a_config_error(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match="--tenants"):
        cli.run(parse(*argv))


def test_tenants_share_the_count_and_have_records_of_their_own(tmp_path: Path) -> None:
    args = parse("--tenants", "3", "--count", "100")
    tenants = cli._tenants(args, "secret")
    with SimulatedService(tmp_path) as service:
        cli._fill(service, tenants, args, [])
        sources = cli.config_snippet(service, tenants, tmp_path / "secret")["sources"]
    records = [[r for blob in tenant.blobs() for r in orjson.loads(bytes_of(blob.body))] for tenant in tenants]
    assert [len(own) for own in records] == [34, 33, 33]
    assert len({record["Id"] for own in records for record in own}) == 100
    assert [source["tenant_id"] for source in sources.values()] == [own[0]["OrganizationId"] for own in records]


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = cli._secret_file(tmp_path).read_bytes()
    assert len(first) >= 24
    assert cli._secret_file(tmp_path).read_bytes() == first
    assert cli._secret_file(tmp_path).stat().st_mode & 0o077 == 0


def test_certificates_are_kept_as_long_as_they_serve(tmp_path: Path) -> None:
    before = write_certificates(tmp_path).server_file.read_bytes()
    assert write_certificates(tmp_path).server_file.read_bytes() == before
    assert write_certificates(tmp_path, ["localhost", "10.1.2.3"]).server_file.read_bytes() != before


def test_broken_certificates_are_written_anew(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"rubbish")
    (tmp_path / "server.pem").write_bytes(b"rubbish")
    files = write_certificates(tmp_path)
    context = ssl.create_default_context(cafile=files.ca_file)
    assert context.cert_store_stats()["x509_ca"] == 1


def test_the_server_certificate_names_loopback_and_its_key_is_private(tmp_path: Path) -> None:
    files = write_certificates(tmp_path)
    names = x509.load_pem_x509_certificate(files.server_file.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert files.server_file.stat().st_mode & 0o077 == 0


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with SimulatedService(tmp_path) as service, pytest.raises(ConfigError) as refused:
        cli.run(parse("--port", str(service.port), "--folder", str(tmp_path / "other")))
    assert f"127.0.0.1 port {service.port}: Address already in use" in str(refused.value)
    assert "choose another --port" in str(refused.value)


@pytest.mark.parametrize("host", ["203.0.113.1", "nosuch.invalid"])
def test_an_address_that_is_not_ours_is_named(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=rf"can't listen at {host} port 0: .*correct --host"):
        cli.run(parse("--host", host, "--folder", str(tmp_path)))


@pytest.mark.parametrize(
    ("argv", "roles"),
    [
        ([], ("ActivityFeed.Read", "ActivityFeed.ReadDlp")),
        (["--roles", "ActivityFeed.Read"], ("ActivityFeed.Read",)),
        (["--roles", "One, Two,"], ("One", "Two")),
        (["--roles", ""], ()),
    ],
)
def test_tokens_have_the_roles_that_were_asked_for(argv: list[str], roles: tuple[str, ...]) -> None:
    (tenant,) = cli._tenants(parse(*argv), "secret")
    assert tenant.roles == roles
