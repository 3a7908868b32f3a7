"""Options of the ``http`` sink."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ualpipe.clients.pace import REQUEST_TIMEOUT
from ualpipe.clients.tls import CA_FILE, CLIENT_CERTIFICATE, CLIENT_KEY, CLIENT_KEY_PASSWORD, VERIFY
from ualpipe.clients.urls import PROXY
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Duration, Secret, Size, is_loopback, option
from ualpipe.sinks.http.headers import see_to_headers

Format = Literal["ndjson", "json_array", "single"]
Question = Literal["options", "head", "empty", "none"]

_URL = r"^https?://[^@/?#\s]+(/[^#\s]*)?(\?[^#\s]*)?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthOptions:
    """Log-in by OAuth 2.0 client credentials (RFC 6749 §4.4)."""

    token_url: str = option(
        "Token endpoint; https, unless on this machine.",
        pattern=_URL,
        examples=["https://login.contoso.example/oauth2/token"],
    )
    client_id: str = option("Id of the client.", minLength=1)
    client_secret: Secret = option("Its secret.")
    scope: str | None = option("Scopes to ask for, with blanks between.", default=None, minLength=1)
    audience: str | None = option("Audience to ask for, where the server wants one.", default=None, minLength=1)
    sends: Literal["basic", "body"] = option(
        "How id and secret are sent: in the header `Authorization`, or in the body as `client_id` and `client_secret`.",
        default="basic",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSinkConfig:
    """Options of the ``http`` sink."""

    url: str | list[str] = option(
        "Where requests go. Of several, which differ in scheme, host and port alone, each is used in turn, and one that can't be "
        "reached is passed over for half a minute.",
        examples=["https://logs.contoso.example/insert/jsonline?_time_field=@timestamp"],
    )
    method: Literal["POST", "PUT", "PATCH"] = option("Method of the requests.", default="POST")
    format: Format = option(
        "What a request holds: an event a line (`ndjson`), a JSON array of events (`json_array`), or one event (`single`).",
        default="ndjson",
    )
    payload: Literal["ecs", "original"] = option("What an event is: the ECS document, or the record as received.", default="ecs")
    headers: dict[str, str] = option(
        "Headers of each request, by name. `Content-Type` takes the place of the one that the format has.",
        default={},
        examples=[{"X-Scope-OrgID": "contoso"}],
    )
    secret_headers: dict[str, Secret] = option(
        "Headers whose values are secrets (`X-API-Key`), by name: blanked in all that is shown, and as new as their file.",
        default={},
    )
    bearer_token: Secret | None = option("Token for `Authorization: Bearer`.", default=None)
    username: str | None = option("User, in place of a token (`Authorization: Basic`).", default=None)
    password: Secret | None = option("Password of the user.", default=None)
    oauth: OAuthOptions | None = option("Log-in by OAuth client credentials, in place of a token.", default=None)
    success_statuses: list[int] | None = option(
        "HTTP statuses that say that all events were taken; by default 200 to 299.",
        default=None,
        anyOf=[
            {"type": "null"},
            {"type": "array", "items": {"type": "integer", "minimum": 200, "maximum": 599}, "minItems": 1},
        ],
    )
    success_pointer: str | None = option(
        "JSON pointer to a value of the answer that says so, for servers that answer 200 with an error inside.",
        default=None,
        pattern=r"^(/([^~/]|~[01])*)+$",
        examples=["/code"],
    )
    success_value: str | int | bool | None = option("The value that has to stand there.", default=None, examples=[0])
    compression: Literal["none", "gzip"] = option("How requests are compressed.", default="none")
    max_events: int = option("Events in one request at most.", default=1000, minimum=1, maximum=100_000)
    max_body_bytes: Size = option(
        "Largest body of a request, before compression. An event that is larger by itself is dead-lettered.", default="1MiB"
    )
    concurrency: int = option(
        "Requests that are under way at once. With more than one, events may overtake each other.",
        default=2,
        minimum=1,
        maximum=32,
    )
    probe: Question = option(
        "What `ualpipe check --live` asks: OPTIONS or HEAD for `url`, the method with a body that holds no event (`empty`: for "
        "receivers that take one), or nothing.",
        default="options",
    )
    timeout: Duration = option(REQUEST_TIMEOUT, default="60s")
    ca_file: Path | None = option(CA_FILE, default=None, reads=True)
    client_certificate: Path | None = option(CLIENT_CERTIFICATE, default=None, reads=True)
    client_key: Path | None = option(CLIENT_KEY, default=None, reads=True)
    client_key_password: Secret | None = option(CLIENT_KEY_PASSWORD, default=None)
    verify: bool = option(VERIFY, default=True)
    proxy: Secret | None = option(PROXY, default=None)

    def __post_init__(self) -> None:
        """Refuses options that exclude one another or have no use alone. No text holds an address, which may be a key."""
        if not self.urls or not all(re.fullmatch(_URL, url) for url in self.urls):
            raise ConfigError(
                "http: `url` is no address: write https://HOST, or http://HOST, with port, path and query, without user or #"
            )
        see_to_headers(self.headers, self.secret_headers, has_log_in=bool(self.bearer_token or self.username or self.oauth))
        if len({target_of(url) for url in self.urls}) > 1:
            raise ConfigError("http: the addresses in `url` may differ in scheme, host and port alone: their paths do")
        if bool(self.username) != bool(self.password):
            raise ConfigError("http: `username` and `password` belong together")
        if sum(map(bool, (self.bearer_token, self.username, self.oauth))) > 1:
            raise ConfigError("http: give one of `bearer_token`, `username` with `password`, and `oauth`")
        if (self.success_pointer is None) != (self.success_value is None):
            raise ConfigError("http: `success_pointer` and `success_value` belong together")
        if self.probe == "empty" and self.format == "single":
            raise ConfigError("http: `format: single` has no request without an event: give another `probe`")
        if self.oauth and not _is_protected(self.oauth.token_url):
            raise ConfigError("http.oauth.token_url: the secret would go out in clear: give an address that begins with https://")

    @property
    def urls(self) -> list[str]:
        """All addresses."""
        return [self.url] if isinstance(self.url, str) else list(self.url)

    @property
    def servers(self) -> list[str]:
        """Scheme, host and port of each address: what is shown of them, as path and query may hold a key."""
        return [server_of(url) for url in self.urls]

    @property
    def target(self) -> str:
        """Path and query of the address."""
        return target_of(self.urls[0])

    @property
    def proxy_url(self) -> str | None:
        """The proxy's address itself."""
        return self.proxy.reveal() if self.proxy else None


def server_of(url: str) -> str:
    """Returns scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def target_of(url: str) -> str:
    """Returns path and query of an address."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _is_protected(url: str) -> bool:
    """Returns whether nobody on the way can read what goes to an address."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
