"""Turns what sockets and TLS raise into the errors of a sink."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

from ualpipe.clients.errors import sink_error
from ualpipe.clients.pace import TooSlow
from ualpipe.clients.tls_failures import Peer, tls_failure
from ualpipe.pipeline.errors import SinkUnavailable


@contextlib.contextmanager
def as_unavailable(peer: Peer, when: str = "") -> Iterator[None]:
    """Turns what sockets and TLS raise into the errors of a sink.

    Args:
        peer: The other side.
        when: Text that is put behind that of the error (``during the TLS handshake``).

    Raises:
        SinkUnavailable: The network or the other side fails.
        SinkDenied: A certificate, theirs or ours, is refused.
    """
    suffix = f" {when}" if when else ""
    try:
        yield
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
        raise SinkUnavailable(f"{gone(peer)}{suffix}") from exc
    except ssl.SSLError as exc:
        raise sink_error(tls_failure(exc, peer)) from exc
    except socket.gaierror as exc:
        raise SinkUnavailable(f"the name can't be resolved: {exc.strerror}") from exc
    except TooSlow as exc:
        raise SinkUnavailable(f"{exc}{suffix}") from exc
    except TimeoutError as exc:
        raise SinkUnavailable(f"no answer in time{suffix}") from exc
    except OSError as exc:
        raise SinkUnavailable(f"{exc.strerror or exc}{suffix}".lower()) from exc


def gone(peer: Peer) -> str:
    """Returns what is said of a connection that the other side has closed."""
    return f"{peer.noun} closed the connection"
