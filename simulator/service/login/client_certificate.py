"""A client certificate for an app registration, in the forms that a pipeline takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from ualpipe.pipeline.files import PUBLIC, replace_file
from ualpipe.simulator.service.ca import build_certificate, pem_of_key, write_private

_KEY_BITS = 2048  # the least that Entra ID accepts


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Files of one self-signed certificate.

    Attributes:
        private_key: Private key, PEM, encrypted when there is a passphrase.
        public: Certificate, PEM; what is registered with the tenant.
        pfx: Both in one PKCS #12 file.
        passphrase: Passphrase of the private key and the PFX file; None where they are not encrypted.
    """

    private_key: Path
    public: Path
    pfx: Path
    passphrase: str | None


def write_client_certificate(folder: Path, passphrase: str | None = None) -> ClientCertificate:
    """Writes ``app.key.pem``, ``app.pem`` and ``app.pfx``; takes a good tenth of a second (RSA)."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    certificate = build_certificate("Audit app", key, None, key, [])
    written = ClientCertificate(folder / "app.key.pem", folder / "app.pem", folder / "app.pfx", passphrase)
    protection = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    write_private(written.private_key, pem_of_key(key, passphrase))
    write_private(written.pfx, pkcs12.serialize_key_and_certificates(b"app", key, certificate, None, protection))
    replace_file(written.public, certificate.public_bytes(serialization.Encoding.PEM), PUBLIC)
    return written
