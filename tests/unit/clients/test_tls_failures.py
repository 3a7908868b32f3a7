"""What TLS failures mean, in the words of whoever the other side is."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handshakes import server_context, shake_hands
from ualpipe.clients.errors import Refused, Unreachable
from ualpipe.clients.tls import TlsOptions, client_context
from ualpipe.clients.tls_failures import Peer, tls_failure
from ualpipe.simulator.service.ca import write_certificates

BROKER = Peer("the broker", "check `bootstrap_servers`", "tls.")
SERVER = Peer("the server", "check `urls`")


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def verification_error(code: int, message: str = "odd {braces}") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the broker wants a client certificate: set `tls.client_certificate`"),
        ("TLSV1_ALERT_UNKNOWN_CA", "does not know the authority of our certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", r"our certificate \(`tls\.client_certificate`\) has expired"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "may want a client certificate"),
    ],
)
def test_a_certificate_of_ours_that_is_refused_needs_somebody_to_act(reason: str, words: str) -> None:
    found = tls_failure(tls_error(reason), BROKER)
    assert type(found) is Refused
    with pytest.raises(Refused, match=words):
        raise found


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (10, "the server's certificate has expired"),
        (9, "is not valid yet"),
        (19, "not trusted: set `ca_file`"),
        (62, "another name: check `urls`"),
        (1, "the server's certificate: odd {braces}"),
    ],
)
def test_a_certificate_of_theirs_that_is_refused_needs_somebody_to_act(code: int, words: str) -> None:
    found = tls_failure(verification_error(code), SERVER)
    assert type(found) is Refused
    assert words in str(found)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("WRONG_VERSION_NUMBER", "does not speak TLS"), ("SOMETHING_NEW", "TLS failed: something new")],
)
def test_other_trouble_is_worth_another_attempt(reason: str, words: str) -> None:
    found = tls_failure(tls_error(reason), SERVER)
    assert type(found) is Unreachable
    assert words in str(found)


def test_a_real_refusal_is_told_in_plain_words(tmp_path) -> None:
    one, other = (write_certificates(tmp_path / name) for name in ("one", "other"))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(client_context(TlsOptions(ca_file=one.ca_file)), server_context(other.server_file))
    assert "not trusted: set `tls.ca_file`" in str(tls_failure(caught.value, BROKER))


def test_a_connection_that_is_closed_may_be_a_refusal() -> None:
    found = tls_failure(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), SERVER)
    assert type(found) is Unreachable
    assert "the server closed the connection: does it want a client certificate" in str(found)


@given(reason=st.text(), code=st.integers(0, 100), message=st.text())
def test_any_failure_has_a_text(reason: str, code: int, message: str) -> None:
    assert str(tls_failure(tls_error(reason), BROKER))
    assert str(tls_failure(verification_error(code, message), SERVER))
