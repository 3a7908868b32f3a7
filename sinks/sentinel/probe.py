"""Questions to the Logs Ingestion API before a run: may we, and is everything called as the config says? Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkError, split_advice
from ualpipe.pipeline.stages import Finding
from ualpipe.sinks.sentinel.answers import TAKEN
from ualpipe.sinks.sentinel.cutting import body_of
from ualpipe.sinks.sentinel.tables import Table


def probe(
    log_in: Callable[[], object],
    post: Callable[[str, bytes], HttpAnswer],
    refusal: Callable[[HttpAnswer, str], SinkError],
    tables: Mapping[str, Table],
) -> Iterator[Finding]:
    """Yields findings about the log-in, and about each stream, to which a body without rows is sent.

    Args:
        log_in: Gets a token.
        post: Sends a body to a stream.
        refusal: Returns the error for an answer, and the stream that it is about.
        tables: By the names of their streams.
    """
    try:
        log_in()
    except SinkError as exc:
        yield _failed("log-in", exc)
        return
    yield Finding("ok", "log-in", "the app gets a token for Azure Monitor")
    for stream, table in tables.items():
        subject = f"stream {stream}"
        try:
            answer = post(stream, body_of(()))
        except SinkError as exc:
            yield _failed("endpoint", exc)
            return
        if answer.status == TAKEN:
            yield Finding("ok", subject, f"takes rows, for the table {table.name}")
        else:
            yield _failed(subject, refusal(answer, stream))


def _failed(subject: str, error: SinkError) -> Finding:
    happened, advice = split_advice(error)
    return Finding("error", subject, happened, advice or "check `endpoint`, `proxy`, `ca_file` and the network between")
