"""Logs: one JSON object a line on stderr (or plain lines on a terminal), with secrets blanked whatever path they came by."""

from __future__ import annotations

import json
import logging
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from ualpipe.pipeline.observe.hooks import in_short
from ualpipe.pipeline.redaction import Redactor, hide_whole
from ualpipe.pipeline.wording import visible, visible_json

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
LIBRARIES = (
    "elastic_transport",
    "elasticsearch",
    "kafka",
    "msal",
    "urllib3",
)  # at DEBUG they print whole events


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; keyword context given as ``extra`` becomes members."""

    def __init__(self, redact: Redactor, *, with_traces: bool = True) -> None:
        """Takes what blanks secrets, and whether an error stands with its traceback or in one line."""
        super().__init__()
        self._redact = redact
        self._with_traces = with_traces

    def format(self, record: logging.LogRecord) -> str:
        own = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            own["exception"] = self.formatException(record.exc_info) if self._with_traces else _in_short(record)
        line = {name: self._shown(value) for name, value in {**own, **context_of(record), **own}.items()}
        try:
            return visible_json(orjson.dumps(line).decode())
        except TypeError:  # a number or text that orjson does not write: no reason to lose a line
            return json.dumps(line)

    def _shown(self, value: Any) -> Any:
        """Returns a value with secrets blanked in its texts, as what JSON can hold."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._redact(str(key)): self._shown(part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._shown(part) for part in value]
        return self._redact(str(value))


class PlainFormatter(logging.Formatter):
    """Formats a record for a person: message and context, with time and level in front unless the live view shows them."""

    def __init__(self, redact: Redactor, *, is_timed: bool = True, with_traces: bool = True) -> None:
        """Takes what blanks secrets, whether a line has its time, and whether an error stands with its traceback."""
        super().__init__()
        self._redact = redact
        self._is_timed = is_timed
        self._with_traces = with_traces

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        context = "".join(f"  {key}={value}" for key, value in _flat(context_of(record)))
        head = f"{time} {record.levelname.lower():7s} " if self._is_timed else ""
        text = f"{head}{record.name.removeprefix('ualpipe.')}: {visible(self._redact(record.getMessage() + context))}"
        if not record.exc_info:
            return text
        if not self._with_traces:
            return f"{text}: {visible(self._redact(_in_short(record)))}"
        trace = visible(self._redact(self.formatException(record.exc_info)), keeps_lines=True)
        return f"{text}\n{textwrap.indent(trace, '  ')}"  # no line of it may pass for one of the log


def _flat(context: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields context as a person reads it: members of a mapping each by itself (``delivered.siem=5``), lists with commas."""
    for key, value in context.items():
        if isinstance(value, dict):
            yield from _flat({f"{key}.{name}": part for name, part in value.items()})
        elif isinstance(value, list | tuple | set | frozenset):
            yield key, ", ".join(map(str, value))
        else:
            yield key, str(value)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; of one that can't be written nothing is printed but that, for logging would print its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        with suppress(OSError, ValueError):
            self.stream.write(f"a line of {record.name} can't be written\n")


def set_up(
    level: str,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    *,
    plain: bool | None = None,
    libraries: str = "warning",
) -> None:
    """Sends all logs to one stream, and makes secrets known to ``blanked``.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``. With ``debug`` alone errors stand with their traceback.
        secrets: Texts that are blanked where they stand whole, in any spelling; those of secret options are known in parts too.
        stream: Where logs go; stderr by default.
        plain: Lines for people instead of JSON; by default where the stream is a terminal.
        libraries: Level of the clients' own loggers, ``info`` with ``debug``.
    """
    out = stream or sys.stderr
    for secret in secrets:
        hide_whole(secret)
    redact, traces = Redactor(), level == "debug"
    handler = _Handler(out)
    is_plain = out.isatty() if plain is None else plain
    handler.setFormatter(PlainFormatter(redact, with_traces=traces) if is_plain else JsonFormatter(redact, with_traces=traces))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else libraries.upper())


def _in_short(record: logging.LogRecord) -> str:
    exc = record.exc_info[1] if record.exc_info else None
    return in_short(exc) if exc is not None else ""


def context_of(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
