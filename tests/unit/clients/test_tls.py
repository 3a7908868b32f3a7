"""Contexts of TLS clients, and real handshakes with them, in memory."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import certifi
import pytest

from handshakes import server_context, shake_hands
from ualpipe.clients.errors import Refused
from ualpipe.clients.tls import HTTP, TlsOptions, client_context
from ualpipe.pipeline.options import build
from ualpipe.simulator.service.ca import ServerFiles, write_certificates
from ualpipe.simulator.service.login.client_certificate import ClientCertificate, write_client_certificate


def tls(**options: Any) -> TlsOptions:
    values = {name: value if isinstance(value, bool) else str(value) for name, value in options.items()}
    made: TlsOptions = build(TlsOptions, values, Path())
    return made


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    """A server of a company with an authority of its own."""
    return write_certificates(tmp_path_factory.mktemp("company"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    """A certificate of ours, with an encrypted key."""
    return write_client_certificate(tmp_path_factory.mktemp("ours"), "open sesame")


@pytest.fixture
def no_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A system without authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return monkeypatch


# --- whom we trust ---------------------------------------------------------------------------------------------------


def test_tls_is_1_2_or_later_and_verified() -> None:
    context = client_context(tls())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_company_s_authority_is_not_trusted_by_itself(company: ServerFiles) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(tls()), server_context(company.server_file))


def test_a_company_s_authority_in_the_system_s_file_is_trusted(company: ServerFiles, no_system: pytest.MonkeyPatch) -> None:
    no_system.setenv("SSL_CERT_FILE", str(company.ca_file))
    shake_hands(client_context(tls()), server_context(company.server_file))


def test_mozilla_s_authorities_are_trusted_besides_the_system_s(company: ServerFiles, no_system: pytest.MonkeyPatch) -> None:
    no_system.setenv("SSL_CERT_FILE", str(company.ca_file))
    mozilla = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    both = client_context(tls()).get_ca_certs(binary_form=True)
    assert len(mozilla) > 100
    assert {*mozilla, ssl.PEM_cert_to_DER_cert(company.ca_file.read_text())} == set(both)


def test_a_ca_file_is_trusted_in_place_of_all_others(
    company: ServerFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(company.ca_file))
    other = write_certificates(tmp_path / "other")
    context = client_context(tls(ca_file=other.ca_file))
    shake_hands(context, server_context(other.server_file))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, server_context(company.server_file))
    assert len(context.get_ca_certs()) == 1


def test_without_verification_any_server_is_talked_to(company: ServerFiles) -> None:
    shake_hands(client_context(tls(verify=False)), server_context(company.server_file), "elsewhere.example")


# --- who we are ------------------------------------------------------------------------------------------------------


def test_a_client_certificate_is_shown_to_a_server_that_asks(company: ServerFiles, ours: ClientCertificate) -> None:
    options = {"client_certificate": ours.public, "client_key": ours.private_key, "client_key_password": "open sesame"}
    server = server_context(company.server_file, client_ca=ours.public)
    end = shake_hands(client_context(tls(ca_file=company.ca_file, **options)), server)
    assert end.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(ours.public.read_text())


def test_certificate_and_key_may_stand_in_one_file(tmp_path: Path) -> None:
    pair = write_client_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(pair.private_key.read_bytes() + pair.public.read_bytes())
    company = write_certificates(tmp_path / "company")
    server = server_context(company.server_file, client_ca=pair.public)
    assert shake_hands(client_context(tls(ca_file=company.ca_file, client_certificate=both)), server).getpeercert(True)


@pytest.mark.parametrize("password", [{}, {"client_key_password": "open barley"}], ids=["none", "wrong"])
def test_a_key_that_can_t_be_opened_is_named_and_its_password_not_shown(
    ours: ClientCertificate, password: dict[str, str]
) -> None:
    """Without a password OpenSSL would ask for it on the terminal."""
    with pytest.raises(Refused, match=r"client_certificate .*app\.pem, client_key .*is client_key_password right") as caught:
        client_context(tls(client_certificate=ours.public, client_key=ours.private_key, **password))
    assert "barley" not in str(caught.value)


def test_a_password_that_openssl_does_not_take_is_refused(ours: ClientCertificate) -> None:
    with pytest.raises(Refused, match="client_key_password"):
        client_context(tls(client_certificate=ours.public, client_key=ours.private_key, client_key_password="x" * 2000))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca_file": "/nowhere/ca.pem"}, r"^ca_file /nowhere/ca\.pem: can't be read: No such file"),
        ({"ca_file": "EMPTY"}, "does not hold PEM certificates"),
        ({"client_certificate": "/nowhere/c.pem"}, r"^client_certificate /nowhere/c\.pem: can't be read"),
        ({"client_certificate": "EMPTY"}, "does not hold a PEM certificate and the private key"),
        ({"client_key": "/nowhere/key.pem"}, "client_key is set without client_certificate"),
    ],
)
def test_files_that_are_missing_or_wrong_are_named(options: dict[str, str], words: str, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    given = {name: value.replace("EMPTY", str(tmp_path / "empty.pem")) for name, value in options.items()}
    with pytest.raises(Refused, match=words):
        client_context(tls(**given))


# --- contexts are shared ---------------------------------------------------------------------------------------------


def test_equal_options_share_a_context_and_others_do_not(company: ServerFiles, ours: ClientCertificate) -> None:
    key = {"client_certificate": ours.public, "client_key": ours.private_key, "client_key_password": "open sesame"}
    kinds: list[dict[str, Any]] = [{}, {"ca_file": company.ca_file}, {"verify": False}, key]
    made = [client_context(tls(**options), alpn=alpn) for options in kinds for alpn in ((), HTTP)]
    again = [client_context(tls(**options), alpn=alpn) for options in kinds for alpn in ((), HTTP)]
    assert all(one is other for one, other in zip(made, again, strict=True))
    assert len(set(map(id, made))) == len(made)


def test_files_that_were_replaced_are_read_anew(tmp_path: Path) -> None:
    one, other = (write_certificates(tmp_path / name) for name in ("one", "other"))
    first = client_context(tls(ca_file=one.ca_file))
    one.ca_file.write_bytes(other.ca_file.read_bytes())
    os.utime(one.ca_file, (1, 1))
    shake_hands(client_context(tls(ca_file=one.ca_file)), server_context(other.server_file))
    assert client_context(tls(ca_file=one.ca_file)) is not first


def test_an_authority_that_comes_to_the_system_later_is_trusted(
    company: ServerFiles, no_system: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_system.setenv("SSL_CERT_FILE", str(tmp_path / "later.pem"))
    client_context(tls())
    (tmp_path / "later.pem").write_bytes(company.ca_file.read_bytes())
    shake_hands(client_context(tls()), server_context(company.server_file))


def test_session_keys_are_never_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert client_context(tls(), alpn=("test",)).keylog_filename is None
