"""TLS 1.2 at least, and certificates that are verified by default: each of our clients against a server that offers less."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from servers.peers.tls_server import ANY_CIPHER, TlsServer
from tls_clients import CLIENTS, attempt

each_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture
def served(certificates) -> Iterator[Callable[[ssl.TLSVersion], TlsServer]]:
    servers: list[TlsServer] = []

    def serve(newest: ssl.TLSVersion) -> TlsServer:
        servers.append(TlsServer(certificates.server_file, newest))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@each_client
def test_old_tls_is_refused(client, served, certificates):
    server = served(ssl.TLSVersion.TLSv1_1)
    attempt(client, server.port, {"ca_file": str(certificates.ca_file)})
    assert server.came
    assert not server.established


@each_client
def test_a_certificate_of_an_unknown_authority_is_refused_without_any_setting(client, served):
    server = served(ssl.TLSVersion.TLSv1_2)
    attempt(client, server.port, {})
    assert server.came
    assert not server.established


@each_client
def test_tls_1_2_with_the_configured_authority_is_spoken(client, served, certificates):
    """Else the two tests above would prove nothing."""
    server = served(ssl.TLSVersion.TLSv1_2)
    attempt(client, server.port, {"ca_file": str(certificates.ca_file)})
    assert server.established


def test_the_server_of_these_tests_does_speak_tls_1_1(served, certificates):
    server = served(ssl.TLSVersion.TLSv1_1)
    context = ssl.create_default_context(cafile=certificates.ca_file)
    context.set_ciphers(ANY_CIPHER)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("localhost", server.port)) as plain, context.wrap_socket(plain, server_hostname="localhost"):
        pass
    server.close()
    assert server.established == 1
