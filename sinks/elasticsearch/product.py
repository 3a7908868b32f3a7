"""Which product answers at the addresses of a cluster, and what is said of one that this sink does not support. Pure.

OpenSearch and others understand a part of Elasticsearch's requests: the first refusal comes late, and speaks of something else.
Sources: the answers to ``GET /`` of Elasticsearch ("Root API") and of OpenSearch ("Cluster information API").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.wording import shorten

OLDEST_MAJOR = 8
_SUPPORTED = "the elasticsearch sink supports Elasticsearch 8 and 9"
_PLANNED = "support for OpenSearch is planned as a destination of its own"
_SERVERLESS_HOST = ".aoss.amazonaws.com"
_MAJOR = re.compile(r"(\d{1,4})\.")
_MAX_NAME = 40


def unsupported(answer: HttpAnswer, urls: Sequence[str] = ()) -> str:
    """Returns why the product that gave an answer can't be written to, in plain words; empty where it can, or can't be told.

    Args:
        answer: The answer to ``GET /``. A user without rights, or a proxy, may hide what is there.
        urls: The addresses that were asked: one product is known by them alone.
    """
    if any((urlsplit(url).hostname or "").endswith(_SERVERLESS_HOST) for url in urls):
        return f"this is OpenSearch Serverless; {_SUPPORTED}; {_PLANNED}"
    if "kbn-name" in {name.lower() for name in answer.headers}:
        return f"this is Kibana; {_SUPPORTED}: give `urls` its address, which often has port 9200"
    said = _json(answer.body) if answer.is_ok else {}
    version = said.get("version")
    version = version if isinstance(version, Mapping) else {}
    name, number = _named(said, version), str(version.get("number") or "")
    if name == "OpenSearch":
        return f"this is OpenSearch {_shown(number)}; {_SUPPORTED}; {_PLANNED}"
    if name:
        return f"this is {_shown(name)} {_shown(number)}; {_SUPPORTED}"
    if (major := _MAJOR.match(number)) and int(major[1]) < OLDEST_MAJOR:
        return f"this is Elasticsearch {_shown(number)}; {_SUPPORTED}: update it"
    return ""


def _named(said: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    """Returns the name of a product other than Elasticsearch; empty for that, and where none is said.

    In its compatibility mode OpenSearch calls itself 7.10.2 and leaves its distribution out; the tagline stays.
    """
    distribution = str(version.get("distribution") or "")
    if "opensearch" in f"{distribution} {said.get('tagline')}".lower():
        return "OpenSearch"
    return "" if distribution.lower() == "elasticsearch" else distribution


def _shown(text: str) -> str:
    return shorten(text, _MAX_NAME) or "of unknown version"


def _json(body: bytes) -> Mapping[str, Any]:
    with suppress(UnreadableJson):
        return read_object(body)
    return {}
