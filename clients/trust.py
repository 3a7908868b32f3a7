"""The certificate authorities that are trusted where an option names none: the system's, and Mozilla's by ``certifi``.

The system's are those that OpenSSL reads (``SSL_CERT_FILE``, ``SSL_CERT_DIR``): a company's own authority, installed there, is
trusted by every client. Mozilla's are there for machines and images that have none.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

import certifi

_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")  # OpenSSL reads no other files of a folder (openssl-rehash(1))
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def load_default_cas(context: ssl.SSLContext) -> None:
    """Makes a context trust the system's authorities and Mozilla's."""
    context.load_default_certs()
    context.load_verify_locations(certifi.where())


def default_ca_pem() -> str:
    """Returns the authorities of both as one PEM text, for libraries with a TLS of their own, which look in other places."""
    return joined_pem(text for path in _pem_files() for text in _text_of(path))


def default_ca_places() -> list[Path]:
    """Returns the files and folders that hold the authorities."""
    return [*_system_files(), *_system_folders(), Path(certifi.where())]


def joined_pem(texts: Iterable[str]) -> str:
    """Returns the certificates of several PEM texts as one, each of them once, without what stands between them."""
    found = dict.fromkeys(block for text in texts for block in _CERTIFICATE.findall(text))
    return "".join(f"{block}\n" for block in found)


def _pem_files() -> Iterator[Path]:
    yield from _system_files()
    for folder in _system_folders():
        with contextlib.suppress(OSError):
            yield from sorted(path for path in folder.iterdir() if _HASHED_NAME.fullmatch(path.name))
    yield Path(certifi.where())


def _system_files() -> list[Path]:
    paths = ssl.get_default_verify_paths()
    return [Path(os.environ.get(paths.openssl_cafile_env) or paths.openssl_cafile)]


def _system_folders() -> list[Path]:
    paths = ssl.get_default_verify_paths()
    folders = os.environ.get(paths.openssl_capath_env) or paths.openssl_capath
    return [Path(folder) for folder in folders.split(os.pathsep) if folder]


def _text_of(path: Path) -> Iterator[str]:
    """Yields the text of a file; nothing where it can't be read: OpenSSL passes over it, too."""
    with contextlib.suppress(OSError):
        yield path.read_text(encoding="ascii", errors="replace")
