"""The requests of the sink: the headers that it was told to send, its log-in, and the connections to its servers."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.posting.client_credentials import Client, ClientCredentials
from ualpipe.clients.posting.compression import gzipped
from ualpipe.clients.posting.poster import Poster
from ualpipe.clients.tls import tls_of
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.errors import SinkDenied
from ualpipe.pipeline.redaction import hide
from ualpipe.sinks.http.bodies import CONTENT_TYPES
from ualpipe.sinks.http.options import HttpSinkConfig, server_of, target_of


class Requests:
    """Sends bodies to the servers of a sink. Thread-safe."""

    def __init__(self, config: HttpSinkConfig, clock: Clock) -> None:
        """Reads the files of the TLS options; sends nothing yet.

        Raises:
            SinkDenied: One of them, or the proxy's address, can't be used.
        """
        self._config = config
        self._fixed = {"content-type": CONTENT_TYPES[config.format], **{n.lower(): v for n, v in config.headers.items()}}
        with as_sink_errors("http."):
            self._poster = self._to(config.servers)
            self._tokens = self._client_credentials(clock)

    def ask(self, method: str, body: bytes) -> HttpAnswer:
        """Sends a request to the next server; where its token is refused, once more with another one.

        Raises:
            SinkUnavailable: There was no answer.
            SinkDenied: Somebody has to act: a certificate, a header or the log-in is refused.
            SinkThrottled: The log-in is to wait.
        """
        headers = self._headers()
        if self._config.compression == "gzip" and body:
            body, headers["content-encoding"] = gzipped(body), "gzip"
        with as_sink_errors():
            if self._tokens is None:
                return self._poster.send(method, self._config.target, body, headers)
            token = self._tokens.get()
            answer = self._send_with(token, method, body, headers)
            return self._send_with(self._tokens.renew(token), method, body, headers) if answer.status == 401 else answer

    def cut(self) -> None:
        """Ends all connections at once, from any thread."""
        self._poster.cut()
        if self._tokens is not None:
            self._tokens.cut()

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()
        if self._tokens is not None:
            self._tokens.close()

    def _send_with(self, token: str, method: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        return self._poster.send(method, self._config.target, body, {**headers, "authorization": f"Bearer {token}"})

    def _headers(self) -> dict[str, str]:
        """Returns the headers as they are now: secrets are as new as their files."""
        config = self._config
        found = dict(self._fixed)
        for name, secret in config.secret_headers.items():
            found[name.lower()] = secret.reveal()
        if config.bearer_token:
            found["authorization"] = f"Bearer {config.bearer_token.reveal()}"
        if config.username and config.password:
            value = base64.b64encode(f"{config.username}:{config.password.reveal()}".encode()).decode()
            hide(value)
            found["authorization"] = f"Basic {value}"
        for name, value in found.items():
            if not (value.isascii() and value.isprintable()):
                raise SinkDenied(f"the header {name} holds a line break or another character that no header holds: copy it anew")
        return found

    def _to(self, servers: list[str]) -> Poster:
        config = self._config
        return Poster(servers, tls=tls_of(config), proxy=config.proxy_url, timeout_s=config.timeout, at_once=config.concurrency)

    def _client_credentials(self, clock: Clock) -> ClientCredentials | None:
        if (oauth := self._config.oauth) is None:
            return None
        client = Client(
            id=oauth.client_id,
            secret=oauth.client_secret,
            scope=oauth.scope,
            audience=oauth.audience,
            sends=oauth.sends,
        )
        return ClientCredentials(self._to([server_of(oauth.token_url)]), target_of(oauth.token_url), client, clock)
