"""Questions to an Elasticsearch cluster before a run: does it know us, and would it take our documents? Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.elasticsearch.answers import answer_of, describe
from ualpipe.sinks.elasticsearch.index_template import installed, template_name
from ualpipe.sinks.elasticsearch.product import unsupported

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_NO_SECURITY = (400, 404, 405)  # what servers without the security feature answer on its paths


def probe(
    api: Elasticsearch, data_stream: str, *, pipeline: str | None, setup: bool, urls: Sequence[str] = ()
) -> Iterator[Finding]:
    """Yields findings about product, cluster, user, privileges, template and pipeline; stops where going on makes no sense."""
    try:
        if other := unsupported(answer_of(api.info()), urls):
            yield Finding("error", "cluster", other)
            return
        answer = answer_of(api.security.authenticate())
        yield (entry := _of_entry(answer))
        if entry.level == "error":
            return
        if answer.is_ok:
            yield from _of_privileges(api, data_stream, setup=setup)
        yield _of_template(api, data_stream, setup=setup)
        if pipeline:
            yield _of_pipeline(api, pipeline)
    except SinkError as exc:
        yield Finding("error", "cluster", str(exc), "check `urls`, the TLS options and the network between")


def _of_entry(answer: HttpAnswer) -> Finding:
    if answer.is_ok:
        return Finding("ok", "cluster", f"reached, logged in as {_json(answer).get('username', '?')}")
    if answer.status in _NO_SECURITY:
        return Finding("ok", "cluster", "reached; it asks for no log-in")
    if answer.status == 401:
        return Finding("error", "log-in", _said(answer), "check `api_key`, or `username` and `password`")
    return Finding("error", "cluster", _said(answer), "check `urls`, and whether Elasticsearch answers there")


def _of_privileges(api: Elasticsearch, data_stream: str, *, setup: bool) -> Iterator[Finding]:
    response = api.security.has_privileges(
        cluster=["manage_index_templates"] if setup else [],
        index=[{"names": [data_stream], "privileges": ["create_doc", "auto_configure"]}],
    )
    answer = answer_of(response)
    if not answer.is_ok:
        yield Finding("warning", "privileges", f"can't be asked for: {_said(answer)}")
        return
    found = _json(answer)
    held = {**found["cluster"], **found["index"][data_stream]}
    missing = [name for name, is_held in held.items() if not is_held]
    if missing:
        yield Finding("error", "privileges", f"missing: {', '.join(missing)}", _advice(missing, data_stream))
    else:
        yield Finding("ok", "privileges", ", ".join(held))


def _advice(missing: list[str], data_stream: str) -> str:
    if missing == ["manage_index_templates"]:
        return "grant it, or install the template by other means and say `setup: false`"
    return f"grant them to the user or API key, on {data_stream}"


def _of_template(api: Elasticsearch, data_stream: str, *, setup: bool) -> Finding:
    name = template_name(data_stream)
    answer = answer_of(api.indices.get_index_template(name=name))
    if answer.is_ok:
        return Finding("ok", f"index template {name}", f"installed, version {installed(answer.body).get('version', 'none')}")
    if answer.status == 404 and setup:
        return Finding("ok", f"index template {name}", "missing; it is installed at the start of a run")
    if answer.status == 404:
        return Finding("warning", f"index template {name}", "missing", "say `setup: true`, or see that another template fits")
    return Finding("warning", f"index template {name}", f"can't be read: {_said(answer)}")


def _of_pipeline(api: Elasticsearch, pipeline: str) -> Finding:
    answer = answer_of(api.ingest.get_pipeline(id=pipeline))
    subject = f"ingest pipeline {pipeline}"
    if answer.is_ok:
        return Finding("ok", subject, "there")
    if answer.status == 404:
        return Finding("error", subject, "missing", "create it, or mend `pipeline`")
    return Finding("warning", subject, f"can't be read: {_said(answer)}")


def _said(answer: HttpAnswer) -> str:
    try:
        return f"HTTP {answer.status} {describe(orjson.loads(answer.body)['error'])}"
    except (ValueError, TypeError, KeyError):
        return f"HTTP {answer.status}"


def _json(answer: HttpAnswer) -> Any:
    try:
        return orjson.loads(answer.body)
    except ValueError:
        return {}
