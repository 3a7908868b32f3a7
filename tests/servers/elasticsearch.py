"""A real Elasticsearch server: version 9 in plain text, version 8 with TLS and users."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import requests

from servers import docker_engine, elasticsearch_containers, elasticsearch_nodes
from servers.certificates import Certificates
from servers.elasticsearch_nodes import ADMIN, WRITER
from servers.install import ELASTICSEARCH9_JAVA, has_java_for_elasticsearch9
from servers.missing import missing
from servers.ports import HOST, free_ports
from servers.process import Server, ServerFailed

ADDRESS_VARIABLE = "UALPIPE_TEST_ELASTICSEARCH_URL"
VERSION_VARIABLE = "UALPIPE_TEST_ELASTICSEARCH"

_START_S = 120
_REQUEST_S = 30
_PAGE = 1000
_ATTEMPTS = 10


class Elasticsearch:
    """A server, and what tests ask it.

    Attributes:
        url: ``http(s)://host:port``.
        ca_file: What its certificate is signed by; None in plain text.
        username: May do all; empty where there is no log-in.
        writer_username: May only create documents in ``logs-*``, and so the data streams there that a template provides for.
    """

    def __init__(self, url: str, certificates: Certificates | None = None) -> None:
        self.url = url
        self.ca_file = certificates.ca_file if certificates else None
        self.username, self.password = ADMIN if certificates else ("", "")
        self.writer_username, self.writer_password = WRITER if certificates else ("", "")
        self._session = requests.Session()
        self._session.trust_env = False  # REQUESTS_CA_BUNDLE would win over ``verify``
        self._session.auth = (self.username, self.password) if certificates else None
        self._session.verify = str(self.ca_file) if self.ca_file else True

    @cached_property
    def version(self) -> str:
        """As ``9.5.3``."""
        nodes = self.request("GET", "/_nodes/_local?filter_path=nodes.*.version")["nodes"]
        return str(next(iter(nodes.values()))["version"])

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Returns the decoded answer to a request, whatever its status, which is under ``status`` where it is an error.

        Args:
            method: ``GET``, ``PUT`` …
            path: With its leading slash and query.
            body: Sent as JSON, unless None.
        """
        return self._session.request(method, self.url + path, json=body, timeout=_REQUEST_S).json()

    def search(self, index: str, *, with_source: bool = True) -> list[dict[str, Any]]:
        """Returns all hits (``_id``, ``_index``, ``_source``) of an index or data stream; none while it does not exist."""
        self.request("POST", f"/{index}/_refresh")
        query = {"size": _PAGE, "sort": ["_doc"], "_source": with_source}
        page = self._page(f"/{index}/_search?scroll=1m&ignore_unavailable=true", query)
        found: list[dict[str, Any]] = []
        while hits := page["hits"]["hits"]:
            found += hits
            page = self._page("/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
        self.request("DELETE", "/_search/scroll", {"scroll_id": page["_scroll_id"]})
        return found

    def _page(self, path: str, query: Any) -> Any:
        """Asks for a page; a small server that is busy may refuse a few times."""
        for _attempt in range(_ATTEMPTS):
            page = self.request("POST", path, query)
            if "hits" in page:
                return page
            time.sleep(1)
        raise ServerFailed(f"no answer to a search, {_ATTEMPTS} times: {page}")

    def search_ids(self, index: str) -> list[str]:
        """Returns the ``_id`` of all documents of an index or data stream."""
        return [hit["_id"] for hit in self.search(index, with_source=False)]

    def is_serving(self) -> bool:
        try:
            return self.request("GET", "/_cluster/health").get("status") in ("green", "yellow")
        except requests.RequestException:
            return False

    def close(self) -> None:
        self._session.close()


class LocalElasticsearch(Elasticsearch):
    """A server of ours, as a process or in a container. Its ports and data outlive ``stop`` and ``kill``."""

    def __init__(self, url: str, server: Server, certificates: Certificates | None = None) -> None:
        super().__init__(url, certificates)
        self._server = server

    @property
    def is_running(self) -> bool:
        return self._server.is_running

    def start(self) -> None:
        self._server.start(self.is_serving, timeout_s=_START_S)

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self.stop()
        self.start()


class ExternalElasticsearch(Elasticsearch):
    """A server that the environment names; tests may not stop it."""

    is_running = True

    def stop(self) -> None:
        """Does nothing at the end of the run; see ``LocalElasticsearch.stop``."""

    def __getattr__(self, name: str) -> NoReturn:
        missing(f"{ADDRESS_VARIABLE} names a server of yours: {name!r} needs one that the tests start themselves")


def find_elasticsearch(folder: Path) -> LocalElasticsearch | ExternalElasticsearch:
    """Returns the server that the environment names, else one of ours, started: in a container where Docker answers.

    ``UALPIPE_TEST_ELASTICSEARCH`` says which version: 8 or 9. By default it is 9 where Docker or a JDK 21 or newer is, else 8.

    Raises:
        NotInstalled: Its parts are not here.
        ServerFailed: It did not come up.
    """
    if url := os.environ.get(ADDRESS_VARIABLE):
        return ExternalElasticsearch(url.rstrip("/"))
    version = os.environ.get(VERSION_VARIABLE)
    image = docker_engine.ELASTICSEARCH8 if version == "8" else docker_engine.ELASTICSEARCH9
    if docker_engine.has(image):
        return _started(elasticsearch_containers.node(image), folder)
    node = {"8": elasticsearch_nodes.node8, "9": elasticsearch_nodes.node9}[version or local_version()]
    return _started(node, folder)


notes: list[str] = []
"""What the end of a run says of the version."""


def local_version() -> str:
    """Returns which version a local process is of where nobody says: 9, or 8 where Java is too old for it, with a note."""
    if has_java_for_elasticsearch9():
        return "9"
    notes.append(
        f"Elasticsearch 8 served the tests in the place of 9, which needs a JDK {ELASTICSEARCH9_JAVA} or newer:"
        " install one, or set JAVA_HOME to it"
    )
    return "8"


def find_secure_elasticsearch(folder: Path, certificates: Certificates) -> LocalElasticsearch:
    """Returns a server of ours with TLS and users, started; always version 8, as the jars of 9 have no security.

    It is in a container where Docker answers.

    Raises:
        NotInstalled: Its parts are not here.
        ServerFailed: It did not come up.
    """

    if docker_engine.has(docker_engine.ELASTICSEARCH8):
        return _started(elasticsearch_containers.node(docker_engine.ELASTICSEARCH8, certificates), folder, certificates)

    def node(folder: Path, http_port: int, transport_port: int) -> Server:
        return elasticsearch_nodes.node8(folder, http_port, transport_port, certificates)

    return _started(node, folder, certificates)


def _started(
    node: Callable[[Path, int, int], Server], folder: Path, certificates: Certificates | None = None
) -> LocalElasticsearch:
    http_port, transport_port = free_ports(2)
    url = f"https://localhost:{http_port}" if certificates else f"http://{HOST}:{http_port}"
    server = LocalElasticsearch(url, node(folder, http_port, transport_port), certificates)
    server.start()
    return server
