"""Notices that the secret or certificate of a credential was replaced on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.files import stamp_of
from ualpipe.pipeline.options import Secret

_Looks = tuple[object, ...]


class RotationWatch:
    """Compares the files of all credentials with what they were at the last look."""

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = credentials
        self._seen: dict[str, _Looks] = {}

    def look(self) -> bool:
        """Returns whether a file was replaced since the last look; False at the first look."""
        found = {name: _looks(credential) for name, credential in self._credentials.items()}
        is_changed = bool(self._seen) and found != self._seen
        self._seen = found
        return is_changed


def _looks(credential: Credential) -> _Looks:
    certificate = credential.certificate
    if certificate is None:
        return (_digest(credential.client_secret),)
    files = (certificate.pfx, certificate.private_key, certificate.public)
    return (*map(stamp_of, files), _digest(certificate.passphrase))


def _digest(secret: Secret | None) -> bytes:
    return hashlib.sha256(secret.reveal().encode()).digest() if secret else b""
