"""Bringing a data stream up to date, on scripted answers: what is compared, what is asked, and what a refusal means."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders, NodeConfig, TransportApiResponse

from fakes import env
from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkThrottled, SinkUnavailable
from ualpipe.pipeline.options import build
from ualpipe.schemas import read_json
from ualpipe.sinks.elasticsearch.connection import Connection
from ualpipe.sinks.elasticsearch.data_stream import WriteIndex, some
from ualpipe.sinks.elasticsearch.index_template import wanted
from ualpipe.sinks.elasticsearch.sink import TEMPLATE, ElasticsearchSink

STREAM = "logs-o365.audit-default"
NEW = read_json(TEMPLATE)["mappings"]["properties"]
OLD = copy.deepcopy(NEW)
OLD["o365"]["properties"]["audit"]["properties"]["Parameters"] = {"type": "flattened"}


class Cluster:
    """A cluster with our template installed and one data stream, by what it answers to each method and path.

    Attributes:
        indices: Fields of each backing index by name, oldest first.
        refuses: Status for requests whose path holds a text.
        asked: Methods and paths that changed something.
    """

    def __init__(self, *indices: dict[str, Any], meets: bool = True) -> None:
        self.indices = {f".ds-{STREAM}-2026.11.{10 + at:02}-{at:06}": fields for at, fields in enumerate(indices, 1)}
        self.refuses: dict[str, int] = {"_security": 405}
        self.asked: list[tuple[str, str, Any]] = []
        self.meets = meets

    def answer(self, method: str, target: str, body: Any) -> HttpAnswer:
        path = target.partition("?")[0]
        for text, status in self.refuses.items():
            if text in path:
                return HttpAnswer(status, {}, b'{"error":{"type":"security_exception","reason":"no"}}')
        if method in ("PUT", "POST") and "simulate" not in path:
            self.asked.append((method, path, body))
        return HttpAnswer(200, {}, orjson.dumps(self._found(path, body)))

    def _found(self, path: str, body: Any) -> Any:
        newest = list(self.indices)[-1]
        if path.startswith("/_index_template/_simulate"):
            return {"template": {"mappings": {"properties": NEW}}}
        if path.startswith("/_index_template"):
            return {"index_templates": [{"index_template": wanted(STREAM, read_json(TEMPLATE))}]}
        if path.startswith("/_resolve"):
            return {"data_streams": [{"name": STREAM, "backing_indices": sorted(self.indices, reverse=True)}]}
        if path.endswith("/_stats/docs"):
            return {"_all": {"primaries": {"docs": {"count": 7}}}}
        if path.endswith("/_rollover"):
            is_met = self.meets or not body
            if is_met:
                self.indices[f".ds-{STREAM}-2026.11.30-{len(self.indices) + 1:06}"] = NEW
            return {"rolled_over": is_met}
        return {newest: {"mappings": {"properties": self.indices[newest]}}}


class Sink(ElasticsearchSink):
    """The sink on such a cluster."""

    def __init__(self, cluster: Cluster, **options: Any) -> None:
        values = {"urls": ["https://es.contoso.example:9200"], **options}
        super().__init__(build(ElasticsearchSink.Config, values, Path()), env("search"))
        self._cluster = cluster

    def _connect(self, **how: Any) -> Connection:
        return super()._connect(node_class=node_on(self._cluster.answer), **how)


def node_on(answer: Callable[[str, str, Any], HttpAnswer]) -> type[BaseNode]:
    class Node(BaseNode):
        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config)

        def perform_request(
            self, method: str, target: str, body: Any = None, headers: Any = None, request_timeout: Any = None
        ) -> TransportApiResponse:
            found = answer(method, target, orjson.loads(body) if body else None)
            return TransportApiResponse(ApiResponseMeta(found.status, "1.1", HttpHeaders(), 0.0, self.config), found.body)

        def close(self) -> None:
            pass

    return Node


def test_a_write_index_that_fits_is_left_alone() -> None:
    cluster = Cluster(OLD, NEW)
    Sink(cluster).open()
    assert cluster.asked == []


def test_a_write_index_with_another_type_is_rolled_over_on_a_condition_that_the_next_one_does_not_meet() -> None:
    cluster = Cluster(OLD)
    Sink(cluster).open()
    assert cluster.asked == [("POST", f"/{STREAM}/_rollover", {"conditions": {"max_docs": 7}})]
    Sink(cluster).open()
    assert len(cluster.asked) == 1


def test_where_the_condition_was_not_met_and_nobody_else_rolled_over_it_is_done_without() -> None:
    cluster = Cluster(OLD, meets=False)
    Sink(cluster).open()
    assert [body for _method, _path, body in cluster.asked] == [{"conditions": {"max_docs": 7}}, None] or [
        body for _method, _path, body in cluster.asked
    ] == [{"conditions": {"max_docs": 7}}, {}]
    assert len(cluster.indices) == 2


def test_the_write_index_is_that_of_the_last_generation() -> None:
    cluster = Cluster(*[OLD] * 10, NEW)
    cluster.indices = {f"restored-.ds-{STREAM}-2027.01.01-999999": OLD, **cluster.indices}
    Sink(cluster).open()
    assert cluster.asked == []


def test_fields_that_are_missing_are_added() -> None:
    cluster = Cluster({name: field for name, field in NEW.items() if name != "session"})
    Sink(cluster).open()
    ((method, path, body),) = cluster.asked
    assert (method, path) == ("PUT", f"/{STREAM}/_mapping")
    assert body["properties"]["session"] == NEW["session"]


@pytest.mark.parametrize("refused", ["_resolve", "_mapping", "_simulate_index", "_stats", "_rollover"])
@pytest.mark.parametrize("status", [400, 403])
def test_who_may_not_look_or_roll_over_is_told_and_delivers(refused: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(OLD)
    cluster.refuses = {refused: status}
    with caplog.at_level(logging.WARNING):
        Sink(cluster).open()
    assert "`view_index_metadata` and `manage`" in caplog.text
    assert f"POST /{STREAM}/_rollover" in caplog.text


@pytest.mark.parametrize(("status", "error"), [(429, SinkThrottled), (503, SinkUnavailable)])
def test_a_cluster_in_trouble_is_asked_again(status: int, error: type[Exception]) -> None:
    cluster = Cluster(OLD)
    cluster.refuses = {"_rollover": status}
    sink = Sink(cluster)
    with pytest.raises(error):
        sink.open()
    cluster.refuses = {}
    sink.open()
    assert len(cluster.indices) == 2


def test_a_proxys_page_is_no_data_stream() -> None:
    class Proxy(Cluster):
        def _found(self, path: str, body: Any) -> Any:
            return {"hello": 1} if "_resolve" in path else super()._found(path, body)

    with pytest.raises(SinkUnavailable, match="proxy"):
        Sink(Proxy(OLD)).open()


def finding(cluster: Cluster, **options: Any) -> tuple[str, str, str]:
    (found,) = (found for found in Sink(cluster, **options).check() if found.subject.startswith("data stream"))
    return found.level, found.message, found.action


def test_check_says_what_is_to_be_done_and_changes_nothing() -> None:
    cluster = Cluster(OLD)
    level, message, _advice = finding(cluster)
    assert level == "ok"
    assert "o365.audit.Parameters" in message
    assert "at the start of a run" in message
    level, message, advice = finding(cluster, setup=False)
    assert level == "warning"
    assert f"POST /{STREAM}/_rollover" in advice
    assert [path for _method, path, _body in cluster.asked if "security" not in path] == []
    assert finding(Cluster(OLD, NEW))[0] == "ok"


def test_check_says_what_it_may_not_see() -> None:
    cluster = Cluster(OLD)
    cluster.refuses["_resolve"] = 403
    level, _message, advice = finding(cluster)
    assert level == "warning"
    assert "view_index_metadata" in advice


def test_conflicts_are_found_in_depth_and_named_in_bounds() -> None:
    index = WriteIndex("i", {"a": {"properties": {"b": {"type": "keyword"}}}, "c": {"type": "flattened"}})
    wanted = {"a": {"properties": {"b": {"type": "long"}, "n": {"type": "ip"}}}, "c": {"dynamic": False}, "d": {"type": "ip"}}
    assert index.conflicts(wanted) == ["a.b", "c"]
    assert index.lacks(wanted)
    assert some([f"f{number}" for number in range(8)]).endswith("f4 and 3 more fields")
