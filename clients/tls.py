"""TLS towards servers: one set of options for all stages, and one context for equal options."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ualpipe.clients.errors import Refused
from ualpipe.clients.sockets import PacedContext
from ualpipe.clients.trust import default_ca_places, load_default_cas
from ualpipe.pipeline.files import stamp_of
from ualpipe.pipeline.options import Secret, option

CA_FILE = "PEM file of the authorities to trust, in place of the system's and Mozilla's."
CLIENT_CERTIFICATE = "PEM file with the client certificate, for servers that ask for one (mutual TLS)."
CLIENT_KEY = "PEM file with the private key of the client certificate; null where `client_certificate` holds both."
CLIENT_KEY_PASSWORD = "Password of the private key."  # noqa: S105 - the description of the option
VERIFY = "Verifies the server's certificate and host name. Turn it off for tests only."

HTTP = ("http/1.1",)
"""What HTTP clients offer by ALPN; urllib3 sets it on each context it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Options of TLS connections."""

    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    client_certificate: Path | None = option(CLIENT_CERTIFICATE, default=None, former=("cert_file",), reads=True)
    client_key: Path | None = option(CLIENT_KEY, default=None, former=("key_file",), reads=True)
    client_key_password: Secret | None = option(CLIENT_KEY_PASSWORD, default=None, former=("key_password", "key_passphrase"))
    verify: bool = option(VERIFY, default=True)


class FlatTlsOptions(Protocol):
    """The options of a stage that has those of TLS among its own, and no section for them."""

    @property
    def ca_file(self) -> Path | None: ...

    @property
    def client_certificate(self) -> Path | None: ...

    @property
    def client_key(self) -> Path | None: ...

    @property
    def client_key_password(self) -> Secret | None: ...

    @property
    def verify(self) -> bool: ...


def tls_of(options: FlatTlsOptions) -> TlsOptions:
    """Returns the TLS options that stand flat among those of a stage as the section that other stages have."""
    return TlsOptions(
        ca_file=options.ca_file,
        client_certificate=options.client_certificate,
        client_key=options.client_key,
        client_key_password=options.client_key_password,
        verify=options.verify,
    )


def client_context(options: TlsOptions, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Returns the TLS context of our side: TLS 1.2 or later, the server's certificate and name verified.

    Equal options share a context, which takes half a megabyte, for as long as the files are as they were. Callers must
    not change it.

    Args:
        options: The options; their files are read anew where they changed.
        alpn: Protocols to offer.

    Raises:
        Refused: A file is missing, unreadable, or not what it should be. The text begins with the option's name.
    """
    if options.client_key and not options.client_certificate:
        raise Refused("client_key is set without client_certificate")
    ca_places = [options.ca_file] if options.ca_file else default_ca_places()
    seen = tuple(map(stamp_of, (*ca_places, options.client_certificate, options.client_key)))
    # An empty password in place of none: OpenSSL would ask for it on the terminal.
    password = options.client_key_password.reveal() if options.client_key_password else ""
    return _context(options.ca_file, options.client_certificate, options.client_key, password, options.verify, tuple(alpn), seen)


@functools.lru_cache(maxsize=32)
def _context(
    ca_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    password: str,
    verify: bool,  # noqa: FBT001 - a part of the cache's key
    alpn: tuple[str, ...],
    _seen: tuple[object, ...],
) -> ssl.SSLContext:
    # Not `create_default_context`, which writes down session keys where SSLKEYLOGFILE says so.
    context = PacedContext(ssl.PROTOCOL_TLS_CLIENT)  # certificate and host name are verified
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    _trust(context, ca_file)
    if certificate:
        _identify(context, certificate, key, password)
    return context


def _trust(context: ssl.SSLContext, ca_file: Path | None) -> None:
    if ca_file is None:
        load_default_cas(context)
        return
    try:
        context.load_verify_locations(ca_file)
    except OSError as exc:
        raise Refused(f"ca_file {ca_file}: {_problem(exc, 'PEM certificates')}") from exc


def _identify(context: ssl.SSLContext, certificate: Path, key: Path | None, password: str) -> None:
    try:
        context.load_cert_chain(certificate, key, password)
    except (OSError, ValueError) as exc:  # ValueError: a password longer than OpenSSL takes
        problem = _problem(exc, "a PEM certificate and the private key that belongs to it (is client_key_password right?)")
        files = f"client_certificate {certificate}, client_key {key}" if key else f"client_certificate {certificate}"
        raise Refused(f"{files}: {problem}") from exc


def _problem(exc: OSError | ValueError, wanted: str) -> str:
    is_readable = isinstance(exc, ssl.SSLError | ValueError)
    return f"does not hold {wanted}" if is_readable else f"can't be read: {getattr(exc, 'strerror', None) or exc}"
