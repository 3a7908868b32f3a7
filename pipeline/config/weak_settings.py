"""Settings that protect less than they could: allowed, and named, as whoever runs a pipeline need not be who wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ualpipe.pipeline.config.odd_texts import is_secret, leaves
from ualpipe.pipeline.files import mode_for_others
from ualpipe.pipeline.marked_yaml import Defect, MarkedYaml, Pointer, dotted
from ualpipe.pipeline.options import is_loopback

_ADDRESSES = ("url", "urls", "token_url")
_KEY_FILES = ("pfx", "private_key", "client_key")
_CERTIFICATE_FILES = ("public", "client_certificate")
_LOOKED_AT_BYTES = 1 << 20
_KEY = b"PRIVATE KEY-----"


def weak_settings(schema: Mapping[str, Any], value: Any, pointer: Pointer, source: MarkedYaml, base: Path) -> Iterator[Defect]:
    """Yields the weakened settings of a section that fits its schema, each with its place.

    Args:
        schema: JSON Schema of the section.
        value: The section.
        pointer: Where it stands.
        source: The file.
        base: Where relative paths start.
    """
    for place, found, inner in leaves(schema, value, pointer):
        line, column = source.places.get(place, (1, 1))
        for text in _weaknesses(place, found, is_secret(inner), source, base):
            yield Defect(line, column, dotted(place), text)


def _weaknesses(place: Pointer, value: Any, is_secret: bool, source: MarkedYaml, base: Path) -> Iterator[str]:  # noqa: FBT001 - one fact of several
    name = next((step for step in reversed(place) if isinstance(step, str)), "")
    if name == "verify" and value is False:
        yield "certificates are not verified: whoever is on the way can read and change what is sent"
    if name == "tls" and value is False:
        yield "connections are not encrypted: whoever is on the way can read and change what is sent"
    if name in _ADDRESSES and isinstance(value, str) and _is_clear(value):
        yield f"{value.partition('://')[0]}:// sends events, and what proves who we are, in clear: write https://"
    if is_secret and isinstance(value, str) and place not in source.substituted:
        yield "the secret stands in the config itself: write ${file:PATH} or ${env:NAME}"
    for path in source.files.get(place, []) if is_secret else _key_file(name, value, base):
        if mode := mode_for_others(path):
            yield f"other users can read the secret in {path} (mode {mode:04o}): chmod 600 {path}"


def _is_clear(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and not is_loopback(parts.hostname or "")
    except ValueError:
        return False  # said where it is read


def _key_file(name: str | int, value: Any, base: Path) -> list[Path]:
    """Returns the file that an option names, if there is a key in it."""
    if not isinstance(value, str) or name not in (*_KEY_FILES, *_CERTIFICATE_FILES):
        return []
    path = base / Path(value).expanduser()
    return [path] if name in _KEY_FILES or _holds_key(path) else []


def _holds_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _KEY in file.read(_LOOKED_AT_BYTES)
    except (OSError, ValueError):
        return False  # said where it is read
