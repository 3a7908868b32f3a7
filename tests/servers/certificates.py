"""A small certificate authority with one server and one client, for TLS on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PEM = serialization.Encoding.PEM
_LIFETIME = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM.

    Attributes:
        ca_file: What clients and servers trust.
        server_cert: For localhost and 127.0.0.1.
        server_file: The server's private key (PKCS #8) and certificate in one file, as Kafka wants them.
        client_cert: Of the client ``ualpipe``.
    """

    ca_file: Path
    server_cert: Path
    server_key: Path
    server_file: Path
    client_cert: Path
    client_key: Path


def write_certificates(folder: Path) -> Certificates:
    """Makes an authority, a server and a client; the private key of the authority is forgotten."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("ca", "server-cert", "server-key", "server", "client-cert", "client-key")
    made = Certificates(*(folder / f"{name}.pem" for name in names))
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _sign("ualpipe test CA", ca_key, ca_key, None, [x509.BasicConstraints(ca=True, path_length=0), _usage(is_ca=True)])
    made.ca_file.write_bytes(ca.public_bytes(_PEM))
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    _write_pair(made.server_cert, made.server_key, "localhost", ca, ca_key, [_purpose(ExtendedKeyUsageOID.SERVER_AUTH), hosts])
    _write_pair(made.client_cert, made.client_key, "ualpipe", ca, ca_key, [_purpose(ExtendedKeyUsageOID.CLIENT_AUTH)])
    made.server_file.write_bytes(made.server_key.read_bytes() + made.server_cert.read_bytes())
    return made


def _write_pair(
    cert_file: Path,
    key_file: Path,
    subject: str,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    extensions: Sequence[x509.ExtensionType],
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    common = [
        x509.BasicConstraints(ca=False, path_length=None),
        _usage(is_ca=False),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
    ]
    certificate = _sign(subject, key, ca_key, ca, [*common, *extensions])
    cert_file.write_bytes(certificate.public_bytes(_PEM))
    key_file.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def _sign(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate | None,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=ca.subject if ca else name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + _LIFETIME,
    )
    for extension in (*extensions, x509.SubjectKeyIdentifier.from_public_key(key.public_key())):
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
    return builder.sign(ca_key, hashes.SHA256())


def _purpose(purpose: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([purpose])


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
