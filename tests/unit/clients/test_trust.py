"""The authorities of system and ``certifi`` as one text, for libraries with a TLS of their own."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.clients.trust import default_ca_pem, joined_pem
from ualpipe.simulator.service.ca import write_certificates

BLOCK = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"
blocks = st.text("ABCabc012+/=\n", min_size=1, max_size=80).map(BLOCK.format)
noise = st.text("# ABC\n-", max_size=30)


def ders(pem: str) -> set[bytes]:
    return {ssl.PEM_cert_to_DER_cert(block.lstrip() + ssl.PEM_FOOTER) for block in pem.split(ssl.PEM_FOOTER)[:-1]}


@given(st.lists(st.tuples(noise, blocks)), st.lists(st.tuples(noise, blocks)))
def test_texts_are_joined_to_their_certificates_each_once_and_in_order(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    texts = ["".join(f"{between}\n{block}\n" for between, block in pairs) for pairs in (one, other)]
    expected = dict.fromkeys(block for _between, block in (*one, *other))
    assert joined_pem(texts) == "".join(f"{block}\n" for block in expected)


@given(st.lists(st.text()))
def test_any_text_can_be_joined(texts: list[str]) -> None:
    assert joined_pem([joined_pem(texts)]) == joined_pem(texts)


def test_private_keys_that_stand_beside_certificates_are_left_out(tmp_path: Path) -> None:
    text = write_certificates(tmp_path).server_file.read_text()
    assert "PRIVATE KEY" in text
    assert "PRIVATE KEY" not in joined_pem([text])
    assert "BEGIN CERTIFICATE" in joined_pem([text])


@pytest.fixture
def mozilla() -> set[bytes]:
    return ders(joined_pem([Path(certifi.where()).read_text(encoding="utf-8")]))


def test_the_system_s_file_and_folder_and_mozilla_s_list_are_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mozilla: set[bytes]
) -> None:
    in_file, in_folder, elsewhere = (write_certificates(tmp_path / name).ca_file for name in ("file", "folder", "elsewhere"))
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    (hashed / "01234567.0").symlink_to(in_folder)
    (hashed / "notes.txt").write_bytes(elsewhere.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(in_file))
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'missing'}:{hashed}")
    system = {ssl.PEM_cert_to_DER_cert(path.read_text()) for path in (in_file, in_folder)}
    assert ders(default_ca_pem()) == mozilla | system


def test_a_system_without_authorities_leaves_mozilla_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mozilla: set[bytes]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))
    assert ders(default_ca_pem()) == mozilla
