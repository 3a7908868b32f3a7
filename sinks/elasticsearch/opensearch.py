"""What OpenSearch has in another form than Elasticsearch: objects that are one field, and too long values in them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from ualpipe.pipeline.errors import SinkError, SinkRejected
from ualpipe.pipeline.events import EncodedEvent

MOST_TERM_BYTES = 32_766
"""Of a value together with its path: Lucene takes no longer term. Elasticsearch leaves such values out of the index."""
MOST_KEY_BYTES = 1024
"""Of a name within such an object."""
TOO_LONG = "too_long"
"""Below ``o365``: what was cut out of such objects, whole; it has no mapping, so it is kept and not searched."""

_FRAMING_BYTES = 64  # what stands between path and value
_REFUSAL = "immense term"

Path = tuple[str, ...]


def content_for_opensearch(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of an index template with OpenSearch's types: ``flat_object``, which takes no limit of length."""
    return {**content, "mappings": _converted(content["mappings"])}


def _converted(field: Mapping[str, Any]) -> dict[str, Any]:
    if field.get("type") == "flattened":
        return {"type": "flat_object"}
    if "properties" not in field:
        return dict(field)
    return {**field, "properties": {name: _converted(inner) for name, inner in field["properties"].items()}}


def flat_objects(content: Mapping[str, Any]) -> list[Path]:
    """Returns the paths of the objects that are one field, by the content of an index template in either form."""
    return list(_flat(content["mappings"].get("properties", {}), ()))


def _flat(properties: Mapping[str, Any], above: Path) -> Iterator[Path]:
    for name, field in properties.items():
        if field.get("type") in ("flattened", "flat_object"):
            yield (*above, name)
        yield from _flat(field.get("properties", {}), (*above, name))


def is_for_length(error: SinkError) -> bool:
    """Returns whether a document was refused as a value in it is too long to be indexed."""
    return isinstance(error, SinkRejected) and _REFUSAL in str(error)


def shortened(event: EncodedEvent, paths: list[Path]) -> bytes | None:
    """Returns a document in which no value of such an object is too long, and what was cut stands whole below ``o365.too_long``.

    Args:
        event: An event with a document.
        paths: Of the objects.

    Returns:
        The document; None where no value is too long, or there is no document.
    """
    document = event.decode_document()
    if document is None:
        return None
    whole: list[dict[str, Any]] = []
    for path in paths:
        *above, name = path
        holder: Any = document
        for step in above:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and name in holder:
            holder[name] = _cut(holder[name], ".".join(path), whole)
    if not whole:
        return None
    below = document.setdefault("o365", {})
    if isinstance(below, dict):
        below[TOO_LONG] = whole
    return orjson.dumps(document)


def _cut(value: Any, path: str, whole: list[dict[str, Any]]) -> Any:
    """Returns a value in which all text is short enough, and adds to ``whole`` what was not."""
    if isinstance(value, dict):
        return {
            name: _cut(inner, f"{path}.{name}", whole) for name, inner in value.items() if _is_usable(name, inner, path, whole)
        }
    if isinstance(value, list):
        return [_cut(inner, path, whole) for inner in value]
    if not isinstance(value, str):
        return value
    room = max(0, MOST_TERM_BYTES - _FRAMING_BYTES - len(path.encode()))
    encoded = value.encode()
    if len(encoded) <= room:
        return value
    whole.append({"field": path, "value": value})
    return encoded[:room].decode(errors="ignore")


def _is_usable(name: str, value: Any, path: str, whole: list[dict[str, Any]]) -> bool:
    size = len(name.encode())
    if size <= MOST_KEY_BYTES and len(path.encode()) + size <= MOST_TERM_BYTES // 2:
        return True
    whole.append({"field": path, "value": {name: value}})
    return False
