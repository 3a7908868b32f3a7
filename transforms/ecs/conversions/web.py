"""Takes URLs and file names apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ualpipe.transforms.memo import Memo

_SITE = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://(?:[^@/\s]*@)?(\[[^\]\s]+\]|[^:@\s]+)(?::(\d{1,5}))?$")
_BARE = re.compile(
    r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+)([?#].*)?$", re.DOTALL
)  # without a path: query or fragment follow the host
_MAX_EXTENSION = 10  # characters; what is longer is a sentence with a dot in it
_WINDOWS_PATH = re.compile(r"^(?:[A-Za-z]:\\|\\\\)[^\r\n]+$")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Below these domains anyone registers directly; below others only the public suffix list tells a.co.uk from contoso.uk.
_FLAT_DOMAINS = frozenset({"com", "net", "org", "info", "biz"})

Parts = dict[str, str | int]


def read_url(text: str) -> Parts | None:
    """Returns the parts of an absolute URL by their names in ECS's ``url``; None for anything else."""
    return _read(text, "#")


def read_file_url(text: str) -> Parts | None:
    """Returns the parts of a URL as SharePoint writes it, by their names in ECS's ``url``; None for anything else.

    Blanks and other characters that ought to be percent-coded stay as they are, and ``#`` is a part of file names, which
    ``?`` can't be.
    """
    return _read(text, "")


def _read(text: str, fragment_mark: str) -> Parts | None:
    end = text.find("/", text.find("://") + 3)
    site = _sites[text[:end]] if end > 0 else None
    if site is None:
        return _read_without_path(text)
    found: Parts = {"original": text, "full": text, **site}
    tail = text[end:]
    if "?" in tail or (fragment_mark and "#" in tail):
        tail = _cut_query(found, tail, fragment_mark)
    _add_path(found, tail)
    return found


def _read_without_path(text: str) -> Parts | None:
    match = _BARE.match(text)
    site = _sites[match[1]] if match else None
    if not match or site is None:
        return None
    found: Parts = {"original": text, "full": text, **site}
    _add_path(found, _cut_query(found, match[2] or "", "#"))
    return found


def _cut_query(found: Parts, tail: str, fragment_mark: str) -> str:
    """Moves fragment and query out of the part behind the host; returns the path."""
    tail, _, fragment = tail.partition(fragment_mark) if fragment_mark else (tail, "", "")
    path, _, query = tail.partition("?")
    if query:
        found["query"] = query
    if fragment:
        found["fragment"] = fragment
    return path


def _add_path(found: Parts, path: str) -> None:
    if path:
        found["path"] = path
        if (extension := file_extension(path)) is not None:
            found["extension"] = extension


def _read_site(text: str) -> Parts | None:
    """Returns scheme, domain and port of a URL without path, and the domain that was registered."""
    match = _SITE.match(text)
    if not match:
        return None
    scheme, host = match[1].lower(), match[2]
    found: Parts = {"scheme": scheme, "domain": host}
    port = int(match[3]) if match[3] else _DEFAULT_PORTS.get(scheme, 0)
    if 0 < port < 65536:
        found["port"] = port
    labels = host.lower().split(".")
    if len(labels) > 1 and labels[-1] in _FLAT_DOMAINS and all(labels):
        found["registered_domain"] = ".".join(labels[-2:])
        found["top_level_domain"] = labels[-1]
    return found


_sites = Memo(_read_site)


def file_extension(name: str) -> str | None:
    """Returns the extension of a file name or path, without dot; None where there is none."""
    ending = name[-_MAX_EXTENSION - 1 :].rpartition(".")
    return ending[2] if ending[1] and ending[2].isalnum() and ending[2].isascii() else None


def file_name(path: str) -> str | None:
    """Returns what stands behind the last slash or backslash of a path or URL; None for text without one."""
    _folder, slash, name = path.replace("\\", "/").rpartition("/")
    return name.strip() or None if slash else None


def windows_path(text: str) -> str | None:
    """Returns a path that begins with a drive or a share; None for anything else."""
    return text if _WINDOWS_PATH.match(text) else None


def file_path(originals: Mapping[str, Any]) -> str | None:
    """Returns the path of the file of a SharePoint record: its folder and its name.

    In sharing records the folder ends with the name already.
    """
    folder, name = originals.get("SourceRelativeUrl"), originals.get("SourceFileName")
    if type(folder) is not str or type(name) is not str:
        return None
    return folder if folder.endswith(f"/{name}") or folder == name else f"{folder.rstrip('/')}/{name}"


def file_kind(text: str) -> str | None:
    """Returns ``file`` or ``dir`` for an ItemType; None for other kinds of things."""
    return {"file": "file", "folder": "dir"}.get(text.strip().lower())


def extension(text: str) -> str | None:
    """Returns an extension without the dot in front of it."""
    return text.strip().lstrip(".") or None
