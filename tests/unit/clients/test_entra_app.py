"""Which credentials one can sign in with, and where: for any client of Entra ID."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ualpipe.clients.entra.app import app_registration
from ualpipe.clients.entra.clouds import AUTHORITIES
from ualpipe.pipeline.credentials.options import Certificate, Credential
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Secret

KEY, PUBLIC, PFX = Path("key.pem"), Path("cert.pem"), Path("app.pfx")


def certificate(**files: Path) -> Certificate:
    parts: dict[str, Any] = dict.fromkeys(("pfx", "private_key", "public", "passphrase"))
    return Certificate(**{**parts, **files})


def app(secret: str | None, files: Certificate | None = None) -> Credential:
    return Credential(client_id="app", client_secret=Secret(secret) if secret else None, certificate=files)


@pytest.mark.parametrize(
    "credential", [app("secret"), app(None, certificate(pfx=PFX)), app(None, certificate(private_key=KEY, public=PUBLIC))]
)
def test_a_secret_or_a_whole_certificate_is_enough(credential: Credential) -> None:
    assert app_registration({"app": credential}, "app", "sinks.lake.credential") is credential


def test_a_credential_that_is_not_there_is_named_with_the_option_that_wants_it() -> None:
    with pytest.raises(ConfigError, match=r"^sinks\.lake\.credential: there is no 'app' under credentials$"):
        app_registration({}, "app", "sinks.lake.credential")


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (app(None), "give either client_secret or certificate"),
        (app("secret", certificate(pfx=PFX)), "give either client_secret or certificate"),
        (app(None, certificate(private_key=KEY)), "give either pfx, or private_key and public"),
        (app(None, certificate(pfx=PFX, private_key=KEY, public=PUBLIC)), "give either pfx, or private_key and public"),
    ],
)
def test_half_a_proof_or_two_of_them_are_refused(credential: Credential, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^credentials\.app.*{words}"):
        app_registration({"app": credential}, "app", "sinks.lake.credential")


def test_national_clouds_sign_in_at_home() -> None:
    assert set(AUTHORITIES) == {"commercial", "gcc", "gcc_high", "dod"}
    assert AUTHORITIES["dod"] != AUTHORITIES["commercial"] == AUTHORITIES["gcc"]
