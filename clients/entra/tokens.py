"""Access tokens of Entra ID, by msal: client secret or certificate, kept until shortly before they expire."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msal
import orjson
import requests

from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.bounds import bounded_number
from ualpipe.clients.entra.api import Api
from ualpipe.clients.entra.login_errors import login_error
from ualpipe.clients.errors import ClientError, Refused
from ualpipe.clients.http import MOST_ANSWER_BYTES, Session, unreachable
from ualpipe.clients.urls import difference, is_served_by, shown_host
from ualpipe.pipeline.clock import Clock
from ualpipe.pipeline.credentials.certificate import read_certificate
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.errors import SourceDenied
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_json
from ualpipe.pipeline.redaction import hide

EARLY_S = 300.0
"""How long before its end a token is renewed."""
RETRY_S = 30.0
"""How long after a failed renewal the next is tried, while the token is still good."""
LONGEST_LIFETIME_S = 86400.0
"""Longest lifetime that is believed: with an older token the API answers 401, which is no reason to ask for none until then."""
KEPT_SECRET = 3
"""Tokens of an app that are blanked in texts: a service may still repeat the one before."""
_MSAL_ERRORS = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError, msal.exceptions.MsalError)
"""Of msal: ValueError for a refused or senseless discovery, LookupError for a half one, TypeError, AttributeError and
OverflowError for values of other types and sizes in an answer, the others for a 5xx."""
SHORT_LIFETIME_S = 600.0  # of a token that does not tell its lifetime


@dataclass(frozen=True, slots=True)
class _Proof:
    """What the app proves itself with, in msal's form."""

    credential: str | dict[str, str] = field(repr=False)


class Tokens:
    """Tokens of one app in one tenant for one API. Thread-safe; one login at a time.

    Secret and certificate are read from their files at each login, so that what is replaced on disk is taken up without a
    restart: at the next renewal, or at once where the service refuses what there was before.
    """

    def __init__(
        self, credential: Credential, authority: str, api: Api, session: Session, clock: Clock, log: logging.Logger
    ) -> None:
        """Asks for nothing yet.

        Args:
            credential: The app that signs in, complete (``app_registration``).
            authority: URL of the tenant at the login service (``https://login.microsoftonline.com/TENANT``).
            api: What the tokens are for.
            session: Carries the requests; stays open.
            clock: Times renewals.
            log: Gets a line when a renewal fails.
        """
        self._credential = credential
        self._authority = authority
        self._api = api
        self._http = _RememberingHttp(session, authority)
        self._clock = clock
        self._log = log
        self._app: msal.ConfidentialClientApplication | None = None
        self._proof_of_app: _Proof | None = None
        self._latest = ""
        self._former: deque[str] = deque(maxlen=KEPT_SECRET)
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._has_warned = False
        self._lock = threading.RLock()

    def get(self) -> str:
        """Returns a token that is good for some minutes at least, or for less while the login service gives no other.

        Raises:
            Refused: The login service refuses the app; says why and where to mend it. Or a file of its certificate can't be used.
            Throttled, Unreachable: The login service gives no answer for now.
        """
        with self._lock:
            now = self._clock.monotonic()
            if not self._latest or now >= self._ends_at:
                self._log_in()
            elif now >= self._renew_at:
                self._renew_early(now)
            return self._latest

    def renew(self, refused: str) -> str:
        """Returns another token than the one that the API refused; of several threads, one logs in.

        Raises:
            ClientError: As ``get``.
        """
        with self._lock:
            if self._latest == refused:
                self._latest = ""
            return self.get()

    def _renew_early(self, now: float) -> None:
        """Renews a token that is still good; a failure is logged, and does no harm yet."""
        try:
            self._log_in()
        except ClientError as exc:
            self._renew_at = now + RETRY_S
            level = logging.DEBUG if self._has_warned else logging.WARNING
            self._log.log(level, "the token can't be renewed; it is good for %.0f s more: %s", self._ends_at - now, exc)
            self._has_warned = True

    def _log_in(self) -> None:
        """Gets a token from the login service; at the second try where the files were replaced during the first."""
        proof = self._proof()
        try:
            result = self._ask(proof)
        except Refused:
            if (replaced := self._proof()) == proof:
                raise
            result = self._ask(replaced)
        lifetime_s = bounded_number(result.get("expires_in"), 0.0, LONGEST_LIFETIME_S, SHORT_LIFETIME_S)
        self._latest = self._hidden(result["access_token"])
        self._ends_at = self._clock.monotonic() + lifetime_s
        self._renew_at = self._ends_at - min(EARLY_S, lifetime_s / 2)
        self._has_warned = False

    def _hidden(self, token: str) -> str:
        """Makes a token a secret in place of one that has expired long ago."""
        outlived = self._former[0] if len(self._former) == KEPT_SECRET else ""
        hide(token, instead_of=outlived if outlived != token else "")
        self._former.append(token)
        return token

    def _ask(self, proof: _Proof) -> dict[str, Any]:
        what = f"login of app {self._credential.client_id} at {self._authority}"
        app, self._app = self._app, None  # after a failure a new one: msal's app keeps failed answers, and repeats them unasked
        try:
            if app is None or proof != self._proof_of_app:
                app = self._make_app(proof)
            app.remove_tokens_for_client()  # msal would answer with the old token, by a clock of its own
            result: dict[str, Any] = app.acquire_token_for_client([self._api.scope])
        except requests.RequestException as exc:
            raise unreachable(exc, what) from exc
        except _MSAL_ERRORS as exc:
            raise login_error(self._http.last, what, self._api, self._clock.now()) from exc
        token = result.get("access_token")
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):  # it goes into a header
            raise login_error(self._http.last, what, self._api, self._clock.now())
        self._app, self._proof_of_app = app, proof
        return result

    def _make_app(self, proof: _Proof) -> msal.ConfidentialClientApplication:
        self._http.last = HttpAnswer(0, {}, b"")
        # Without instance discovery: the authority is the config's, and national clouds may not reach the public one.
        return msal.ConfidentialClientApplication(
            self._credential.client_id,
            client_credential=proof.credential,
            authority=self._authority,
            instance_discovery=False,
            http_client=self._http,
        )

    def _proof(self) -> _Proof:
        """Returns what the app proves itself with, as it is on disk now."""
        if self._credential.client_secret:
            return _Proof(self._credential.client_secret.reveal())
        assert self._credential.certificate is not None  # `app_registration` has seen to it
        try:
            pair = read_certificate(self._credential.certificate)
        except SourceDenied as exc:  # whoever signs in, a sink too
            raise Refused(str(exc)) from exc
        # With the certificate itself, and no thumbprint, msal signs with PS256 and names it by SHA-256.
        return _Proof({"private_key": pair.private_key, "public_certificate": pair.certificate})


class _RememberingHttp:
    """What msal needs of an HTTP client. Keeps the last answer, of which msal's errors tell only a part.

    msal sends the secret where the discovery document says; here nothing is sent to another server than the authority's.
    """

    def __init__(self, session: Session, authority: str) -> None:
        self._session = session
        self._authority = authority
        self.last = HttpAnswer(0, {}, b"")

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        self._see_whose(url)
        return self._remember(self._session.get(url, allow_redirects=False, **kwargs))

    def post(self, url: str, **kwargs: Any) -> requests.Response:
        self._see_whose(url)
        return self._remember(self._session.post(url, allow_redirects=False, **kwargs))

    def _see_whose(self, url: str) -> None:
        """Refuses a URL that is not of the authority's server.

        Raises:
            Refused: Nothing was sent.
        """
        if not is_served_by(self._authority, url):
            raise Refused(
                f"the login service at {self._authority} names the address {shown_host(url)}, which is not its own: nothing"
                f" was sent there: {difference(self._authority, url)}; check `cloud`"
            )

    def close(self) -> None:
        """Leaves the session open: it is not ours."""

    def _remember(self, response: requests.Response) -> requests.Response:
        body = b""
        with contextlib.suppress(requests.RequestException):
            body = response.content
        _tidy(response, body)
        # A good answer holds a token and is not kept.
        self.last = HttpAnswer(response.status_code, response.headers, b"" if response.ok else body)
        return response


def _tidy(response: requests.Response, body: bytes) -> None:
    """Leaves msal nothing to decode that would surprise it: JSON within bounds, in UTF-8, which is not guessed; else nothing."""
    response.encoding = "utf-8"
    try:
        response._content = orjson.dumps(read_json(body, most_bytes=MOST_ANSWER_BYTES))  # noqa: SLF001 - it has no setter
    except UnreadableJson:
        response._content = b""  # noqa: SLF001
