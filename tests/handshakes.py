"""TLS handshakes in memory: two contexts talk to one another, without a socket."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Returns the settings of a server; with ``client_ca`` it takes only clients with a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "localhost") -> ssl.SSLObject:
    """Returns the server's end of a connection after both sides are content.

    Raises:
        ssl.SSLError: One of them is not.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    while waiting:
        waiting = [end for end in waiting if not _is_content(end)]
    return theirs


def _is_content(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
