"""The Elasticsearch client as this sink uses it: its nodes and connections for raw bodies, its API for everything else.

Imports the client, which takes a tenth of a second: only a sink that connects loads this module.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from elastic_transport import (
    ApiResponse,
    BaseNode,
    BinaryApiResponse,
    ConnectionTimeout,
    HttpHeaders,
    NodeConfig,
    Serializer,
    TransportApiResponse,
    TransportError,
)
from elastic_transport.client_utils import url_to_node_config
from elasticsearch import Elasticsearch

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.errors import as_sink_errors, root_of, sink_error
from ualpipe.clients.pace import TooSlow
from ualpipe.clients.sockets import OpenSockets
from ualpipe.clients.tls import HTTP, TlsOptions, client_context
from ualpipe.clients.tls_failures import Peer, tls_failure
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.sinks.elasticsearch.node import node_class as paced_node_class
from ualpipe.sinks.elasticsearch.node import room_for_answers_on

USER_AGENT = "ualpipe"
_JSON = {"content-type": "application/json", "accept": "application/json"}
_SERVER = Peer("the server", "check `urls`")


class Connection:
    """Keeps a few connections to each node, asks the nodes in turn, and passes over a node for a while after it failed.

    Attributes:
        api: The client's API. It returns answers whatever their status: see ``answers.answer_of``.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        authorization: str | None = None,
        tls: TlsOptions | None = None,
        timeout_s: float = 30.0,
        at_once: int = 1,
        node_class: type[BaseNode] | None = None,
    ) -> None:
        """Reads the files of the TLS options; sends nothing yet.

        Args:
            urls: The nodes.
            authorization: Value of the header ``Authorization``.
            tls: Whom to trust, and with which certificate of ours.
            timeout_s: Longest wait for an answer, in seconds.
            at_once: Requests of several threads that are sent at the same time.
            node_class: Takes the place of the network, for tests.

        Raises:
            SinkDenied: A file of the TLS options, or the authorization, can't be used.
        """
        if authorization and not (authorization.isascii() and authorization.isprintable()):
            raise SinkDenied("`api_key` holds a line break or another character that no header of HTTP holds: copy it anew")
        self._urls = ", ".join(urls)
        self._timeout_s = timeout_s
        headers = HttpHeaders({"user-agent": USER_AGENT, **_JSON})
        if authorization:
            headers["authorization"] = authorization
        nodes = [
            _node(url, tls or TlsOptions(), headers=headers, connections_per_node=at_once, request_timeout=timeout_s)
            for url in urls
        ]
        self._sockets = OpenSockets()
        self.api = _Api(self, nodes, node_class or paced_node_class(self._sockets))

    def request(self, method: str, target: str, body: bytes, headers: Mapping[str, str], *, events: int = 0) -> HttpAnswer:
        """Sends a body as it is to the next node.

        Args:
            method: Of HTTP.
            target: Path and query.
            body: The body.
            headers: What is to be known of it.
            events: How many events it holds: for each the answer may be longer.

        Raises:
            SinkUnavailable: There was no answer.
            SinkDenied: The server's certificate is not trusted, or ours is refused.
        """
        with room_for_answers_on(events):
            found = self.perform(method, target, body, headers)
        return HttpAnswer(found.meta.status, found.meta.headers, found.body or b"")

    def perform(self, method: str, target: str, body: Any, headers: Mapping[str, str]) -> TransportApiResponse:
        """Sends a request to the next node: bytes as they are, anything else as JSON. Raises as ``request``."""
        try:
            return self.api.transport.perform_request(
                method,
                target,
                body=body,
                headers=headers,
                max_retries=0,  # the engine retries
                retry_on_status=(),
            )
        except TransportError as exc:
            raise self._converted(exc) from exc

    def cut(self) -> None:
        """Ends all connections at once, from any thread, and makes no new ones."""
        self._sockets.cut()

    def close(self) -> None:
        """Closes the connections."""
        self.api.close()

    def _converted(self, exc: TransportError) -> SinkError:
        cause = root_of(exc)
        if isinstance(cause, TooSlow):
            return SinkUnavailable(f"{self._urls}: {cause}")
        if isinstance(exc, ConnectionTimeout):
            return SinkUnavailable(f"{self._urls}: no answer within {self._timeout_s:g} s")
        if isinstance(cause, ssl.SSLError):
            return sink_error(tls_failure(cause, _SERVER), f"{self._urls}: ")
        return SinkUnavailable(f"{self._urls}: {cause}")


class _Api(Elasticsearch):
    """The client with requests in plain JSON, and with answers in place of exceptions.

    By itself the client wants a media type with its version and a product header, so that it takes no answer of a server that is
    only compatible, or that stands behind a proxy which drops headers. Plain JSON is understood by 8.x and 9.x servers alike.
    """

    def __init__(self, connection: Connection, nodes: Sequence[NodeConfig], node_class: type[BaseNode]) -> None:
        super().__init__(nodes, node_class=node_class, serializers={mimetype: _AsIs() for mimetype in _MIMETYPES})
        self._connection = connection

    def perform_request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - they would ask for the versioned media type
        body: Any = None,
        endpoint_id: str | None = None,  # noqa: ARG002 - for traces
        path_parts: Mapping[str, Any] | None = None,  # noqa: ARG002 - for traces
    ) -> ApiResponse[Any]:
        query = "&".join(f"{name}={quote(_text(value), safe=',*')}" for name, value in (params or {}).items())
        found = self._connection.perform(method, f"{path}?{query}" if query else path, body, _JSON)
        return BinaryApiResponse(body=found.body or b"", meta=found.meta)


class _AsIs(Serializer):
    """Hands answers through as bytes, as most are never decoded, and bodies that are bytes, too; other bodies become JSON."""

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        return data if isinstance(data, bytes) else orjson.dumps(data)


_MIMETYPES = ("application/json", "application/x-ndjson", "application/vnd.elasticsearch+json", "text/*")


def authorization(api_key: str | None, username: str | None, password: str | None) -> str | None:
    """Returns the ``Authorization`` header for an API key (as ``encoded``, or as ``id:api_key``) or a user; None for neither."""
    if api_key:
        return f"ApiKey {_base64(api_key) if ':' in api_key else api_key}"
    if username:
        return f"Basic {_base64(f'{username}:{password}')}"
    return None


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _node(url: str, tls: TlsOptions, **options: Any) -> NodeConfig:
    node = url_to_node_config(url, use_default_ports_for_scheme=True)
    if node.scheme == "https":
        with as_sink_errors("elasticsearch."):
            options["ssl_context"] = client_context(tls, alpn=HTTP)
        options |= {"verify_certs": tls.verify, "ssl_show_warn": False}
    return node.replace(**options)


def _text(value: Any) -> str:
    """Returns the value of a query parameter as Elasticsearch writes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
