"""A fake receiver of events by HTTP: takes JSON in any layout, answers as it is told, and gives out tokens."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

Answer = tuple[int, bytes, dict[str, str]]
Judge = Callable[["Came"], Answer | None]
"""Answers a request in place of the receiver; None lets it take the events."""


class Came:
    """A request.

    Attributes:
        method: Of HTTP.
        target: Path and query.
        headers: By name in lower case.
        body: Without its content encoding.
    """

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body

    def events(self) -> list[Any]:
        """Returns the events in the body, whatever its layout."""
        text = self.body.strip()
        if text.startswith(b"["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines()]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_which: Any) -> None:
        """Says nothing of connections that the other side breaks off, as tests do."""


class FakeReceiver:
    """Takes events at every path but ``/token``, from the ``with`` statement to its end.

    Attributes:
        came: Requests with a method that brings events.
        taken: Events that it has.
        log_ins: Bodies of requests for a token, as forms, with the client's id and secret.
        judge: Answers in its place.
        asked: Methods of all requests but those for a token.
        tokens: Tokens to give out, one after the other; the last one again and again.
        expires_in: Lifetime of a token in seconds, as it is told.
    """

    def __init__(self, judge: Judge | None = None) -> None:
        self.came: list[Came] = []
        self.asked: list[str] = []
        self.taken: list[Any] = []
        self.log_ins: list[dict[str, str]] = []
        self.judge = judge
        self.tokens = ["token-1", "token-2", "token-3"]
        self.expires_in: Any = 3600
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeReceiver:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, came: Came) -> Answer:
        """Takes the events of a request, or does as ``judge`` says."""
        with self._lock:
            if came.target.startswith("/token"):
                return self._token(came)
            self.asked.append(came.method)
            if came.method in ("OPTIONS", "HEAD"):
                return (self.judge(came) if self.judge else None) or (204, b"", {})
            self.came.append(came)
            if self.judge and (told := self.judge(came)):
                return told
            self.taken += came.events()
            return 200, b"", {}

    def _token(self, came: Came) -> Answer:
        form = {name: values[0] for name, values in parse_qs(came.body.decode()).items()}
        if basic := came.headers.get("authorization", "").removeprefix("Basic "):
            name, _colon, secret = base64.b64decode(basic).decode().partition(":")
            form |= {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}
        self.log_ins.append(form)
        if form.get("client_secret") != "s3cret+/ü":
            return 401, b'{"error": "invalid_client", "error_description": "no such client"}', {}
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        return 200, json.dumps(body).encode(), {"content-type": "application/json"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms for the other side to acknowledge its headers

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                if len(body := self.rfile.read(length)) < length:
                    return  # the other side has ended in the middle
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, said, more = owner.answer(Came(self.command, self.path, headers, body))
                self.send_response(status)
                for name, value in {"content-length": str(len(said)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(said)

            do_PUT = do_PATCH = do_OPTIONS = do_HEAD = do_POST  # noqa: N815 - the names that the server looks for

            def log_message(self, *_args: Any) -> None:
                return

        return Handler
