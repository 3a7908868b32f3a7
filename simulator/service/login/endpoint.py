"""The login endpoint: OpenID discovery, and access tokens for an application's own secret or certificate."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from ualpipe.simulator.service.errors import json_reply
from ualpipe.simulator.service.http import Reply, Request
from ualpipe.simulator.service.login.assertions import ASSERTION_TYPE, check_assertion
from ualpipe.simulator.service.login.errors import LoginRefused
from ualpipe.simulator.service.login.tokens import TokenIssuer
from ualpipe.simulator.service.tenant import SimulatedTenant

_TOKEN_PATH = "oauth2/v2.0/token"  # noqa: S105 - a path
_SCOPE_SUFFIX = "/.default"


def discover(url: str, tenant: str) -> Reply:
    """Returns the OpenID configuration of a tenant, as far as msal reads it."""
    authority = f"{url}/{tenant}"
    return json_reply(
        {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{authority}/{_TOKEN_PATH}",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "tenant_region_scope": "EU",
        }
    )


def grant_token(request: Request, tenant: SimulatedTenant, urls: Collection[str], issuer: TokenIssuer, now: datetime) -> Reply:
    """Answers a request for an access token.

    Args:
        request: A form: grant type, client id, scope, and a secret or an assertion.
        tenant: The tenant of the path.
        urls: The URLs of the service, which are the audience of scopes and assertions.
        issuer: Makes the token.
        now: Time of the service.

    Raises:
        LoginRefused: The application gets no token.
    """
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if form.get("grant_type") != "client_credentials":
        raise LoginRefused(70003, grant=form.get("grant_type", ""))
    if form.get("client_id", "").lower() != tenant.client_id:
        raise LoginRefused(700016, client=form.get("client_id", ""), tenant=tenant.name)
    audience = _audience(form.get("scope", ""), urls, tenant.name)
    _authenticate(form, tenant, urls, now)
    lifetime_s = tenant.token_lifetime_s
    token = issuer.issue(tenant, audience, now)
    return json_reply({"token_type": "Bearer", "expires_in": lifetime_s, "ext_expires_in": lifetime_s, "access_token": token})


def _audience(scope: str, urls: Collection[str], tenant: str) -> str:
    """Returns the resource that a scope asks for; applications can only ask for all their permissions at once."""
    if not scope.endswith(_SCOPE_SUFFIX):
        raise LoginRefused(70011, scope=scope)
    resource = scope.removesuffix(_SCOPE_SUFFIX).rstrip("/")
    if resource not in urls:
        raise LoginRefused(500011, scope=resource, tenant=tenant)
    return resource


def _authenticate(form: Mapping[str, str], tenant: SimulatedTenant, urls: Collection[str], now: datetime) -> None:
    if form.get("client_assertion_type") == ASSERTION_TYPE:
        names = (tenant.tenant_id, tenant.name)
        endpoints = {f"{url}/{name}/{_TOKEN_PATH}" for url in urls for name in names}
        check_assertion(form.get("client_assertion", ""), tenant.certificate, tenant.client_id, endpoints, now)
    elif "client_secret" in form:
        _check_secret(form["client_secret"], tenant)
    else:
        raise LoginRefused(7000216)


def _check_secret(secret: str, tenant: SimulatedTenant) -> None:
    if secret in tenant.expired_secrets:
        raise LoginRefused(7000222, client=tenant.client_id)
    if tenant.client_secret is None or not hmac.compare_digest(secret.encode(), tenant.client_secret.encode()):
        raise LoginRefused(7000215)
