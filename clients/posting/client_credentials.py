"""Access tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), kept until shortly before they expire."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.bounds import bounded_number
from ualpipe.clients.errors import ClientError, Refused, Throttled, Unreachable
from ualpipe.clients.posting.poster import Poster
from ualpipe.clients.retry_after import cut_wait, retry_after_s
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.options import Secret
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.redaction import hide
from ualpipe.pipeline.wording import LONGEST_READ, shorten

EARLY_S = 60.0
"""How long before its end a token is renewed."""
SHORT_LIFETIME_S = 600.0
"""Of a token that does not tell its lifetime, which is optional."""
LONGEST_LIFETIME_S = 86400.0
"""Longest lifetime that is believed."""
LONGEST_TOKEN = 16 * 1024
"""Characters of a token: it goes into a header, and servers take no longer ones."""
KEPT_SECRET = 3
"""Tokens that are blanked in texts: a server may still repeat the one before."""
_MOST_ANSWER_BYTES = 64 * 1024
_MAX_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks for a token, and for which.

    Attributes:
        id: Of the client.
        secret: Of the client.
        scope: Scopes, with blanks between; None for what the server gives by itself.
        audience: Whom the token is for, where the server wants to know.
        sends: Where id and secret go: into a header, or into the body.
    """

    id: str
    secret: Secret
    scope: str | None = None
    audience: str | None = None
    sends: Literal["basic", "body"] = "basic"


class ClientCredentials:
    """Tokens of one client. Thread-safe; one log-in at a time. The secret is read from its file at each log-in."""

    def __init__(self, poster: Poster, target: str, client: Client, clock: Clock) -> None:
        """Asks for nothing yet.

        Args:
            poster: Leads to the server of the token endpoint.
            target: Path and query of the token endpoint.
            client: Who asks.
            clock: Times renewals.
        """
        self._poster = poster
        self._target = target
        self._client = client
        self._clock = clock
        self._latest = ""
        self._renew_at = 0.0
        self._former: deque[str] = deque(maxlen=KEPT_SECRET)
        self._lock = threading.Lock()

    def get(self) -> str:
        """Returns a token that is good for a while.

        Raises:
            Refused: The server refuses the client.
            Throttled, Unreachable: It gives no token for now.
        """
        with self._lock:
            return self._got()

    def renew(self, refused: str) -> str:
        """Returns another token than the one that was refused; of several threads, one logs in. Raises as ``get``."""
        with self._lock:
            if self._latest == refused:
                self._latest = ""
            return self._got()

    def cut(self) -> None:
        """Ends a log-in at once, from any thread; there are no new ones."""
        self._poster.cut()

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _got(self) -> str:
        if not self._latest or self._clock.monotonic() >= self._renew_at:
            self._log_in()
        return self._latest

    def _log_in(self) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        asked = {"grant_type": "client_credentials", "scope": self._client.scope, "audience": self._client.audience}
        name, secret = self._client.id, self._client.secret.reveal()
        if self._client.sends == "basic":
            headers["authorization"] = _basic(name, secret)
        else:
            asked |= {"client_id": name, "client_secret": secret}
        body = urlencode({key: value for key, value in asked.items() if value is not None}).encode()
        answer = self._poster.send("POST", self._target, body, headers, most_bytes=_MOST_ANSWER_BYTES)
        if not answer.is_ok:
            raise self._refusal(answer)
        found = _decoded(answer.body)
        self._latest = self._token_of(found)
        lifetime_s = bounded_number(found.get("expires_in"), 0.0, LONGEST_LIFETIME_S, SHORT_LIFETIME_S)
        self._renew_at = self._clock.monotonic() + lifetime_s - min(EARLY_S, lifetime_s / 2)

    def _token_of(self, found: Mapping[str, Any]) -> str:
        token, kind = found.get("access_token"), found.get("token_type", "bearer")
        if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN or not (token.isascii() and token.isprintable()):
            raise Unreachable(f"{self._where}: the answer holds no access token: is this the token endpoint?")
        hide(token, instead_of=self._outlived(token))
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise Refused(f"{self._where}: the token is of another type than Bearer")
        self._former.append(token)
        return token

    def _outlived(self, token: str) -> str:
        """Returns a token that has expired long ago, and need not be blanked any more."""
        outlived = self._former[0] if len(self._former) == KEPT_SECRET else ""
        return outlived if outlived != token and token not in self._former else ""

    def _refusal(self, answer: HttpAnswer) -> ClientError:
        text = f"{self._where}: {_said(answer)}"
        if answer.status == 429:
            now = self._clock.now()
            return Throttled(f"{text}{cut_wait(answer.headers, now)}", retry_after_s(answer.headers, now))
        if answer.status >= 500 or answer.status == 408:
            return Unreachable(text)
        return Refused(f"{text}: check `oauth`: `token_url`, `client_id`, `client_secret`, `scope` and `sends`")

    @property
    def _where(self) -> str:
        return f"log-in at {self._poster.servers[0]}"


def _basic(name: str, secret: str) -> str:
    """Returns the header of a client's log-in, which is form-encoded first (RFC 6749 §2.3.1)."""
    value = base64.b64encode(f"{quote_plus(name)}:{quote_plus(secret)}".encode()).decode()
    hide(value)
    return f"Basic {value}"


def _said(answer: HttpAnswer) -> str:
    found = _decoded(answer.body)
    words = [value for name in ("error", "error_description") if isinstance(value := found.get(name), str)]
    text = ": ".join(words) or answer.body[:LONGEST_READ].decode("utf-8", "replace")
    return f"HTTP {answer.status} {shorten(text, _MAX_REASON)}".rstrip()


def _decoded(body: bytes) -> Mapping[str, Any]:
    with suppress(UnreadableJson):
        return read_object(body)
    return {}
