"""What a TLS failure means in plain words, and what to do about it. Pure."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from ualpipe.clients.errors import ClientError, Refused, Unreachable


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of a connection, in the words of messages.

    Attributes:
        noun: What the other side is (``the broker``).
        address: Advice on the options that say where it is, for certificates that bear another name (``check `host```).
        section: Where the TLS options stand, with a dot at the end; empty where they stand by themselves.
    """

    noun: str
    address: str
    section: str = ""

    @property
    def wants_certificate(self) -> str:
        """Advice for a server that wants to see a certificate of ours."""
        options = f"`{self.section}client_certificate` and `{self.section}client_key`"
        return f"wants a client certificate: set {options}"


def tls_failure(exc: ssl.SSLError, peer: Peer) -> ClientError:
    """Returns what a TLS failure means: a certificate that is refused, theirs or ours, needs somebody to act."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return Refused(_of_server(exc, peer))
    if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # in TLS 1.3 a refusal of ours may look like this
        return Unreachable(f"{peer.noun} closed the connection: does it want a client certificate, or refuse ours?")
    reason = exc.reason or ""
    for mark, text in _ALERTS.items():
        if mark in reason:
            return Refused(_said(text, peer))
    meaning = _OTHER_REASONS.get(reason)
    return Unreachable(_said(meaning, peer) if meaning else f"TLS failed: {reason.replace('_', ' ').lower() or exc.strerror}")


def _of_server(exc: ssl.SSLCertVerificationError, peer: Peer) -> str:
    meaning = _VERIFICATION.get(exc.verify_code)
    return f"{peer.noun}'s certificate{_said(meaning, peer) if meaning else f': {exc.verify_message}'}"


def _said(text: str, peer: Peer) -> str:
    ours = f"our certificate (`{peer.section}client_certificate`)"
    return text.format(
        noun=peer.noun, address=peer.address, section=peer.section, ours=ours, wants_certificate=peer.wants_certificate
    )


# X509_V_ERR codes of OpenSSL (x509_vfy.h).
_UNKNOWN_CA = " comes from an authority that is not trusted: set `{section}ca_file`"
_VERIFICATION = {
    9: " is not valid yet: compare the clocks",
    10: " has expired",
    18: " is self-signed and not trusted: set `{section}ca_file`",
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    23: " is revoked",
    62: " is for another name: {address}",
    64: " is for another address: {address}",
}

# Alerts of the other side that concern us, by a part of OpenSSL's name for them (RFC 8446 §6.2).
_ALERTS = {
    "ALERT_CERTIFICATE_REQUIRED": "{noun} {wants_certificate}",
    "ALERT_HANDSHAKE_FAILURE": "{noun} refuses the handshake: it may want a client certificate (`{section}client_certificate`)",
    "ALERT_CERTIFICATE_EXPIRED": "{noun} says that {ours} has expired",
    "ALERT_CERTIFICATE_REVOKED": "{noun} says that {ours} is revoked",
    "ALERT_CERTIFICATE_UNKNOWN": "{noun} does not accept {ours}",
    "ALERT_BAD_CERTIFICATE": "{noun} does not accept {ours}",
    "ALERT_UNSUPPORTED_CERTIFICATE": "{noun} does not accept {ours}, which is of another kind",
    "ALERT_UNKNOWN_CA": "{noun} does not know the authority of {ours}",
    "ALERT_ACCESS_DENIED": "{noun} denies access to the holder of {ours}",
}

_OTHER_REASONS = {
    "WRONG_VERSION_NUMBER": "what answers at this port does not speak TLS",
    "TLSV1_ALERT_PROTOCOL_VERSION": "{noun} speaks no TLS version from 1.2 on",
    "UNSUPPORTED_PROTOCOL": "{noun} speaks no TLS version from 1.2 on",
    "NO_CIPHERS_AVAILABLE": "{noun} and we have no cipher in common",
}
