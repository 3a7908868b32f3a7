"""Reads what SharePoint records say in texts of several parts: folder and name of a file, details of an act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import unquote

_GROUP = re.compile(r"<Group>([^<]*)</Group>", re.IGNORECASE)


def file_path(originals: Mapping[str, Any]) -> str | None:
    """Returns the path of the file of a SharePoint record: its folder and its name."""
    folder, name = originals.get("SourceRelativeUrl"), originals.get("SourceFileName")
    if type(folder) is not str or type(name) is not str:
        return None
    return folder if _is_whole_path(originals, folder, name) else f"{folder.rstrip('/')}/{name}"


def file_directory(originals: Mapping[str, Any]) -> str | None:
    """Returns the folder of the file of a SharePoint record; None for a file in no folder."""
    folder, name = originals.get("SourceRelativeUrl"), originals.get("SourceFileName")
    if type(folder) is not str:
        return None
    if type(name) is str and _is_whole_path(originals, folder, name):
        folder = folder.rstrip("/").rpartition("/")[0]
    return folder or None


def _is_whole_path(originals: Mapping[str, Any], folder: str, name: str) -> bool:
    """Returns whether SourceRelativeUrl ends with the name of the file, as in sharing records.

    A file may have the name of its folder: the URL in ObjectId tells.
    """
    if not folder.rstrip("/").endswith(name) and "%" not in folder:
        return False  # nearly all
    last = folder.rstrip("/").rpartition("/")[2]
    if last != name and unquote(last) != name:
        return False
    address = originals.get("ObjectId")
    return not (type(address) is str and address.endswith(f"/{last}/{name}"))


def group_in_event_data(text: str) -> str | None:
    """Returns the group in ``<Group>…</Group>``."""
    found = _GROUP.search(text) if "roup>" in text else None
    return unescape(found[1]).strip() or None if found else None
