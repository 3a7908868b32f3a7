"""What a syslog message says of an event: priority, header, structured data and text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import Any

from ualpipe.pipeline.errors import SinkDenied
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.wording import visible_json
from ualpipe.sinks.event_fields import original_line, parse_instant
from ualpipe.sinks.syslog import frames
from ualpipe.sinks.syslog.cef import cef
from ualpipe.sinks.syslog.leef import leef
from ualpipe.sinks.syslog.options import SeverityOptions, SyslogSinkConfig

# A blank between values needs no escape.
_STRING_OR_BLANK = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\t\r\n]', re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_RESENT = frames.parameter("resent", "1").encode()


class Composer:
    """Makes messages by the options of one sink."""

    def __init__(self, config: SyslogSinkConfig, hostname: str) -> None:
        """Takes the options.

        Args:
            config: The sink's options.
            hostname: Name of the machine, used where the options name none.
        """
        base = 8 * frames.FACILITIES[config.facility]
        self._config = config
        self._priorities = {rule: base + number for rule, number in _severities(config.severity).items()}
        self._hostname = config.hostname or frames.printable(hostname, frames.MAX_HOSTNAME)
        self._tag = frames.tag_of(config.app_name)
        self._text = _PAYLOADS[config.payload]
        self._before = frames.UTF8_BOM if config.bom and config.format == "rfc5424" else b""

    def compose(self, event: EncodedEvent, now: datetime) -> bytes:
        """Returns the message of an event, without framing and line breaks.

        Args:
            event: The event, with or without a document.
            now: The time in the header of RFC 3164, which needs one, for an event that has none.

        Raises:
            SinkDenied: CEF or LEEF is wanted and there is no document to make it of.
        """
        text = self._text(event)
        priority = self._priorities[_rule(event)]
        instant = parse_instant(event.time)
        if self._config.format == "rfc3164":
            return frames.rfc3164(priority, instant or now, self._hostname, self._tag).encode() + text
        head = frames.rfc5424(priority, instant, self._hostname, self._config.app_name, event.action, self._data(event))
        return head.encode("utf-8", "replace") + self._before + text

    def resent(self, message: bytes) -> bytes:
        """Returns a message with the mark that it may have come before, where its form has room for one."""
        sd_id = self._config.structured_data
        return message if sd_id is None or self._config.format != "rfc5424" else frames.with_parameter(message, sd_id, _RESENT)

    def _data(self, event: EncodedEvent) -> str:
        if (sd_id := self._config.structured_data) is None:
            return "-"
        return frames.structured_data(sd_id, frames.parameter("id", event.id), _tenant_and_type(event.tenant, event.code))


@functools.lru_cache(maxsize=4096)
def _tenant_and_type(tenant: str, kind: str) -> str:
    return frames.parameter("tenant", tenant) + frames.parameter("type", kind)


def _severities(options: SeverityOptions) -> dict[str, int]:
    rules = ("pipeline_error", "alert", "failure", "other")
    return {rule: frames.SEVERITIES[getattr(options, rule)] for rule in rules}


def _rule(event: EncodedEvent) -> str:
    """Returns which rule of ``SeverityOptions`` an event falls under."""
    if event.kind in ("alert", "pipeline_error"):
        return event.kind
    return "failure" if event.outcome == "failure" else "other"


def _formatted(make: Callable[[dict[str, Any], str], bytes]) -> Callable[[EncodedEvent], bytes]:
    ours = version("ualpipe")

    def text(event: EncodedEvent) -> bytes:
        if (document := event.decode_document()) is None:
            raise SinkDenied(
                "CEF and LEEF are made of ECS documents: put the `ecs` transform in the pipeline, or send `original`"
            )
        return make(document, ours)

    return text


def _harmless(text: bytes) -> bytes:
    """Returns JSON, or what should have been, without anything that a receiver or its terminal would act on; values stay."""
    if text.isascii() and _CONTROL.search(text) is None:
        return text
    return visible_json(_STRING_OR_BLANK.sub(_spaced, text.decode("utf-8", "replace"))).encode()


def _spaced(found: re.Match[str]) -> str:
    return found[0] if found[0][0] == '"' else " "


_PAYLOADS: dict[str, Callable[[EncodedEvent], bytes]] = {
    "ecs": lambda event: _harmless(event.encoded),
    "original": lambda event: _harmless(original_line(event)),
    "cef": _formatted(cef),
    "leef": _formatted(leef),
}
