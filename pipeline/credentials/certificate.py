"""The certificate of an app registration, read from its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ualpipe.pipeline.credentials.options import Certificate
from ualpipe.pipeline.errors import SourceDenied

EXPIRES_SOON = timedelta(days=30)
"""From then on a certificate that comes to its end is worth a warning: new ones have to be asked for and approved."""

_PEM = serialization.Encoding.PEM
_FORMAT = serialization.PublicFormat.SubjectPublicKeyInfo


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair with its certificate.

    Attributes:
        private_key: PEM, not encrypted; stays in memory.
        certificate: PEM.
        expires: End of the certificate's valid time, UTC.
    """

    private_key: str = field(repr=False)
    certificate: str
    expires: datetime


def read_certificate(config: Certificate) -> KeyPair:
    """Reads PFX, or private key and certificate as PEM.

    Raises:
        SourceDenied: A file is missing, is not what it should be, or the passphrase does not fit.
    """
    passphrase = config.passphrase.reveal().encode() if config.passphrase else None
    key, certificate = _read_pfx(config.pfx, passphrase) if config.pfx else _read_pem(config, passphrase)
    if _public(key.public_key()) != _public(certificate.public_key()):
        raise SourceDenied(f"the private key {config.private_key} does not belong to the certificate {config.public}")
    encoded = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return KeyPair(encoded.decode(), certificate.public_bytes(_PEM).decode(), certificate.not_valid_after_utc)


def days_left(expires: datetime, now: datetime) -> int:
    """Returns how many whole days a certificate still lasts; below 0 when it has expired."""
    return (expires - now).days


def _read_pfx(path: Path, passphrase: bytes | None) -> tuple[Any, x509.Certificate]:
    with _reading(path, "a PFX file with this passphrase"):
        key, certificate, _chain = pkcs12.load_key_and_certificates(path.read_bytes(), passphrase)
    if key is None or certificate is None:
        raise SourceDenied(f"{path}: the PFX file needs both private key and certificate")
    return key, certificate


def _read_pem(config: Certificate, passphrase: bytes | None) -> tuple[Any, x509.Certificate]:
    assert config.private_key is not None
    assert config.public is not None
    with _reading(config.public, "a certificate as PEM"):
        certificate = x509.load_pem_x509_certificate(config.public.read_bytes())
    with _reading(config.private_key, "a private key as PEM with this passphrase"):
        key = serialization.load_pem_private_key(config.private_key.read_bytes(), passphrase)
    return key, certificate


@contextmanager
def _reading(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise SourceDenied(f"{path}: can't be read: {exc.strerror}") from exc
    except (ValueError, TypeError) as exc:  # TypeError: encrypted and no passphrase, or the other way round
        raise SourceDenied(f"{path}: is not {expected}: {exc}") from exc


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(_PEM, _FORMAT)
    return encoded
