"""Requests to an Elasticsearch cluster, and what their failures mean."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Only the transport of the 8.x client, whose methods ask for a product header and a versioned media type: with plain JSON the
# same code serves 8.x and 9.x servers, also where a proxy strips headers.
from elastic_transport import ConnectionTimeout, HttpHeaders, NodeConfig, Serializer, TlsError, Transport, TransportError
from elastic_transport.client_utils import url_to_node_config

from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable

USER_AGENT = "ualpipe"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        headers: Readable without regard to case.
        body: As received; decoded only where it has to be looked at.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class _Untouched(Serializer):
    """Hands bodies through as bytes."""

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: bytes) -> bytes:
        return data


_CERTIFICATE_ACTIONS = {  # by X509_V_ERR codes of OpenSSL (x509_vfy.h); for all others the authority is to blame
    9: "it is not valid yet: compare the clocks",
    10: "have it renewed",
    62: "check `urls`: it is for another name",
    64: "check `urls`: it is for another address",
}
_MIMETYPES = ("application/json", "application/x-ndjson", "application/vnd.elasticsearch+json", "text/*")


class Connection:
    """Keeps a few connections to each node, asks them in turn, and passes over a node for a while after it failed."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        authorization: str | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
        timeout_s: float = 30.0,
        at_once: int = 1,
    ) -> None:
        """Reads the CA file; sends nothing yet.

        Args:
            urls: The nodes.
            authorization: Value of the header of that name.
            ca_file: PEM file of the authorities to trust, instead of the system's and not besides them.
            verify: Whether certificates are verified.
            timeout_s: Longest wait for an answer, in seconds.
            at_once: Requests of several threads that are sent at the same time.

        Raises:
            SinkDenied: The CA file can't be used.
        """
        self._urls = ", ".join(urls)
        self._timeout_s = timeout_s
        headers = {"user-agent": USER_AGENT, "accept": "application/json"}
        if authorization:
            headers["authorization"] = authorization
        _require_usable(ca_file)
        self._transport = Transport(
            [_node(url, HttpHeaders(headers), ca_file, timeout_s, at_once, verify=verify) for url in urls],
            serializers={mimetype: _Untouched() for mimetype in _MIMETYPES},
            max_retries=0,  # the engine retries
            retry_on_status=(),
        )

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Sends one request to the next node.

        Raises:
            SinkUnavailable: There was no answer.
            SinkDenied: The server's certificate is not trusted.
        """
        try:
            found = self._transport.perform_request(
                method, target, body=body, headers={"content-type": "application/json", **(headers or {})}
            )
        except TransportError as exc:
            raise self._converted(exc) from exc
        return HttpAnswer(found.meta.status, found.meta.headers, found.body or b"")

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def _converted(self, exc: TransportError) -> SinkError:
        cause = _root(exc)
        if isinstance(exc, ConnectionTimeout):
            return SinkUnavailable(f"{self._urls}: no answer within {self._timeout_s:g} s")
        if isinstance(exc, TlsError) and isinstance(cause, ssl.SSLCertVerificationError):
            action = _CERTIFICATE_ACTIONS.get(cause.verify_code, "set `ca_file`")
            return SinkDenied(f"{self._urls}: the server's certificate is not trusted ({cause.verify_message}): {action}")
        return SinkUnavailable(f"{self._urls}: {cause}")


def authorization(api_key: str | None, username: str | None, password: str | None) -> str | None:
    """Returns the ``Authorization`` header for an API key (as ``encoded``, or as ``id:api_key``) or a user; None for neither."""
    if api_key:
        return f"ApiKey {_base64(api_key) if ':' in api_key else api_key}"
    if username:
        return f"Basic {_base64(f'{username}:{password}')}"
    return None


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _require_usable(ca_file: Path | None) -> None:
    try:
        ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as exc:
        raise SinkDenied(f"elasticsearch.ca_file {ca_file}: {exc}") from exc


def _node(url: str, headers: HttpHeaders, ca_file: Path | None, timeout_s: float, at_once: int, *, verify: bool) -> NodeConfig:
    node = url_to_node_config(url, use_default_ports_for_scheme=True)
    options: dict[str, Any] = {"headers": headers, "connections_per_node": at_once, "request_timeout": timeout_s}
    if node.scheme == "https" and not verify:
        options |= {"verify_certs": False, "ssl_show_warn": False}
    elif node.scheme == "https":
        # `ca_certs` is exclusive; a context of our own would get certifi's authorities besides.
        options |= {"ca_certs": str(ca_file)} if ca_file else {"ssl_context": ssl.create_default_context()}
    return node.replace(**options)


def _root(exc: BaseException) -> BaseException:
    """Returns the first error in a chain: ``Connection refused`` under its wrappings."""
    while (below := exc.__cause__ or exc.__context__) is not None:
        exc = below
    return exc
