"""Takes URLs and file names apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ualpipe.transforms.memo import Memo

_SITE = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://(?:[^@/\s]*@)?(\[[^\]\s]+\]|[^:@\s]+)(?::(\d{1,5}))?$")
_BARE = re.compile(
    r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+)([?#].*)?$", re.DOTALL
)  # without a path: query or fragment follow the host
_WITHOUT_SCHEME = re.compile(r"^((?:[\w-]+\.)+[\w-]+\.?(?::\d{1,5})?)((?:[/?#].*)?)$", re.DOTALL)
_OF_DOMAIN = ("domain", "registered_domain", "top_level_domain", "subdomain")
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


def read_link(text: str) -> Parts | None:
    """Returns the parts of a URL, by their names in ECS's ``url``, where it may stand without its scheme.

    Without one ``www.contoso.com/a?b`` is read up to its first slash as a domain, if that has a dot. It has neither ``full`` nor
    ``scheme`` nor ``port``: none of them is known.
    """
    text = text.strip()
    if "://" in text:
        return _read(text, "#")
    match = _WITHOUT_SCHEME.match(text)
    if not match:
        return None
    site = _sites[f"https://{match[1]}"] or {}
    found: Parts = {"original": text, **{part: site[part] for part in _OF_DOMAIN if part in site}}
    _add_path(found, _cut_query(found, match[2], "#"))
    return found


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
    labels = host.lower().rstrip(".").split(".")
    if len(labels) > 1 and labels[-1] in _FLAT_DOMAINS and all(labels):
        found.update(_registered(labels))
    return found


def _registered(labels: Sequence[str]) -> Parts:
    found: Parts = {"registered_domain": ".".join(labels[-2:]), "top_level_domain": labels[-1]}
    if subdomain := ".".join(labels[:-2]):
        found["subdomain"] = subdomain
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


def plain_path(text: str) -> str | None:
    """Returns a path of a file; None for a URL."""
    return None if "://" in text else text.strip() or None


def file_kind(text: str) -> str | None:
    """Returns ``file`` or ``dir`` for an ItemType; None for other kinds of things."""
    return {"file": "file", "folder": "dir"}.get(text.strip().lower())


def extension(text: str) -> str | None:
    """Returns an extension without the dot in front of it."""
    return text.strip().lstrip(".") or None
