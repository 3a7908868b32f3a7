from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from fakes import NOW, TENANT, FakeClock
from scripted_http import CLIENT, LOGIN, SECRET, Reply, ScriptedHttp, credential_of, login_error
from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.entra import login_errors as _login_errors
from ualpipe.clients.entra.api import Api
from ualpipe.clients.entra.tokens import EARLY_S, RETRY_S, Tokens
from ualpipe.clients.errors import ClientError, Overloaded, Refused, Throttled, Unreachable
from ualpipe.clients.http import make_session
from ualpipe.clients.tls import TlsOptions
from ualpipe.pipeline.credentials.certificate import read_certificate
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import SourceDenied, split_advice
from ualpipe.pipeline.options import FileText, Secret
from ualpipe.pipeline.redaction import blanked

DISCOVERY = "/.well-known/openid-configuration"
TOKEN = "/oauth2/v2.0/token"


LOG = logging.getLogger("test.tokens")
GRAPH = Api("Microsoft Graph", "https://graph.microsoft.com/.default", "Microsoft Graph", "check the scope")


def tokens_on(http: ScriptedHttp, credential: Credential | None = None, clock: FakeClock | None = None) -> Tokens:
    session = make_session(TlsOptions(), proxy=None, read_timeout_s=60, pool_size=1, adapter=http)
    return Tokens(credential or credential_of(), f"{LOGIN}/{TENANT}", GRAPH, session, clock or FakeClock(), LOG)


def failure(http: ScriptedHttp) -> ClientError:
    with pytest.raises(ClientError) as caught:
        tokens_on(http).get()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_a_token_is_asked_for_once_and_then_kept() -> None:
    http = ScriptedHttp()
    tokens = tokens_on(http)
    assert [tokens.get(), tokens.get()] == ["planted-token-1"] * 2
    assert [str(request.url) for request in http.sent] == [f"{LOGIN}/{TENANT}/v2.0{DISCOVERY}", f"{LOGIN}/{TENANT}{TOKEN}"]


def test_the_token_is_asked_for_with_the_secret_and_for_the_scope_of_the_api() -> None:
    http = ScriptedHttp()
    tokens_on(http).get()
    form = parse_qs(str(http.sent[-1].body))
    assert form["scope"] == [GRAPH.scope]
    assert form["client_secret"] == [SECRET]
    assert form["grant_type"] == ["client_credentials"]


def test_a_refused_token_is_replaced_by_a_new_login() -> None:
    tokens = tokens_on(ScriptedHttp())
    assert tokens.renew(tokens.get()) == "planted-token-2"
    assert tokens.get() == "planted-token-2"


def test_of_many_threads_with_the_same_refused_token_one_logs_in() -> None:
    http = ScriptedHttp()
    tokens = tokens_on(http)
    refused = tokens.get()
    with ThreadPoolExecutor(8) as pool:
        renewed = set(pool.map(tokens.renew, [refused] * 8))
    assert renewed == {"planted-token-2"}
    assert http.count(TOKEN) == 2


# --- renewing --------------------------------------------------------------------------------------------------------


def test_a_token_is_renewed_before_it_expires() -> None:
    clock = FakeClock()
    tokens = tokens_on(ScriptedHttp(), clock=clock)
    assert tokens.get() == "planted-token-1"
    clock.advance(3599 - EARLY_S - 1)
    assert tokens.get() == "planted-token-1"
    clock.advance(1)
    assert tokens.get() == "planted-token-2"
    clock.advance(3599 - EARLY_S - 1)
    assert tokens.get() == "planted-token-2"


@pytest.mark.parametrize("lifetime", [60, "60"])
def test_a_short_lived_token_is_used_for_half_its_life(lifetime: int | str) -> None:
    clock, http = FakeClock(), ScriptedHttp()
    http.on(TOKEN, *(Reply({"access_token": name, "token_type": "Bearer", "expires_in": lifetime}) for name in ("a", "b")))
    tokens = tokens_on(http, clock=clock)
    found = []
    for _second in range(4):
        found.append(tokens.get())
        clock.advance(15)
    assert found == ["a", "a", "b", "b"]


@pytest.mark.parametrize("trouble", [Reply(b"", 503), login_error(7000222), requests.ConnectionError("refused")])
def test_a_renewal_that_fails_does_no_harm_while_the_token_is_good(
    trouble: Reply | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    clock, http = FakeClock(), ScriptedHttp()
    tokens = tokens_on(http, clock=clock)
    first = tokens.get()
    http.on(TOKEN, trouble)
    clock.advance(3599 - EARLY_S)
    asked = http.count(TOKEN)
    for _request in range(8):
        assert tokens.get() == first
        clock.advance(RETRY_S)
    assert http.count(TOKEN) - asked == 8
    assert [record.levelname for record in caplog.records if "can't be renewed" in record.message] == ["WARNING"]
    clock.advance(EARLY_S)
    with pytest.raises(ClientError):
        tokens.get()
    http.on(TOKEN, Reply({"access_token": "mended", "expires_in": 3599}))
    assert tokens.get() == "mended"


# --- secrets and certificates replaced on disk -----------------------------------------------------------------------


class ChoosyHttp(ScriptedHttp):
    """Lets in whoever has the right secret."""

    right = SECRET

    def _login(self, url: str) -> Reply:
        if TOKEN in url and parse_qs(str(self.sent[-1].body)).get("client_secret") != [self.right]:
            return login_error(7000222)
        return super()._login(url)


def secret_from(file: Path) -> Credential:
    file.write_text(SECRET, encoding="utf-8")
    secret = Secret(FileText(SECRET, lambda: file.read_text(encoding="utf-8")))
    return Credential(client_id=CLIENT, client_secret=secret, certificate=None)


def test_a_secret_replaced_on_disk_is_taken_up_at_the_next_renewal(tmp_path: Path) -> None:
    clock, http = FakeClock(), ChoosyHttp()
    tokens = tokens_on(http, secret_from(tmp_path / "secret"), clock)
    tokens.get()
    (tmp_path / "secret").write_text("planted-new-secret", encoding="utf-8")
    http.right = "planted-new-secret"
    clock.advance(3599 - EARLY_S)
    assert tokens.get() == "planted-token-2"
    assert parse_qs(str(http.sent[-1].body))["client_secret"] == ["planted-new-secret"]
    assert "planted-new-secret" not in repr(vars(tokens))


def test_a_secret_replaced_on_disk_is_taken_up_when_the_api_refuses_the_token(tmp_path: Path) -> None:
    http = ChoosyHttp()
    tokens = tokens_on(http, secret_from(tmp_path / "secret"))
    refused = tokens.get()
    (tmp_path / "secret").write_text("planted-new-secret", encoding="utf-8")
    http.right = "planted-new-secret"
    assert tokens.renew(refused) == "planted-token-2"


def test_an_expired_secret_is_named_until_the_file_is_replaced(tmp_path: Path) -> None:
    http = ChoosyHttp()
    http.right = "planted-new-secret"
    tokens = tokens_on(http, secret_from(tmp_path / "secret"))
    for _attempt in range(2):
        with pytest.raises(Refused, match="the client secret has expired"):
            tokens.get()
    (tmp_path / "secret").write_text("planted-new-secret", encoding="utf-8")
    assert tokens.get() == "planted-token-1"


def test_a_secret_replaced_while_the_old_one_is_being_refused_needs_no_second_attempt(tmp_path: Path) -> None:
    class Replacing(ChoosyHttp):
        def _login(self, url: str) -> Reply:
            reply = super()._login(url)
            if reply.status != 200:
                (tmp_path / "secret").write_text(self.right, encoding="utf-8")
            return reply

    http = Replacing()
    http.right = "planted-new-secret"
    assert tokens_on(http, secret_from(tmp_path / "secret")).get() == "planted-token-1"
    assert http.count(TOKEN) == 2


def test_while_the_files_stay_as_they_are_the_service_is_asked_for_its_endpoints_once(tmp_path: Path) -> None:
    clock, http = FakeClock(), ScriptedHttp()
    tokens = tokens_on(http, secret_from(tmp_path / "secret"), clock)
    for _hour in range(5):
        tokens.get()
        clock.advance(3600)
    assert (http.count(DISCOVERY), http.count(TOKEN)) == (1, 5)


def test_a_certificate_replaced_on_disk_signs_the_next_login(tmp_path: Path) -> None:
    clock, http = FakeClock(), ScriptedHttp()
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _certificate in range(2)]
    credential = Credential(client_id=CLIENT, client_secret=None, certificate=pem_files(tmp_path, keys[0]))
    tokens = tokens_on(http, credential, clock)
    tokens.get()
    pem_files(tmp_path, keys[1])
    clock.advance(3599 - EARLY_S)
    tokens.get()
    logins = [parse_qs(str(request.body)) for request in http.sent if TOKEN in str(request.url)]
    named = [jwt.get_unverified_header(form["client_assertion"][0])["x5t#S256"].rstrip("=") for form in logins]
    expected = [certificate_of(key).fingerprint(hashes.SHA256()) for key in keys]
    assert named == [base64.urlsafe_b64encode(digest).rstrip(b"=").decode() for digest in expected]


def test_half_a_replaced_certificate_does_no_harm_while_the_token_is_good(tmp_path: Path) -> None:
    clock = FakeClock()
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _certificate in range(2)]
    files = pem_files(tmp_path, keys[0])
    tokens = tokens_on(ScriptedHttp(), Credential(client_id=CLIENT, client_secret=None, certificate=files), clock)
    tokens.get()
    assert files.public is not None
    files.public.write_bytes(certificate_of(keys[1]).public_bytes(serialization.Encoding.PEM))
    clock.advance(3599 - EARLY_S)
    assert tokens.get() == "planted-token-1"
    pem_files(tmp_path, keys[1])
    clock.advance(RETRY_S)
    assert tokens.get() == "planted-token-2"


def test_neither_secret_nor_token_shows_in_the_representation() -> None:
    tokens = tokens_on(ScriptedHttp())
    token = tokens.get()
    assert SECRET not in repr(vars(tokens))
    assert token not in repr(tokens)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (7000215, "the client secret is wrong"),
        (7000222, "the client secret has expired"),
        (700016, "the app is not known in the tenant"),
        (7000229, "no service principal"),
        (700027, "the certificate is not the app's"),
        (500011, "not known in the tenant"),
        (53003, "Conditional Access"),
    ],
)
def test_a_refusal_says_the_plain_cause_and_where_to_mend_it(code: int, cause: str) -> None:
    http = ScriptedHttp()
    http.on(TOKEN, login_error(code))
    found = failure(http)
    assert type(found) is Refused
    happened, advice = split_advice(found)
    assert cause in happened
    assert f"AADSTS{code}" in happened
    assert CLIENT in happened
    assert "Trace ID" not in happened
    assert advice


def test_an_unknown_refusal_says_where_to_look_it_up() -> None:
    http = ScriptedHttp()
    http.on(TOKEN, login_error(123456, "invalid_grant", 400))
    found = failure(http)
    assert type(found) is Refused
    assert "https://login.microsoftonline.com/error?code=123456" in str(found)


def test_a_tenant_that_does_not_exist_is_refused_at_discovery() -> None:
    http = ScriptedHttp()
    http.on(DISCOVERY, login_error(90002, "invalid_tenant", 400))
    found = failure(http)
    assert type(found) is Refused
    assert "the tenant is not known: AADSTS90002" in str(found)
    assert "`tenant_id` and `cloud`" in str(found)


@pytest.mark.parametrize("where", [DISCOVERY, TOKEN])
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(b"", 500), Unreachable),
        (Reply(b"<html>down</html>", 503), Unreachable),
        (Reply(b"<html>log in to the proxy</html>", 200), Unreachable),
        (Reply(b"{}", 200), Unreachable),
        (Reply(b"<html>not found</html>", 404), Unreachable),
        (Reply(b"", 302, {"Location": "https://elsewhere.example/"}), Unreachable),
        (login_error(90033, "temporarily_unavailable", 400), Unreachable),
        (login_error(90024, "invalid_request", 400), Unreachable),
        (login_error(50196, "invalid_grant", 400), Throttled),
        (requests.ConnectionError("Connection refused"), Unreachable),
        (requests.ReadTimeout("Read timed out"), Overloaded),
    ],
)
def test_trouble_of_the_login_service_is_retried(where: str, reply: Reply | Exception, expected: type[ClientError]) -> None:
    http = ScriptedHttp()
    http.on(where, reply)
    assert type(failure(http)) is expected


@pytest.mark.parametrize("where", [DISCOVERY, TOKEN])
def test_a_throttled_login_waits_the_time_it_was_told(where: str) -> None:
    http = ScriptedHttp()
    http.on(where, Reply({"error": "too_many_requests", "error_description": "slow down"}, 429, {"Retry-After": "33"}))
    found = failure(http)
    assert isinstance(found, Throttled)
    assert found.retry_after_s == 33


def test_a_login_that_failed_is_tried_anew_not_answered_from_memory() -> None:
    """msal repeats 400, 429 and 5xx answers for a while without asking."""
    http = ScriptedHttp()
    http.on(TOKEN, login_error(700016, status=400), Reply(b"", 500), Reply({"access_token": "mended", "expires_in": 3599}))
    tokens = tokens_on(http)
    for expected in (Refused, Unreachable):
        with pytest.raises(expected):
            tokens.get()
    assert tokens.get() == "mended"


@pytest.mark.parametrize("code", list(_login_errors.REFUSALS))
def test_every_known_refusal_names_a_cause_and_an_action(code: int) -> None:
    body = f'{{"error": "invalid_client", "error_description": "AADSTS{code}: text"}}'.encode()
    happened, advice = split_advice(_login_errors.login_error(HttpAnswer(401, {}, body), "login", GRAPH, NOW))
    assert re.fullmatch(rf"login: [^{{}}]+: AADSTS{code}: text", happened)
    assert advice
    assert "{" not in advice


@pytest.mark.parametrize("code", [500011, 500014])
def test_a_tenant_without_the_api_is_told_which_it_is(code: int) -> None:
    body = f'{{"error": "invalid_resource", "error_description": "AADSTS{code}: text"}}'.encode()
    found = str(_login_errors.login_error(HttpAnswer(400, {}, body), "login", GRAPH, NOW))
    assert "the Microsoft Graph is" in found
    assert GRAPH.if_unknown in found or f"Enterprise applications > {GRAPH.enterprise_app}" in found


Write = Callable[..., Path]


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate_of(key: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=365))
    return builder.sign(key, hashes.SHA256())


def pem_files(folder: Path, key: Any, passphrase: bytes | None = None) -> Certificate:
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    (folder / "cert.pem").write_bytes(certificate_of(key).public_bytes(serialization.Encoding.PEM))
    secret = Secret(passphrase.decode()) if passphrase else None
    return Certificate(pfx=None, private_key=folder / "key.pem", public=folder / "cert.pem", passphrase=secret)


def pfx_file(folder: Path, key: ec.EllipticCurvePrivateKey | None, certificate: x509.Certificate, passphrase: str) -> Certificate:
    protection = serialization.BestAvailableEncryption(b"open sesame")
    (folder / "app.pfx").write_bytes(pkcs12.serialize_key_and_certificates(b"app", key, certificate, None, protection))
    return Certificate(pfx=folder / "app.pfx", private_key=None, public=None, passphrase=Secret(passphrase))


def test_pem_and_pfx_give_the_same_identity(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    from_pem = read_certificate(pem_files(tmp_path, key, b"open sesame"))
    from_pfx = read_certificate(pfx_file(tmp_path, key, certificate_of(key), "open sesame"))
    assert from_pem.private_key == from_pfx.private_key
    assert from_pem.expires == from_pfx.expires == datetime(2027, 1, 1, tzinfo=UTC)
    assert "PRIVATE" not in repr(from_pem)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda files: files.private_key.unlink(), "key.pem: can't be read: No such file"),
        (lambda files: files.public.unlink(), "cert.pem: can't be read: No such file"),
        (lambda files: files.private_key.write_text("nonsense"), "key.pem: is not a private key as PEM"),
        (lambda files: files.public.write_text("nonsense"), "cert.pem: is not a certificate as PEM"),
    ],
)
def test_files_that_do_not_serve_are_named(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, spoil: Callable[[Certificate], None], complaint: str
) -> None:
    files = pem_files(tmp_path, key)
    spoil(files)
    with pytest.raises(SourceDenied, match=complaint):
        read_certificate(files)


def test_a_wrong_or_missing_passphrase_is_named_and_not_shown(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = pem_files(tmp_path, key, b"open sesame")
    for files in (
        pfx_file(tmp_path, key, certificate_of(key), "open barley"),
        Certificate(pfx=None, private_key=pem.private_key, public=pem.public, passphrase=Secret("open barley")),
        Certificate(pfx=None, private_key=pem.private_key, public=pem.public, passphrase=None),
    ):
        with pytest.raises(SourceDenied, match="with this passphrase") as caught:
            read_certificate(files)
        assert "barley" not in str(caught.value)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    files = pem_files(tmp_path, key)
    assert files.public is not None
    other = certificate_of(ec.generate_private_key(ec.SECP256R1()))
    files.public.write_bytes(other.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(SourceDenied, match="does not belong to the certificate"):
        read_certificate(files)


def test_a_pfx_without_key_is_refused(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(SourceDenied, match="needs both"):
        read_certificate(pfx_file(tmp_path, None, certificate_of(key), "open sesame"))


def test_a_certificate_that_can_not_be_read_pauses_the_source_without_a_request(tmp_path: Path) -> None:
    http = ScriptedHttp()
    certificate = Certificate(pfx=tmp_path / "missing.pfx", private_key=None, public=None, passphrase=None)
    with pytest.raises(Refused, match=r"missing\.pfx: can't be read"):
        tokens_on(http, Credential(client_id=CLIENT, client_secret=None, certificate=certificate)).get()
    assert http.sent == []


# --- where the secret goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("https://evil.example/token", "the host is 'evil.example' instead of 'login.microsoftonline.com'"),
        (f"{LOGIN}:8443/token", "the port is 8443 instead of 443"),
        (f"{LOGIN}@evil.example/token", "a user name stands before the host"),
        (f"{LOGIN}.evil.example/token", "the host is"),
        ("https://login.microsoftonline.us/token", "check `cloud`"),
    ],
)
def test_the_secret_goes_to_no_other_server_than_the_authority_s(endpoint: str, said: str) -> None:
    http = ScriptedHttp()
    http.on(
        DISCOVERY, Reply({"authorization_endpoint": endpoint, "token_endpoint": endpoint, "issuer": f"{LOGIN}/{TENANT}/v2.0"})
    )
    error = failure(http)
    assert isinstance(error, Refused)
    assert "nothing was sent there" in str(error)
    assert said in str(error)
    assert [str(request.url) for request in http.sent] == [f"{LOGIN}/{TENANT}/v2.0{DISCOVERY}"]


@pytest.mark.parametrize("lifetime", ["9" * 400, 10**400, "inf", "nan", -5, None, "soon", [], True])
def test_a_lifetime_that_is_no_lifetime_fails_no_login(lifetime: Any) -> None:
    http = ScriptedHttp()
    body = '{"access_token": "planted-token-x", "token_type": "Bearer", "expires_in": %s}' % (
        lifetime if isinstance(lifetime, int) and not isinstance(lifetime, bool) else json.dumps(lifetime)
    )
    http.on(TOKEN, Reply(body.encode()))
    found = ""
    with contextlib.suppress(Unreachable):  # where msal itself makes nothing of it
        found = tokens_on(http).get()
    assert found in ("", "planted-token-x")


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a\u201cb", "a\x00b", 7, None, ["a"]])
def test_a_token_that_no_header_can_hold_is_no_token(token: Any) -> None:
    http = ScriptedHttp()
    http.on(TOKEN, Reply({"access_token": token, "token_type": "Bearer", "expires_in": 3599}))
    assert isinstance(failure(http), Unreachable)


def test_a_token_is_blanked_in_what_is_told_from_then_on() -> None:
    token = tokens_on(ScriptedHttp()).get()
    assert blanked(f"the service said {token}") == "the service said ***"
