"""Whom each of our clients trusts, and what it shows of itself: real handshakes with a server on loopback."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.certificates import Certificates, write_certificates
from servers.peers.tls_server import TlsServer
from tls_clients import CLIENTS, attempt

each_client = pytest.mark.parametrize("client", CLIENTS)
PASSWORD = "open sesame"


@pytest.fixture
def server(certificates: Certificates) -> Iterator[TlsServer]:
    """The server of a company with an authority of its own."""
    yield from _serving(TlsServer(certificates.server_file, ssl.TLSVersion.TLSv1_3))


@pytest.fixture
def choosy_server(certificates: Certificates) -> Iterator[TlsServer]:
    """One that lets in only who shows a certificate of the same authority."""
    yield from _serving(TlsServer(certificates.server_file, ssl.TLSVersion.TLSv1_3, client_ca=certificates.ca_file))


def _serving(server: TlsServer) -> Iterator[TlsServer]:
    yield server
    server.close()


@pytest.fixture
def bare_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A system without authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return monkeypatch


# --- whom we trust ---------------------------------------------------------------------------------------------------


@each_client
def test_an_authority_in_the_system_s_file_is_trusted(client, server, certificates, bare_system):
    bare_system.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    attempt(client, server.port, {})
    assert server.established


@each_client
def test_an_authority_in_the_system_s_folder_is_trusted(client, server, certificates, bare_system, tmp_path):
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "company.pem").write_bytes(certificates.ca_file.read_bytes())
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    bare_system.setenv("SSL_CERT_DIR", f"{tmp_path / 'none'}:{folder}")
    attempt(client, server.port, {})
    assert server.established


@each_client
def test_mozilla_s_list_is_trusted_besides(client, server, certificates, bare_system):
    bare_system.setattr("certifi.where", lambda: str(certificates.ca_file))
    attempt(client, server.port, {})
    assert server.established


@each_client
def test_an_authority_that_neither_has_is_not_trusted(client, server, bare_system):
    attempt(client, server.port, {})
    assert server.came
    assert not server.established


@each_client
def test_a_ca_file_is_trusted_in_place_of_both(client, server, certificates, bare_system, tmp_path):
    other = write_certificates(tmp_path / "other").ca_file
    bare_system.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    bare_system.setattr("certifi.where", lambda: str(certificates.ca_file))
    attempt(client, server.port, {"ca_file": str(other)})
    assert server.came
    assert not server.established


@each_client
def test_variables_of_other_programs_do_not_count(client, server, certificates, bare_system):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        bare_system.setenv(name, str(certificates.ca_file))
    attempt(client, server.port, {})
    assert server.came
    assert not server.established


# --- who we are ------------------------------------------------------------------------------------------------------


@each_client
def test_a_client_certificate_is_shown_to_a_server_that_wants_one(client, choosy_server, certificates):
    attempt(client, choosy_server.port, {"ca_file": str(certificates.ca_file), **_pair(certificates)})
    assert choosy_server.shown == {ssl.PEM_cert_to_DER_cert(certificates.client_cert.read_text())}


@each_client
def test_an_encrypted_key_is_opened_with_its_password(client, choosy_server, certificates, tmp_path):
    encrypted = tmp_path / "encrypted.pem"
    command = ["openssl", "pkcs8", "-topk8", "-in", certificates.client_key, "-out", encrypted, "-passout", f"pass:{PASSWORD}"]
    subprocess.run(command, check=True, capture_output=True)
    pair = _pair(certificates) | {"client_key": str(encrypted), "client_key_password": PASSWORD}
    attempt(client, choosy_server.port, {"ca_file": str(certificates.ca_file), **pair})
    assert choosy_server.shown == {ssl.PEM_cert_to_DER_cert(certificates.client_cert.read_text())}


@each_client
def test_without_a_certificate_such_a_server_lets_nobody_in(client, choosy_server, certificates):
    """Else the two tests above would prove nothing."""
    attempt(client, choosy_server.port, {"ca_file": str(certificates.ca_file)})
    assert choosy_server.came
    assert not choosy_server.established


def _pair(certificates: Certificates) -> dict[str, str]:
    return {"client_certificate": str(certificates.client_cert), "client_key": str(certificates.client_key)}
