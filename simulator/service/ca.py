"""A certificate authority for the service, and the server certificate for loopback that the authority signs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ualpipe.pipeline.files import PUBLIC, replace_file

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

_LIFETIME = timedelta(days=30)
_BACKDATED = timedelta(days=1)  # a client whose clock is behind still accepts it
_ENCODING = serialization.Encoding.PEM

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The files of the certificates.

    Attributes:
        ca_file: Certificate of the authority, PEM: what clients trust.
        server_file: Certificate and private key of the server, PEM.
    """

    ca_file: Path
    server_file: Path


def write_certificates(folder: Path, hosts: Sequence[str] = LOOPBACK_HOSTS) -> ServerFiles:
    """Writes ``ca.pem`` and ``server.pem``, or leaves those that still serve, so that a restarted server stays trusted.

    Args:
        folder: Where to; made when it is missing.
        hosts: DNS names and addresses of the server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = ServerFiles(folder / "ca.pem", folder / "server.pem")
    if not _still_serves(found, hosts):
        _write_both(found, hosts)
    return found


def build_certificate(
    subject: str,
    key: PrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: PrivateKey,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    """Returns a certificate of ``key``, signed by ``issuer``; self-signed where there is none."""
    now = datetime.now(UTC)  # TLS clients compare with the machine's clock, whatever clock the service runs on
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
    return builder.sign(issuer_key, hashes.SHA256())


def pem_of_key(key: PrivateKey, passphrase: str | None = None) -> bytes:
    """Returns a private key as PKCS #8 PEM, encrypted when there is a passphrase."""
    protection = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(_ENCODING, serialization.PrivateFormat.PKCS8, protection)


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read."""
    replace_file(path, content)


def _write_both(found: ServerFiles, hosts: Sequence[str]) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    ca = build_certificate("Simulated tenant CA", ca_key, None, ca_key, _ca_extensions(ca_key))
    server = build_certificate(hosts[0], server_key, ca, ca_key, list(_server_extensions(ca_key, hosts)))
    replace_file(found.ca_file, ca.public_bytes(_ENCODING), PUBLIC)
    write_private(found.server_file, server.public_bytes(_ENCODING) + pem_of_key(server_key))


def _ca_extensions(key: PrivateKey) -> list[x509.ExtensionType]:
    return [
        x509.BasicConstraints(ca=True, path_length=0),
        _usage(signs_certificates=True),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    ]


def _server_extensions(ca_key: PrivateKey, hosts: Sequence[str]) -> Iterator[x509.ExtensionType]:
    yield x509.BasicConstraints(ca=False, path_length=None)
    yield _usage(signs_certificates=False)
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    yield x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    yield x509.SubjectAlternativeName([_general_name(host) for host in hosts])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ip_address(host))
    return x509.DNSName(host)


def _still_serves(found: ServerFiles, hosts: Sequence[str]) -> bool:
    """Returns whether earlier files are whole, cover the hosts and are valid for another day."""
    try:
        ca = x509.load_pem_x509_certificate(found.ca_file.read_bytes())
        server = x509.load_pem_x509_certificate(found.server_file.read_bytes())
        server.verify_directly_issued_by(ca)
        names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    covers = all(_general_name(host) in names for host in hosts)
    return covers and server.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)
