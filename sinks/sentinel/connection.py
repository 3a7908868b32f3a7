"""The connection to the Logs Ingestion API: tokens, and requests with them. Imports slow libraries."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.entra.tokens import Tokens
from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.http import Adapter, Session, make_session
from ualpipe.clients.posting.poster import Poster
from ualpipe.clients.tls import TlsOptions
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.stages import Env
from ualpipe.sinks.sentinel.clouds import cloud_of

if TYPE_CHECKING:
    from ualpipe.sinks.sentinel.options import SentinelSinkConfig

_API_VERSION = "2023-01-01"


class Connection:
    """Signs in, and sends bodies to the streams of one data collection rule. Thread-safe."""

    def __init__(self, session: Session, poster: Poster, tokens: Tokens, dcr: str) -> None:
        self._session = session
        self._poster = poster
        self._tokens = tokens
        self._dcr = dcr

    def log_in(self) -> str:
        """Returns a token.

        Raises:
            SinkDenied: The login service refuses the app, or a file of its certificate can't be used.
            SinkUnavailable, SinkThrottled: The login service gives no answer for now.
        """
        with as_sink_errors():
            return self._tokens.get()

    def post(self, stream: str, body: bytes, encoding: str = "") -> HttpAnswer:
        """Sends a body to a stream, and sends it again with a new token where the first was refused.

        Args:
            stream: Name of the stream.
            body: An array of rows, as it is sent.
            encoding: How it is compressed; empty for not at all.

        Raises:
            SinkError: No answer came.
        """
        with as_sink_errors():
            token = self._tokens.get()
            answer = self._send(stream, body, encoding, token)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                answer = self._send(stream, body, encoding, self._tokens.renew(token))
            return answer

    def _send(self, stream: str, body: bytes, encoding: str, token: str) -> HttpAnswer:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if encoding:
            headers["Content-Encoding"] = encoding
        target = f"/dataCollectionRules/{self._dcr}/streams/{stream}?api-version={_API_VERSION}"
        return self._poster.send("POST", target, body, headers)

    def cut(self) -> None:
        """Ends all connections at once, from any thread, and makes no new ones."""
        self._session.cut()
        self._poster.cut()

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()
        self._poster.close()


def connect(config: SentinelSinkConfig, credential: Credential, env: Env, adapter: Adapter | None = None) -> Connection:
    """Makes a connection; sends nothing yet.

    Args:
        config: Options of the sink.
        credential: The app that signs in.
        env: Clock and log of the sink.
        adapter: Takes the place of the network to the login service, for tests.

    Raises:
        SinkDenied: The CA file, or the proxy's URL, can't be used.
    """
    cloud = cloud_of(config.cloud)
    tls = TlsOptions(ca_file=config.ca_file)
    proxy = config.proxy.reveal() if config.proxy else None
    with as_sink_errors():
        session = make_session(tls, proxy=proxy, read_timeout_s=config.timeout, pool_size=1, adapter=adapter)
        poster = Poster(
            [config.endpoint.rstrip("/")],
            tls=tls,
            proxy=proxy,
            timeout_s=config.timeout,
            at_once=config.concurrency,
            option="endpoint",
        )
    authority = f"{cloud.authority}/{config.tenant_id.lower()}"
    tokens = Tokens(credential, authority, cloud.token_for, session, env.clock, env.log)
    return Connection(session, poster, tokens, config.dcr)
