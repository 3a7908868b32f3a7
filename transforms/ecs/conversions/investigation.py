"""Reads the entities of investigations: files of mails, and their hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ualpipe.transforms.ecs.conversions.mail import MAX_ATTACHMENTS
from ualpipe.transforms.ecs.conversions.web import file_extension

_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}  # hexadecimal digits of each kind of hash


def entity_hashes(value: Any) -> dict[str, str] | None:
    """Returns the hashes of one file by algorithm; None where there is none, or two of one algorithm differ."""
    found: dict[str, str] = {}
    for item in _objects(value):
        algorithm, text = item.get("Algorithm"), item.get("Value")
        if not isinstance(algorithm, str) or not isinstance(text, str):
            continue
        name, text = algorithm.lower().replace("-", "").strip(), text.strip().lower()
        if len(text) == _LENGTHS.get(name) and text.isalnum() and found.setdefault(name, text) != text:
            return None
    return found or None


def entity_attachments(value: Any) -> list[dict[str, Any]] | None:
    """Reads the files of mails (``Files[]`` of ``{Name, FileHashes}``) into ``email.attachments``; None where there is none."""
    found = [_attachment(item) for _index, item in zip(range(MAX_ATTACHMENTS), _objects(value), strict=False)]
    kept: list[dict[str, Any]] = []
    for file in found:
        if file and {"file": file} not in kept:
            kept.append({"file": file})
    return kept or None


def _attachment(item: dict[str, Any]) -> dict[str, Any]:
    file: dict[str, Any] = {}
    if isinstance(name := item.get("Name"), str) and name:
        file["name"] = name
        if extension := file_extension(name):
            file["extension"] = extension
    if hashes := entity_hashes(item.get("FileHashes")):
        file["hash"] = hashes
    return file


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yields the objects in a value, lists of lists included."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)
