"""A server that shakes hands and says nothing else: for what clients accept, and show of themselves."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from pathlib import Path

ANY_CIPHER = "ALL:@SECLEVEL=0"  # OpenSSL speaks TLS 1.1 at its lowest level only


class TlsServer:
    """Shakes hands with whoever comes, and says nothing else.

    Attributes:
        established: How many handshakes came to their end.
        came: How many clients connected at all.
        shown: Certificates that clients showed, DER.
    """

    def __init__(self, certificate: Path, newest: ssl.TLSVersion, client_ca: Path | None = None) -> None:
        """Listens.

        Args:
            certificate: Of the server, with its private key, PEM.
            newest: Version of TLS that it speaks at most.
            client_ca: Only clients with a certificate of this authority get in.
        """
        self.established = self.came = 0
        self.shown: set[bytes | None] = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that old versions are old is the point
            self._context.minimum_version, self._context.maximum_version = ssl.TLSVersion.TLSv1, newest
        self._context.set_ciphers(ANY_CIPHER)
        if client_ca:
            self._context.load_verify_locations(client_ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self.came += 1
            client.settimeout(5)
            with contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True) as secured:
                self.established += 1
                self.shown.add(secured.getpeercert(binary_form=True))

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
