"""TLS for syslog receivers: the client's settings, and what a refusal means in plain words."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.pipeline.options import Secret, option

WANTS_CERTIFICATE = "wants a client certificate: set `tls.cert_file` and `tls.key_file`"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Options of TLS connections."""

    ca_file: Path | None = option("PEM file of the authority to trust, in place of the system's.", default=None)
    cert_file: Path | None = option("PEM file with our certificate, where the receiver asks for one.", default=None)
    key_file: Path | None = option("PEM file with its private key; null where `cert_file` holds both.", default=None)
    key_passphrase: Secret | None = option("Passphrase of the private key.", default=None)
    verify: bool = option(
        "Whether the receiver's certificate and its name are verified. Turn it off for tests only.", default=True
    )
    server_name: str | None = option("Name that the receiver's certificate bears, where it is not `host`.", default=None)


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """Returns the settings of our side: TLS 1.2 or later, the receiver's name and certificate verified.

    Raises:
        SinkDenied: A file is missing, unreadable, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _trust(context, options.ca_file)
    _identify(context, options)
    return context


def _trust(context: ssl.SSLContext, ca_file: Path | None) -> None:
    if ca_file is None:
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(ca_file)
    except OSError as exc:
        raise SinkDenied(f"tls.ca_file {ca_file}: {_file_trouble(exc, 'PEM certificates')}") from exc


def _identify(context: ssl.SSLContext, options: TlsOptions) -> None:
    if options.cert_file is None:
        if options.key_file:
            raise SinkDenied("tls.key_file is set without tls.cert_file")
        return
    # An empty passphrase in place of none: OpenSSL would ask for it on the terminal.
    passphrase = options.key_passphrase.reveal() if options.key_passphrase else ""
    try:
        context.load_cert_chain(options.cert_file, options.key_file, passphrase)
    except OSError as exc:
        trouble = _file_trouble(exc, "a PEM certificate and the private key that belongs to it (is tls.key_passphrase right?)")
        raise SinkDenied(f"tls.cert_file {options.cert_file}, tls.key_file {options.key_file}: {trouble}") from exc


def _file_trouble(exc: OSError, wanted: str) -> str:
    return f"does not hold {wanted}" if isinstance(exc, ssl.SSLError) else f"can't be read: {exc.strerror}"


def refusal(exc: ssl.SSLError) -> SinkError:
    """Returns what a TLS failure means: certificates that are refused pause the sink, other trouble is retried."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return SinkDenied(_of_server(exc))
    reason = exc.reason or ""
    for mark, meaning in _ALERTS.items():
        if mark in reason:
            return SinkDenied(meaning)
    return SinkUnavailable(_TROUBLE.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower() or exc.strerror}")


def _of_server(exc: ssl.SSLCertVerificationError) -> str:
    meaning = _VERIFICATION.get(exc.verify_code)
    return f"the receiver's certificate {meaning}" if meaning else f"the receiver's certificate: {exc.verify_message}"


# X509_V_ERR codes of OpenSSL (x509_vfy.h).
_UNKNOWN_CA = "comes from an authority that is not trusted: set `tls.ca_file`"
_VERIFICATION = {
    9: "is not valid yet: compare the clocks",
    10: "has expired",
    18: "is self-signed and not trusted: set `tls.ca_file`",
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    23: "is revoked",
    62: "is for another name: check `host`, or set `tls.server_name`",
    64: "is for another address: check `host`, or set `tls.server_name`",
}

# Alerts of the receiver that concern us, by a part of OpenSSL's name for them (RFC 8446 §6.2).
_ALERTS = {
    "ALERT_CERTIFICATE_REQUIRED": f"the receiver {WANTS_CERTIFICATE}",
    "ALERT_HANDSHAKE_FAILURE": "the receiver refuses the handshake: it may want a client certificate (`tls.cert_file`)",
    "ALERT_CERTIFICATE_EXPIRED": "the receiver says that our certificate (`tls.cert_file`) has expired",
    "ALERT_CERTIFICATE_REVOKED": "the receiver says that our certificate (`tls.cert_file`) is revoked",
    "ALERT_CERTIFICATE_UNKNOWN": "the receiver does not accept our certificate (`tls.cert_file`)",
    "ALERT_BAD_CERTIFICATE": "the receiver does not accept our certificate (`tls.cert_file`)",
    "ALERT_UNSUPPORTED_CERTIFICATE": "the receiver does not accept our kind of certificate (`tls.cert_file`)",
    "ALERT_UNKNOWN_CA": "the receiver does not know the authority of our certificate (`tls.cert_file`)",
    "ALERT_ACCESS_DENIED": "the receiver denies access to the holder of our certificate (`tls.cert_file`)",
}

_TROUBLE = {
    "WRONG_VERSION_NUMBER": "what answers at this port does not speak TLS",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the receiver speaks no TLS version from 1.2 on",
    "UNSUPPORTED_PROTOCOL": "the receiver speaks no TLS version from 1.2 on",
    "NO_CIPHERS_AVAILABLE": "the receiver and we have no cipher in common",
}
