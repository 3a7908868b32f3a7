from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from fakes import NOW
from ualpipe.simulator.service.http import Request
from ualpipe.simulator.service.login.assertions import ASSERTION_TYPE, check_assertion
from ualpipe.simulator.service.login.client_certificate import ClientCertificate, write_client_certificate
from ualpipe.simulator.service.login.endpoint import discover, grant_token
from ualpipe.simulator.service.login.errors import LoginRefused, login_error
from ualpipe.simulator.service.login.tokens import TokenIssuer
from ualpipe.simulator.service.tenant import SimulatedTenant

URL = "https://localhost:1"
TENANT_ID = "22222222-2222-2222-2222-222222222222"
APP = "11111111-1111-1111-1111-111111111111"
ENDPOINT = f"{URL}/{TENANT_ID}/oauth2/v2.0/token"
FORM = {"grant_type": "client_credentials", "client_id": APP, "client_secret": "right", "scope": f"{URL}/.default"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    return write_client_certificate(tmp_path_factory.mktemp("registered"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    return write_client_certificate(tmp_path_factory.mktemp("stranger"))


def tenant(**changes: Any) -> SimulatedTenant:
    return SimulatedTenant(TENANT_ID, "contoso.com", APP, "right", expired_secrets=frozenset({"old"}), **changes)


def ask(form: Mapping[str, str], of: SimulatedTenant | None = None, now: datetime = NOW) -> dict[str, Any]:
    request = Request("POST", (), {}, Message(), urlencode(form).encode())
    reply = grant_token(request, of or tenant(), {URL}, TokenIssuer(), now)
    assert isinstance(reply.body, bytes)
    answer: dict[str, Any] = orjson.loads(reply.body)
    return answer


def test_the_right_secret_gets_a_token_bound_to_tenant_app_roles_and_audience() -> None:
    answer = ask(FORM, tenant(token_lifetime_s=600, roles=("ActivityFeed.Read",)))
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 600)
    assert (claims["tid"], claims["appid"], claims["aud"], claims["roles"]) == (TENANT_ID, APP, URL, ["ActivityFeed.Read"])
    assert claims["exp"] == NOW.timestamp() + 600


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        ({"client_secret": "wrong"}, 7000215),
        ({"client_secret": "old"}, 7000222),
        ({"client_id": TENANT_ID}, 700016),
        ({"scope": "https://manage.office.com/.default"}, 500011),
        ({"scope": f"{URL}/ActivityFeed.Read"}, 70011),
        ({"grant_type": "password"}, 70003),
        ({"client_assertion_type": ASSERTION_TYPE, "client_assertion": "not.a.jwt"}, 700027),
    ],
)
def test_each_wrong_part_has_its_own_number(changed: dict[str, str], number: int) -> None:
    with pytest.raises(LoginRefused) as caught:
        ask({**FORM, **changed})
    assert caught.value.number == number


def test_a_client_without_any_proof_is_refused() -> None:
    with pytest.raises(LoginRefused) as caught:
        ask({name: value for name, value in FORM.items() if name != "client_secret"})
    assert caught.value.number == 7000216


@pytest.mark.parametrize(("number", "status", "error"), [(7000215, 401, "invalid_client"), (700016, 400, "unauthorized_client")])
def test_an_error_has_the_shape_of_entra_id(number: int, status: int, error: str) -> None:
    reply = login_error(LoginRefused(number, client=APP, tenant="contoso.com"), NOW)
    assert isinstance(reply.body, bytes)
    body = orjson.loads(reply.body)
    assert (reply.status, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")


def test_discovery_names_the_endpoints_under_the_tenant_that_was_asked_for() -> None:
    reply = discover(URL, "contoso.com")
    assert isinstance(reply.body, bytes)
    found = orjson.loads(reply.body)
    assert found["token_endpoint"] == f"{URL}/contoso.com/oauth2/v2.0/token"
    assert found["issuer"] == f"{URL}/contoso.com/v2.0"


def thumbprint(public: Path, algorithm: hashes.HashAlgorithm) -> str:
    digest = x509.load_pem_x509_certificate(public.read_bytes()).fingerprint(algorithm)
    return jwt.utils.base64url_encode(digest).decode()


def assertion(
    certificate: ClientCertificate, algorithm: str = "PS256", header: Mapping[str, str] | None = None, **changes: Any
) -> str:
    key = serialization.load_pem_private_key(certificate.private_key.read_bytes(), None)
    now = NOW.timestamp()
    claims = {"aud": ENDPOINT, "iss": APP, "sub": APP, "jti": "1", "nbf": now, "exp": now + 600, **changes}
    headers = header if header is not None else {"x5t#S256": thumbprint(certificate.public, hashes.SHA256())}
    return jwt.encode(claims, key, algorithm, headers=dict(headers))  # type: ignore[arg-type]


def check(text: str, certificate: ClientCertificate, now: datetime = NOW) -> None:
    check_assertion(text, certificate.public.read_bytes(), APP, {ENDPOINT}, now)


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_an_assertion_of_the_registered_certificate_is_taken(certificate: ClientCertificate, algorithm: str) -> None:
    check(assertion(certificate, algorithm), certificate)


def test_the_older_thumbprint_is_taken_too(certificate: ClientCertificate) -> None:
    check(assertion(certificate, "RS256", {"x5t": thumbprint(certificate.public, hashes.SHA1())}), certificate)


def test_an_assertion_of_another_certificate_is_refused(certificate: ClientCertificate, stranger: ClientCertificate) -> None:
    with pytest.raises(LoginRefused, match="700027"):
        check(assertion(stranger), certificate)


def test_a_foreign_signature_under_the_registered_thumbprint_is_refused(
    certificate: ClientCertificate, stranger: ClientCertificate
) -> None:
    forged = assertion(stranger, header={"x5t#S256": thumbprint(certificate.public, hashes.SHA256())})
    with pytest.raises(LoginRefused) as caught:
        check(forged, certificate)
    assert "InvalidSignatureError" in caught.value.details["detail"]


@pytest.mark.parametrize("algorithm", ["RS512", "PS384"])
def test_other_algorithms_are_refused(certificate: ClientCertificate, algorithm: str) -> None:
    with pytest.raises(LoginRefused, match="700027"):
        check(assertion(certificate, algorithm), certificate)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"aud": URL}, "700027"),
        ({"iss": TENANT_ID}, "700027"),
        ({"sub": TENANT_ID}, "700027"),
        ({"exp": "soon"}, "700027"),
        ({"exp": NOW.timestamp() - 301}, "700024"),
        ({"nbf": NOW.timestamp() + 301}, "700024"),
    ],
)
def test_wrong_claims_are_refused(certificate: ClientCertificate, changes: dict[str, Any], number: str) -> None:
    with pytest.raises(LoginRefused, match=number):
        check(assertion(certificate, **changes), certificate)


def test_an_assertion_without_thumbprint_is_refused(certificate: ClientCertificate) -> None:
    with pytest.raises(LoginRefused, match="700027"):
        check(assertion(certificate, header={}), certificate)


def test_a_tenant_without_certificate_takes_no_assertion(certificate: ClientCertificate) -> None:
    form = {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(certificate)}
    with pytest.raises(LoginRefused, match="700027"):
        ask(form)
    assert ask(form, tenant(certificate=certificate.public))["access_token"]


def test_a_token_is_read_until_it_expires() -> None:
    issuer = TokenIssuer()
    header = "Bearer " + issuer.issue(tenant(token_lifetime_s=60), URL, NOW)
    assert issuer.read(header, NOW + timedelta(seconds=59)) is not None
    assert issuer.read(header, NOW + timedelta(seconds=60)) is None
    assert issuer.issued == 1


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x.y.z", "Basic eDp5"])
def test_what_is_no_token_of_ours_is_not_read(header: str | None) -> None:
    assert TokenIssuer().read(header, NOW) is None


def test_a_token_of_another_service_is_not_read() -> None:
    assert TokenIssuer().read("Bearer " + TokenIssuer().issue(tenant(), URL, NOW), NOW) is None


def test_tokens_are_issued_on_the_services_clock_not_the_machines() -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    claims = jwt.decode(ask(FORM, now=past)["access_token"], options={"verify_signature": False})
    assert claims["exp"] < time.time()


def test_a_passphrase_protects_key_and_pfx(tmp_path: Path) -> None:
    written = write_client_certificate(tmp_path, "open sesame")
    with pytest.raises(TypeError):
        serialization.load_pem_private_key(written.private_key.read_bytes(), None)
    assert serialization.load_pem_private_key(written.private_key.read_bytes(), b"open sesame")
    assert written.private_key.stat().st_mode & 0o077 == 0
