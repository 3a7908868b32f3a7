"""Certificates of an app registration that last as long as a test wants."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ualpipe.pipeline.credentials.options import Certificate


def write_certificate(folder: Path, expires: datetime) -> Certificate:
    """Writes ``key.pem`` and ``cert.pem``; returns their config."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1, tzinfo=UTC), expires)
    pem = serialization.Encoding.PEM
    form = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    return Certificate(pfx=None, private_key=folder / "key.pem", public=folder / "cert.pem", passphrase=None)
