"""The HTTP Event Collector as the sink speaks to it: one method a path."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.errors import as_sink_errors
from ualpipe.clients.posting.compression import gzipped
from ualpipe.clients.posting.poster import Poster
from ualpipe.clients.tls import tls_of
from ualpipe.pipeline.errors import SinkUnavailable
from ualpipe.pipeline.redaction import hide
from ualpipe.sinks.splunk_hec.answers import acknowledged, read
from ualpipe.sinks.splunk_hec.options import SplunkHecSinkConfig

EVENTS, ACKS, HEALTH = "/services/collector/event", "/services/collector/ack", "/services/collector/health"
MOST_ANSWER_BYTES = 64 * 1024


class Collector:
    """Sends requests to the collectors of the config. Thread-safe."""

    def __init__(self, config: SplunkHecSinkConfig) -> None:
        """Reads the files of the TLS options; sends nothing yet.

        Raises:
            SinkDenied: One of them, or the proxy's URL, can't be used.
        """
        self._token = config.token
        self._hidden = ""
        self._is_compressed = config.compression == "gzip"
        with as_sink_errors():
            self._poster = Poster(
                config.urls,
                tls=tls_of(config),
                proxy=config.proxy.reveal() if config.proxy else None,
                timeout_s=config.timeout,
                at_once=config.concurrency + 1,
                keeps_cookies=True,
            )

    @property
    def servers(self) -> Sequence[str]:
        """Base URLs of the collectors."""
        return self._poster.servers

    def send(self, body: bytes, channel: str, server: str | None = None) -> HttpAnswer:
        """Sends events; returns the answer, whatever it is.

        Raises:
            ClientError: There was none; ``NotConnected`` where nothing was sent.
        """
        headers = {"content-type": "application/json"}
        if self._is_compressed and body:
            body, headers["content-encoding"] = gzipped(body), "gzip"
        return self._request("POST", EVENTS, body, {**headers, "x-splunk-request-channel": channel}, server)

    def ask_acks(self, server: str | None, channel: str, numbers: Sequence[int]) -> HttpAnswer:
        """Asks which requests are acknowledged; returns the answer, whatever it is.

        Raises:
            ClientError: There was none.
        """
        headers = {"content-type": "application/json", "x-splunk-request-channel": channel}
        return self._request("POST", f"{ACKS}?channel={channel}", orjson.dumps({"acks": list(numbers)}), headers, server)

    def acknowledged(self, server: str, channel: str, numbers: Sequence[int]) -> frozenset[int]:
        """Returns which requests are acknowledged. Each is told once.

        Raises:
            SinkError: There was no answer, or it does not say.
        """
        with as_sink_errors():
            answer = self.ask_acks(server, channel, numbers)
        try:
            if answer.is_ok:
                return acknowledged(answer.body, numbers)
        except ValueError:
            pass  # not Splunk's answer
        raise SinkUnavailable(f"{server}: asked for acknowledgements, it answers {read(answer).text}")

    def health(self, server: str) -> HttpAnswer:
        """Asks a collector how it is; returns the answer, whatever it is.

        Raises:
            ClientError: There was none.
        """
        return self._request("GET", HEALTH, b"", {}, server)

    def cut(self) -> None:
        """Ends all connections at once, for good."""
        self._poster.cut()

    def close(self) -> None:
        """Closes the connections. Safe twice."""
        self._poster.close()

    def _request(self, method: str, target: str, body: bytes, headers: dict[str, str], server: str | None) -> HttpAnswer:
        authorization = f"Splunk {self._token.reveal()}"
        if authorization != self._hidden:
            hide(authorization)
            self._hidden = authorization
        return self._poster.send(
            method, target, body, {"authorization": authorization, **headers}, server=server, most_bytes=MOST_ANSWER_BYTES
        )
