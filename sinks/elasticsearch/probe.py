"""Questions to an Elasticsearch cluster before a run: does it know us, and would it take our documents? Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkDenied, SinkError
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.elasticsearch.answers import answer_of, of_elasticsearch, said_of
from ualpipe.sinks.elasticsearch.data_stream import fields_of, next_fields, some, write_index
from ualpipe.sinks.elasticsearch.index_template import installed, must_install, template_name
from ualpipe.sinks.elasticsearch.product import unsupported

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_TO_ROLL_OVER = ("view_index_metadata", "manage")
"""Privileges on the data stream without which documents are delivered all the same."""

_NO_SECURITY = (400, 404, 405)  # what servers without the security feature answer on its paths


def probe(
    api: Elasticsearch,
    data_stream: str,
    template: Mapping[str, Any],
    *,
    pipeline: str | None,
    setup: bool,
    urls: Sequence[str] = (),
) -> Iterator[Finding]:
    """Yields findings about product, cluster, user, privileges, template, data stream and pipeline.

    Stops where going on makes no sense.

    Args:
        api: The cluster.
        data_stream: Its name.
        template: Our index template, as ``setup`` would install it.
        pipeline: Name of the ingest pipeline.
        setup: Whether the sink installs the template.
        urls: Where the cluster is: some products are known by that alone.
    """
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
        found = answer_of(api.indices.get_index_template(name=template_name(data_stream)))
        yield _of_template(found, data_stream, setup=setup)
        yield _of_data_stream(api, data_stream, found, template, setup=setup)
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
        index=[{"names": [data_stream], "privileges": ["create_doc", "auto_configure", *(_TO_ROLL_OVER if setup else ())]}],
    )
    answer = answer_of(response)
    if not answer.is_ok:
        yield Finding("warning", "privileges", f"can't be asked for: {_said(answer)}")
        return
    found = _json(answer)
    with of_elasticsearch("the answer about privileges"):
        held = {**found["cluster"], **found["index"][data_stream]}
    lacking = [name for name, is_held in held.items() if not is_held]
    missing = [name for name in lacking if name not in _TO_ROLL_OVER]
    if lacking and not missing:
        why = f"missing: {', '.join(lacking)}, without which the data stream can't be rolled over after an update"
        yield Finding("warning", "privileges", why, f"grant them on {data_stream}, or roll it over by hand")
    elif missing:
        yield Finding("error", "privileges", f"missing: {', '.join(missing)}", _advice(missing, data_stream))
    else:
        yield Finding("ok", "privileges", ", ".join(held))


def _advice(missing: list[str], data_stream: str) -> str:
    if missing == ["manage_index_templates"]:
        return "grant it, or install the template by other means and say `setup: false`"
    return f"grant them to the user or API key, on {data_stream}"


def _next_fields(
    api: Elasticsearch, data_stream: str, answer: HttpAnswer, template: Mapping[str, Any], *, setup: bool
) -> Mapping[str, Any]:
    """Returns the fields of the next backing index, after ``setup``; where we may not ask, those of our template."""
    found = installed(answer.body) if answer.is_ok else None
    if setup and must_install(found, template):
        return fields_of(template)
    try:
        return next_fields(api, data_stream, _denied)
    except SinkDenied:
        return fields_of(found or template)


def _of_data_stream(
    api: Elasticsearch, data_stream: str, answer: HttpAnswer, template: Mapping[str, Any], *, setup: bool
) -> Finding:
    subject = f"data stream {data_stream}"
    try:
        index = write_index(api, data_stream, _denied)
    except SinkDenied as exc:
        what = f"can't be read: {exc}"
        return Finding("warning", subject, what, "grant `view_index_metadata` to see whether it needs a rollover")
    if index is None:
        return Finding("ok", subject, "missing; it is made with the first document")
    if conflicts := index.conflicts(_next_fields(api, data_stream, answer, template, setup=setup)):
        return _needs_rollover(data_stream, subject, some(conflicts), setup=setup)
    return Finding("ok", subject, f"there; documents go to {index.name}")


def _denied(answer: HttpAnswer) -> SinkError:
    return SinkDenied(_said(answer))


def _needs_rollover(data_stream: str, subject: str, fields: str, *, setup: bool) -> Finding:
    what = f"needs a rollover: in its write index {fields} can't become what the template says"
    if setup:
        return Finding("ok", subject, f"{what}; it is rolled over at the start of a run")
    return Finding("warning", subject, what, f"say `setup: true`, or send POST /{data_stream}/_rollover once")


def _of_template(answer: HttpAnswer, data_stream: str, *, setup: bool) -> Finding:
    name = template_name(data_stream)
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
    return f"HTTP {answer.status} {said_of(answer.body)}".rstrip()


def _json(answer: HttpAnswer) -> Mapping[str, Any]:
    with suppress(UnreadableJson):
        return read_object(answer.body)
    return {}
