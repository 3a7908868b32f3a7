"""Questions to a cluster before a run: which product is it, does it know us, would it take our documents? Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkDenied, SinkError
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.stages import Finding
from ualpipe.pipeline.wording import shorten
from ualpipe.sinks.elasticsearch.answers import answer_of, of_the_cluster, said_of
from ualpipe.sinks.elasticsearch.data_stream import fields_of, next_fields, some, write_index
from ualpipe.sinks.elasticsearch.index_template import installed, must_install, template_name
from ualpipe.sinks.elasticsearch.product import Product, product_of, unsupported

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_TO_ROLL_OVER = ("view_index_metadata", "manage")
"""Privileges on the data stream without which documents are delivered all the same."""

_OPENSEARCH_ADVICE = "grant `cluster_manage_index_templates`, or install the template by other means and say `setup: false`"
_NOT_ASKED = (404, 405, 429)  # no answer to the question

_NO_SECURITY = (400, 404, 405)  # what servers without the security feature answer on its paths


def probe(
    api: Elasticsearch,
    data_stream: str,
    template_for: Callable[[Product], Mapping[str, Any]],
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
        template_for: Makes our index template, as ``setup`` would install it.
        pipeline: Name of the ingest pipeline.
        setup: Whether the sink installs the template.
        urls: Where the cluster is: some products are known by that alone.
    """
    try:
        root = answer_of(api.info())
        if other := unsupported(root, urls):
            yield Finding("error", "cluster", other)
            return
        product = (told := product_of(root, urls)) or Product()
        template = template_for(product)
        answer = _entered(api, product)
        yield (entry := _of_entry(answer, product))
        if entry.level == "error":
            return
        if answer.is_ok and not product.is_opensearch:  # which can't be asked
            yield from _of_privileges(api, data_stream, setup=setup)
        found = answer_of(api.indices.get_index_template(name=template_name(data_stream)))
        yield _of_template(found, data_stream, setup=setup)
        if setup:
            yield from _of_installation(api, found, template_for, told)
        yield _of_data_stream(api, data_stream, found, template, product, setup=setup)
        if pipeline:
            yield _of_pipeline(api, pipeline)
    except SinkError as exc:
        yield Finding("error", "cluster", str(exc), "check `urls`, the TLS options and the network between")


def _entered(api: Elasticsearch, product: Product) -> HttpAnswer:
    """Returns the answer of the cluster to the question who we are."""
    if product.is_opensearch:
        return answer_of(api.perform_request("GET", "/_plugins/_security/authinfo"))
    return answer_of(api.security.authenticate())


def _of_entry(answer: HttpAnswer, product: Product) -> Finding:
    if answer.is_ok:
        return Finding("ok", "cluster", f"reached {product}, logged in as {_user(answer)}")
    if answer.status in _NO_SECURITY:
        return Finding("ok", "cluster", f"reached {product}; it asks for no log-in")
    if answer.status == 403 and product.is_opensearch:
        return Finding("warning", "cluster", f"reached {product}; it does not say who we are: {_said(answer)}")
    if answer.status == 401:
        return Finding("error", "log-in", _said(answer), "check `api_key`, or `username` and `password`")
    return Finding("error", "cluster", _said(answer), "check `urls`, and whether the cluster answers there")


def _user(answer: HttpAnswer) -> str:
    """Returns who we are, with our roles where the answer is OpenSearch's, whose permissions can't be asked for."""
    found = _json(answer)
    found = found if isinstance(found, dict) else {}
    name, roles = str(found.get("username") or found.get("user_name") or "?"), found.get("roles")
    if "user_name" not in found:
        return shorten(name)
    named = ", ".join(map(str, roles)) if isinstance(roles, list) and roles else "none"
    return f"{shorten(name)} with the roles {shorten(named)}; whether these may write, the first documents show"


def _of_installation(
    api: Elasticsearch, found: HttpAnswer, template_for: Callable[[Product], Mapping[str, Any]], product: Product | None
) -> Iterator[Finding]:
    """Yields why the index template can't be installed, where it has to be: the cluster composes it without keeping it."""
    there = installed(found.body) if found.is_ok else None
    for candidate in [product] if product else [Product(), Product("OpenSearch")]:  # a run tries both, too
        template = template_for(candidate)
        if not must_install(there, template):
            return
        answer = answer_of(api.indices.simulate_template(body=dict(template)))
        if answer.is_ok or answer.status in _NOT_ASKED or answer.status >= 500:
            return
    if answer.status in (401, 403):
        advice = _OPENSEARCH_ADVICE if candidate.is_opensearch else _advice(["manage_index_templates"], "")
        yield Finding("error", "index template", f"can't be installed: {_said(answer)}", advice)
        return
    yield Finding("error", "index template", f"would be refused: {_said(answer)}", "install another one, and say `setup: false`")


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
    with of_the_cluster("the answer about privileges"):
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


def rights_to_roll_over(product: Product) -> str:
    """Returns what lets a user roll a data stream over, in the words of a product."""
    if product.is_opensearch:
        return "`indices:admin/resolve/index`, `indices:admin/mappings/get`, `indices:monitor/stats` and `indices:admin/rollover`"
    return " and ".join(f"`{name}`" for name in _TO_ROLL_OVER)


def _next_fields(
    ask: Callable[[], Mapping[str, Any]], answer: HttpAnswer, template: Mapping[str, Any], *, setup: bool
) -> Mapping[str, Any]:
    """Returns the fields of the next backing index, after ``setup``; where we may not ask, those of our template."""
    found = installed(answer.body) if answer.is_ok else None
    if setup and must_install(found, template):
        return fields_of(template)
    try:
        return ask()
    except SinkDenied:
        return fields_of(found or template)


def _of_data_stream(
    api: Elasticsearch, data_stream: str, answer: HttpAnswer, template: Mapping[str, Any], product: Product, *, setup: bool
) -> Finding:
    subject = f"data stream {data_stream}"
    try:
        index = write_index(api, data_stream, _denied)
    except SinkDenied as exc:
        what = f"can't be read: {exc}"
        right = rights_to_roll_over(product) if product.is_opensearch else "`view_index_metadata`"
        return Finding("warning", subject, what, f"grant {right} to see whether it needs a rollover")
    if index is None:
        return Finding("ok", subject, "missing; it is made with the first document")
    ask = partial(next_fields, api, data_stream, _denied, by_template=product.is_opensearch)
    if conflicts := index.conflicts(_next_fields(ask, answer, template, setup=setup)):
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
