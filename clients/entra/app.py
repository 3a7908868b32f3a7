"""The app registration that a stage signs in with, from the ``credentials`` of the config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.errors import ConfigError


def app_registration(credentials: Mapping[str, Any], name: str, option: str) -> Credential:
    """Returns a credential that one can sign in with.

    Args:
        credentials: The credentials of the config, by name.
        name: Name of the one to use.
        option: The option that names it, for messages (``sources.contoso.credential``).

    Raises:
        ConfigError: The credential is missing or incomplete.
    """
    credential = credentials.get(name)
    if not isinstance(credential, Credential):
        raise ConfigError(f"{option}: there is no {name!r} under credentials")
    where, certificate = f"credentials.{name}", credential.certificate
    if bool(credential.client_secret) == bool(certificate):
        raise ConfigError(f"{where}: give either client_secret or certificate")
    if certificate and bool(certificate.pfx) == bool(certificate.private_key and certificate.public):
        raise ConfigError(f"{where}.certificate: give either pfx, or private_key and public")
    return credential
