"""The ``credentials`` section of the config: app registrations, shared by sources and sinks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.options import Secret, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of an app registration: one PFX file, or a private key and its certificate as PEM."""

    pfx: Path | None = option("PFX (PKCS #12) file with private key and certificate.", default=None, reads=True)
    private_key: Path | None = option("PEM file with the private key; needs `public` too.", default=None, reads=True)
    public: Path | None = option("PEM file with the certificate.", default=None, reads=True)
    passphrase: Secret | None = option("Passphrase of the PFX file or the private key.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An app registration in Entra ID: a client id with either a secret or a certificate."""

    client_id: str = option("Application (client) id of the app registration.", minLength=1)
    client_secret: Secret | None = option(
        "Client secret, as `${file:...}` or `${env:...}`; a file may be replaced while the pipeline runs.", default=None
    )
    certificate: Certificate | None = option(
        "Certificate in place of a secret; its files may be replaced while the pipeline runs.", default=None
    )
