"""Which product answers at the addresses of a cluster, and what is said of one that this sink does not support. Pure.

Others understand a part of Elasticsearch's requests: the first refusal comes late, and speaks of something else.
Sources: the answers to ``GET /`` of Elasticsearch ("Root API") and of OpenSearch ("Cluster information API").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.wording import LONGEST_READ, shorten

OLDEST = {"Elasticsearch": (8, 0), "OpenSearch": (2, 7)}
"""Oldest release of each product; of OpenSearch the first with objects that are one field (``flat_object``)."""
_SUPPORTED = "the elasticsearch sink supports Elasticsearch 8 and 9, and OpenSearch from 2.7 on"
_SERVERLESS_HOST = ".aoss.amazonaws.com"
_AMAZON_HOST = ".es.amazonaws.com"
_NUMBER = re.compile(r"(\d{1,4})\.(\d{1,4})")
_VERSION_HEADER = re.compile(r"OpenSearch/(\S{1,40})")
_COMPATIBLE = "7.10.2"  # what OpenSearch calls itself in its compatibility mode
_MAX_NAME = 40


@dataclass(frozen=True, slots=True)
class Product:
    """What answers.

    Attributes:
        name: ``Elasticsearch``, ``OpenSearch`` or the name of another product.
        number: Its version as it says; empty where it does not.
    """

    name: str = "Elasticsearch"
    number: str = ""

    @property
    def is_opensearch(self) -> bool:
        """Whether it is OpenSearch."""
        return self.name == "OpenSearch"

    def __str__(self) -> str:
        """Returns name and version in one line."""
        return f"{_shown(self.name)} {_shown(self.number)}"


def product_of(answer: HttpAnswer, urls: Sequence[str] = ()) -> Product | None:
    """Returns which product gave an answer; None where that can't be told.

    Where ``GET /`` is forbidden, or a proxy stands between, headers and words of the refusal tell.

    Args:
        answer: The answer to ``GET /``, whatever its status.
        urls: The addresses that were asked: some hosts have but one product.
    """
    headers = {name.lower(): value for name, value in answer.headers.items()}
    said = _json(answer.body) if answer.is_ok else {}
    version = said.get("version")
    version = version if isinstance(version, Mapping) else {}
    number, distribution = str(version.get("number") or ""), str(version.get("distribution") or "")
    if "opensearch" in f"{distribution} {said.get('tagline')}".lower():
        return Product("OpenSearch", number)
    if distribution and distribution.lower() != "elasticsearch":
        return Product(distribution, number)
    if number:
        return Product("Elasticsearch", number)
    return _told_by_refusal(headers, answer.body[:LONGEST_READ], urls)


def _told_by_refusal(headers: Mapping[str, str], body: bytes, urls: Sequence[str]) -> Product | None:
    if found := _VERSION_HEADER.match(headers.get("x-opensearch-version", "")):
        return Product("OpenSearch", found[1])
    if headers.get("x-elastic-product", "").lower() == "elasticsearch":
        return Product()
    # Its security plug-in: a log-in page for nobody, and who lacks a permission of its own kind.
    if "opensearch" in headers.get("www-authenticate", "").lower() or b"no permissions for [" in body:
        return Product("OpenSearch")
    return Product("OpenSearch") if any(_host(url).endswith(_AMAZON_HOST) for url in urls) else None


def unsupported(answer: HttpAnswer, urls: Sequence[str] = ()) -> str:
    """Returns why the product that gave an answer can't be written to, in plain words; empty where it can, or can't be told.

    Args:
        answer: The answer to ``GET /``. A user without rights, or a proxy, may hide what is there.
        urls: The addresses that were asked: one product is known by them alone.
    """
    if any(_host(url).endswith(_SERVERLESS_HOST) for url in urls):
        return f"this is OpenSearch Serverless, which takes no documents with ids of ours; {_SUPPORTED}"
    headers = {name.lower() for name in answer.headers}
    for header, name in (("kbn-name", "Kibana"), ("osd-name", "OpenSearch Dashboards")):
        if header in headers:
            return f"this is {name}; {_SUPPORTED}: give `urls` the cluster's own address, which often has port 9200"
    product = product_of(answer, urls)
    if product is None:
        return ""
    if product.name not in OLDEST:
        return f"this is {product}; {_SUPPORTED}"
    return f"this is {product}; {_SUPPORTED}: update it" if _is_too_old(product) else ""


def _is_too_old(product: Product) -> bool:
    if product.is_opensearch and product.number == _COMPATIBLE:
        return False
    found = _NUMBER.match(product.number)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST[product.name]


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _shown(text: str) -> str:
    return shorten(text, _MAX_NAME) or "of unknown version"


def _json(body: bytes) -> Mapping[str, Any]:
    with suppress(UnreadableJson):
        return read_object(body)
    return {}
