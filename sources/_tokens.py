"""Access tokens for the Management Activity API, by msal: client secret or certificate, kept until shortly before they expire."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import msal
import requests

from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.credentials import Credential
from ualpipe.sources._certificates import read_certificate
from ualpipe.sources._clouds import Cloud
from ualpipe.sources._errors import Answer
from ualpipe.sources._http import Session, unreachable
from ualpipe.sources._login_errors import login_error


class Tokens:
    """Tokens of one app in one tenant. Thread-safe; one login at a time."""

    def __init__(self, credential: Credential, cloud: Cloud, tenant_id: str, session: Session, clock: Clock) -> None:
        self._credential = credential
        self._cloud = cloud
        self._authority = f"{cloud.authority}/{tenant_id}"
        self._http = _RememberingHttp(session)
        self._clock = clock
        self._app: msal.ConfidentialClientApplication | None = None
        self._latest = ""
        self._lock = threading.RLock()

    def get(self) -> str:
        """Returns a token that is good for some minutes at least.

        Raises:
            SourceDenied: The login service refuses the app; says why and where to mend it.
            SourceThrottled, SourceUnavailable: No answer, for now.
        """
        with self._lock:
            self._latest = self._acquire()
            return self._latest

    def renew(self, refused: str) -> str:
        """Returns another token than the one that the API refused; of several threads, one logs in."""
        with self._lock:
            if self._app and self._latest == refused:
                self._app.remove_tokens_for_client()
            return self.get()

    def _acquire(self) -> str:
        what = f"login of app {self._credential.client_id} at {self._authority}"
        try:
            self._app = self._app or self._make_app()
            result = self._app.acquire_token_for_client([self._cloud.scope])
        except requests.RequestException as exc:
            self._app = None
            raise unreachable(exc, what) from exc
        # msal: ValueError for a refused or senseless discovery, KeyError for a half one, the others for a 5xx.
        except (ValueError, KeyError, RuntimeError, msal.exceptions.MsalError) as exc:
            self._app = None
            raise login_error(self._http.last, what, self._clock.now()) from exc
        if "access_token" not in result:
            # A new app next time: this one keeps failed answers, and would repeat them without asking again.
            self._app = None
            raise login_error(self._http.last, what, self._clock.now())
        token: str = result["access_token"]
        return token

    def _make_app(self) -> msal.ConfidentialClientApplication:
        self._http.last = Answer(0, {}, b"")
        # Without instance discovery: the authority is the config's, and national clouds may not reach the public one.
        return msal.ConfidentialClientApplication(
            self._credential.client_id,
            client_credential=self._proof(),
            authority=self._authority,
            instance_discovery=False,
            http_client=self._http,
        )

    def _proof(self) -> str | dict[str, str]:
        if self._credential.client_secret:
            return self._credential.client_secret.reveal()
        assert self._credential.certificate is not None  # the constructor of the source has seen to it
        identity = read_certificate(self._credential.certificate)
        # With the certificate itself, and no thumbprint, msal signs with PS256 and names it by SHA-256.
        return {"private_key": identity.private_key, "public_certificate": identity.certificate}


class _RememberingHttp:
    """What msal needs of an HTTP client. Keeps the last answer, of which msal's errors tell only a part."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.last = Answer(0, {}, b"")

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        return self._remember(self._session.get(url, allow_redirects=False, **kwargs))

    def post(self, url: str, **kwargs: Any) -> requests.Response:
        return self._remember(self._session.post(url, allow_redirects=False, **kwargs))

    def close(self) -> None:
        """Leaves the session open: it is not ours."""

    def _remember(self, response: requests.Response) -> requests.Response:
        body = b""
        with contextlib.suppress(requests.RequestException):
            body = response.content
        # A good answer holds a token and is not kept.
        self.last = Answer(response.status_code, response.headers, b"" if response.ok else body)
        return response
