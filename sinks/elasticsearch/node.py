"""A node as the client's transport uses it: connections that keep to a pace, and answers of bounded length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from elastic_transport import BaseNode, NodeConfig, Urllib3HttpNode
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from ualpipe.clients.body import read_body
from ualpipe.clients.http_connections import pool_classes
from ualpipe.clients.sockets import OpenSockets

MOST_ANSWER_BYTES = 1024 * 1024
"""Of an answer: an index template with all its fields takes some hundred thousand."""
ANSWER_BYTES_PER_EVENT = 8 * 1024
"""Of the answer to a bulk request, for each event in it: a refusal with its causes takes some hundred, rarely thousands."""

_most_bytes: ContextVar[int] = ContextVar("most_bytes", default=MOST_ANSWER_BYTES)


@contextmanager
def room_for_answers_on(events: int) -> Iterator[None]:
    """Makes room, in this thread, for the answer to so many events: the transport hands nothing of ours through to the node."""
    token = _most_bytes.set(MOST_ANSWER_BYTES + ANSWER_BYTES_PER_EVENT * events)
    try:
        yield
    finally:
        _most_bytes.reset(token)


def node_class(sockets: OpenSockets) -> type[BaseNode]:
    """Returns the class of nodes whose connections are taken in by ``sockets``."""
    return type("Node", (_Node,), {"_connection_classes": pool_classes(sockets)})


class _Node(Urllib3HttpNode):
    """A node that trusts whom its TLS context trusts: by default each connection would add Mozilla's list to that."""

    _connection_classes: Mapping[str, type[HTTPConnectionPool]]

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        if isinstance(self.pool, HTTPSConnectionPool):
            self.pool.ca_certs = None
        self.pool.ConnectionCls = self._connection_classes[config.scheme].ConnectionCls
        self.pool = _ShortAnswers(self.pool)  # type: ignore[assignment]  # nothing else is asked of it


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Any
    data: bytes


@dataclass(frozen=True, slots=True)
class _ShortAnswers:
    """A pool whose answers are read whole, up to a limit, in place of whatever length they have."""

    pool: HTTPConnectionPool

    def urlopen(self, method: str, target: str, **options: Any) -> _Answer:
        answer = self.pool.urlopen(method, target, preload_content=False, **options)
        return _Answer(answer.status, answer.headers, read_body(answer, _most_bytes.get()))

    def close(self) -> None:
        self.pool.close()
