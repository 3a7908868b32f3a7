"""Delivers events to a data stream of Elasticsearch or OpenSearch with the bulk API; what comes again is not written twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ualpipe import schemas
from ualpipe.clients.answer import HttpAnswer
from ualpipe.clients.posting.compression import gzipped
from ualpipe.clients.tls import tls_of
from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.errors import ConfigError, SinkDenied, SinkError, SinkRejected, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.options import Secret
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.elasticsearch.answers import answer_of, refusal
from ualpipe.sinks.elasticsearch.bulk import bulk_body, existing, failures
from ualpipe.sinks.elasticsearch.data_stream import bring_up_to_date
from ualpipe.sinks.elasticsearch.index_template import installed, is_ours, must_install, template_name, wanted
from ualpipe.sinks.elasticsearch.opensearch import content_for_opensearch, flat_objects, is_for_length, shortened
from ualpipe.sinks.elasticsearch.options import ElasticsearchSinkConfig
from ualpipe.sinks.elasticsearch.probe import probe, rights_to_roll_over
from ualpipe.sinks.elasticsearch.product import Product, product_of, unsupported
from ualpipe.sinks.outcome import raise_if_all_failed
from ualpipe.sinks.splitting import cut, halved, joined, size_of

if TYPE_CHECKING:
    from ualpipe.sinks.elasticsearch.connection import Connection

TEMPLATE = "elasticsearch/index-template.json"
_EXISTING = (
    "documents that were there already (409), which count as delivered: %d of %d; they are from an earlier attempt or a replay,"
    " or another pipeline writes the same records to this data stream"
)
SMALL = 100
"""Events at least in each request, where several are sent at once."""


class ElasticsearchSink:
    """Creates one document an event in a data stream."""

    Config = ElasticsearchSinkConfig

    def __init__(self, config: ElasticsearchSinkConfig, env: Env) -> None:
        if config.api_key and config.username:
            raise ConfigError("elasticsearch: give either `api_key` or `username` and `password`, not both")
        if bool(config.username) != bool(config.password):
            raise ConfigError("elasticsearch: `username` and `password` belong together")
        self.limits = SinkLimits(max_events=2000, max_bytes=8 * 1024 * 1024)
        self._config = config
        self._env = env
        self._connection: Connection | None = None
        self._is_set_up = not config.setup
        self._is_recognised = False
        self._product = Product()
        self._requires_data_stream = True
        self._has_told = False  # that documents were there already
        self._largest = self.limits.max_bytes  # bytes of documents in a request that the server takes, as far as we know

    def check(self) -> Iterable[Finding]:
        """Asks the cluster, without writing, whether it knows us and would take documents."""
        config, connection = self._config, self._connect()
        try:
            yield from probe(
                connection.api,
                config.data_stream,
                _template_for(config.data_stream),
                pipeline=config.pipeline,
                setup=config.setup,
                urls=config.urls,
            )
        finally:
            connection.close()

    def open(self) -> None:
        """Connects, sees which product answers, and installs the index template the first time.

        Raises:
            SinkUnavailable: The cluster gives no answer.
            SinkDenied: The cluster refuses our credentials, or the right to install the template; or it is neither
                Elasticsearch nor OpenSearch, or one that is too old.
        """
        self._connection = self._connection or self._connect()
        if not self._is_recognised:
            self._recognise(self._connection)
        if not self._is_set_up:
            self._set_up(self._connection)
            self._is_set_up = True

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        """Creates the documents; those that exist already count as delivered."""
        parts = _parts(batch.events, self._config.concurrency, self._largest)
        errors = self._deliver_at_once(parts) if len(parts) > 1 else self._deliver(batch.events)
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def interrupt(self) -> None:
        """Ends all connections at once."""
        if (connection := self._connection) is not None:
            connection.cut()

    def close(self) -> None:
        """Closes the connections."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, **how: Any) -> Connection:
        # Loads the client, which `check` of a config and `--help` have no time for.
        from ualpipe.sinks.elasticsearch.connection import Connection, authorization  # noqa: PLC0415

        config = self._config
        return Connection(
            config.urls,
            authorization=authorization(_revealed(config.api_key), config.username, _revealed(config.password)),
            tls=tls_of(config),
            timeout_s=config.timeout,
            at_once=config.concurrency,
            **how,
        )

    def _recognise(self, connection: Connection) -> None:
        answer = self._first_answer(connection)
        if other := unsupported(answer, self._config.urls):
            raise SinkDenied(other)
        found = product_of(answer, self._config.urls)
        self._is_recognised = found is not None  # who may not ask, and gets no hint, is told by what follows
        self._product = found or self._product
        if self._product.is_opensearch:
            self._requires_data_stream = False  # it does not know the parameter

    def _first_answer(self, connection: Connection) -> HttpAnswer:
        """Returns what the first node says of itself that can be reached; one that fails is passed over."""
        for _other in self._config.urls[1:]:
            with suppress(SinkUnavailable):
                return answer_of(connection.api.info())
        return answer_of(connection.api.info())

    def _set_up(self, connection: Connection) -> None:
        if is_ours(self._installed_template(connection, template_name(self._config.data_stream))):
            self._bring_up_to_date(connection)

    def _installed_template(self, connection: Connection, name: str) -> Mapping[str, Any]:
        """Returns the index template that is there, after it was written where it was missing or older."""
        template = _template_for(self._config.data_stream)(self._product)
        answer = answer_of(connection.api.indices.get_index_template(name=name))
        if not answer.is_ok and answer.status != 404:
            raise self._not_set_up(answer)
        found = installed(answer.body) if answer.is_ok else None
        if found is not None and not must_install(found, template):
            return found
        answer = answer_of(connection.api.indices.put_index_template(name=name, body=template))
        if answer.status == 400 and not self._is_recognised and b"[flattened]" in answer.body:
            self._product = Product("OpenSearch")  # behind a proxy that hides what it is
            self._is_recognised, self._requires_data_stream = True, False
            return self._installed_template(connection, name)
        if not answer.is_ok:
            raise self._not_set_up(answer)
        self._env.log.info("installed the index template %s", name)
        return template

    def _bring_up_to_date(self, connection: Connection) -> None:
        """Rolls the data stream over where its write index can't take the template; says so where that is not ours to do.

        Documents go to an older index as well: delivering does not wait for it.
        """
        data_stream = self._config.data_stream
        try:
            done = bring_up_to_date(connection.api, data_stream, self._refusal, by_template=self._product.is_opensearch)
        except SinkDenied as exc:
            self._env.log.warning(
                "%s may need a rollover before detection rules can read new documents, and it can't be done or seen: %s; grant "
                "%s on it, or send POST /%s/_rollover once after an update",
                *(data_stream, exc, rights_to_roll_over(self._product), data_stream),
            )
        else:
            if done:
                self._env.log.info("%s", done)

    def _not_set_up(self, answer: HttpAnswer) -> SinkError:
        error = self._refusal(answer)
        if not isinstance(error, SinkDenied):
            return error
        right = "cluster_manage_index_templates" if self._product.is_opensearch else "manage_index_templates"
        return SinkDenied(
            f"the index template can't be installed: {error}; grant `{right}`, "
            f"or install it by other means and say `setup: false`"
        )

    def _deliver_at_once(self, parts: Sequence[Sequence[EncodedEvent]]) -> dict[int, SinkError]:
        with ThreadPoolExecutor(min(len(parts), self._config.concurrency), thread_name_prefix="bulk") as pool:
            return joined(parts, pool.map(self._deliver_part, parts))

    def _deliver(self, events: Sequence[EncodedEvent]) -> dict[int, SinkError]:
        body = bulk_body(events)
        requires_data_stream = self._requires_data_stream  # another thread may learn meanwhile that the server can't do it
        answer = self._send(body, len(events), requires_data_stream=requires_data_stream)
        if answer.status == 413:
            return self._deliver_in_halves(events, len(body))
        if answer.status == 400 and requires_data_stream and b"require_data_stream" in answer.body:
            self._requires_data_stream = False  # servers before 8.13 and OpenSearch don't know the parameter
            return self._deliver(events)
        if not answer.is_ok:
            raise self._refusal(answer)
        errors = failures(answer.body, len(events))
        self._note_existing(existing(answer.body), len(events))
        return self._deliver_shortened(events, errors) if errors else errors

    def _deliver_shortened(self, events: Sequence[EncodedEvent], errors: dict[int, SinkError]) -> dict[int, SinkError]:
        """Sends documents again of which OpenSearch says that a value is too long, with what is too long set aside."""
        paths = flat_objects(schemas.read_json(TEMPLATE)) if any(map(is_for_length, errors.values())) else []
        made = {at: shortened(events[at], paths) for at, error in errors.items() if paths and is_for_length(error)}
        again = {at: replace(events[at], encoded=encoded) for at, encoded in made.items() if encoded}
        if not again:
            return errors
        found = self._deliver_part(list(again.values()))
        kept = {at: error for at, error in errors.items() if at not in again}
        return kept | {at: error for number, at in enumerate(again) if (error := found.get(number))}

    def _note_existing(self, count: int, of: int) -> None:
        """Counts documents that were there already, and says so once: after a crash that is as it should be."""
        if not count:
            return
        self._env.metrics.add(m.EVENTS_EXISTING, count, sink=self._env.name)
        if not self._has_told:
            self._has_told = True
            self._env.log.info(_EXISTING, count, of)

    def _deliver_in_halves(self, events: Sequence[EncodedEvent], size: int) -> dict[int, SinkError]:
        """Sends events that were too large for one request (413) in two; from now on no request has more than half their size.

        The engine is asked for writes of no more than can be sent at once: a write to a server that is down then fails soon.
        """
        if len(events) == 1:
            return {0: SinkRejected(f"the server takes no request of {size} bytes (HTTP 413), and this is a single document")}
        self._largest = min(self._largest, size_of(events) // 2)
        at_once = max(1, self._largest) * self._config.concurrency
        self.limits = replace(self.limits, max_bytes=min(self.limits.max_bytes, at_once))
        halves = cut(events, 2)
        return joined(halves, map(self._deliver_part, halves))

    def _deliver_part(self, events: Sequence[EncodedEvent]) -> dict[int, SinkError]:
        try:
            return self._deliver(events)
        except SinkError as exc:
            return dict.fromkeys(range(len(events)), exc)  # the other parts may be delivered

    def _send(self, body: bytes, events: int, *, requires_data_stream: bool) -> HttpAnswer:
        if self._connection is None:
            raise SinkUnavailable("write before open")
        headers = {"content-type": "application/x-ndjson"}
        if self._config.compress:
            body, headers["content-encoding"] = gzipped(body), "gzip"
        target = self._bulk_target(requires_data_stream=requires_data_stream)
        return self._connection.request("POST", target, body, headers, events=events)

    def _bulk_target(self, *, requires_data_stream: bool) -> str:
        query = "filter_path=errors,items.create.status,items.create.error"  # a tenth of the full answer
        if requires_data_stream:
            query += "&require_data_stream=true"  # never a plain index of that name, whose mapping would be guessed
        if self._config.pipeline:
            query += f"&pipeline={quote(self._config.pipeline, safe='')}"
        return f"/{self._config.data_stream}/_bulk?{query}"

    def _refusal(self, answer: HttpAnswer) -> SinkError:
        return refusal(answer, self._env.clock.now())


def _template_for(data_stream: str) -> Callable[[Product], dict[str, Any]]:
    """Returns a function that makes our index template in the form of a product."""

    def made(product: Product) -> dict[str, Any]:
        content = schemas.read_json(TEMPLATE)
        return wanted(data_stream, content_for_opensearch(content) if product.is_opensearch else content)

    return made


def _revealed(secret: Secret | None) -> Any:
    return secret.reveal() if secret else None


def _parts(events: Sequence[EncodedEvent], at_once: int, largest: int) -> list[Sequence[EncodedEvent]]:
    """Returns the events in as many parts as are sent at once, none of them small; in more where those would be too large."""
    parts = cut(events, max(1, min(at_once, len(events) // SMALL)))
    return [piece for part in parts for piece in halved(part, largest)]
