"""What goes out: one line whatever the record holds, nothing that a terminal or receiver acts on, and no secret."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

import fakes
import odd_records
from fuzz.odd_bytes import acting
from fuzz.targets import reads
from ualpipe.pipeline.errors import PipelineError
from ualpipe.pipeline.events import EncodedEvent, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.process.transforming import events_of, transform_group
from ualpipe.pipeline.records.chunk import Chunk, Piece, packed_pieces
from ualpipe.pipeline.redaction import PART_LENGTH, blanked, forget, hide
from ualpipe.pipeline.wording import visible
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.syslog.cef import cef
from ualpipe.sinks.syslog.leef import leef
from ualpipe.sinks.syslog.message import Composer
from ualpipe.sinks.syslog.options import SyslogSinkConfig
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ACTING = {*range(0x20), 0x7F}
FORMATS = ("ecs", "cef", "leef", "original")


def _ecs() -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    made.open()
    return made


ECS = _ecs()


def _encoded(raw: bytes) -> list[EncodedEvent]:
    origin = Origin("s", "t", "stream", "item", Chunk(packed_pieces([Piece(raw)]), "pieces"))
    return list(transform_group(list(events_of(origin, ())), [ECS.apply], {}).events)


def _composer(payload: str) -> Composer:
    values = {"host": "siem.contoso.example", "transport": "tcp", "payload": payload}
    return Composer(build(SyslogSinkConfig, values, Path()), "host")


@reads("ualpipe.sinks.syslog.message:Composer.compose")
@given(odd_records.lines())
def test_a_record_is_one_message_of_one_line_in_each_format(raw: bytes) -> None:
    for payload in FORMATS:
        composer = _composer(payload)
        made, _errors = encoded(_encoded(raw), lambda found, use=composer: [use.compose(event, NOW) for event in found])
        for message in made.values():
            text = message.replace(b"\t", b" ") if payload == "leef" else message  # a tab parts fields there
            assert not set(text) & ACTING
            assert not acting(text.decode("utf-8"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
FIELDS = st.sampled_from(["@timestamp", "event", "user", "source", "file", "message", "o365", "rule", "host", "organization"])
INNER = st.sampled_from(
    ["id", "action", "kind", "name", "ip", "outcome", "category", "severity", "audit", "port", "email", "domain"]
)


@reads("ualpipe.sinks.syslog.cef:cef", "ualpipe.sinks.syslog.leef:leef")
@given(st.dictionaries(FIELDS, JSON | st.dictionaries(INNER, JSON, max_size=5), max_size=6))
def test_any_document_is_one_line_of_cef_and_of_leef(document: dict[str, object]) -> None:
    for make in (cef, leef):
        try:
            line = make(document, "1.0")
        except (PipelineError, TypeError, ValueError, AttributeError, KeyError):  # an error of that event: `sinks.encoding`
            continue
        assert not set(line) & (ACTING - {0x09})


@reads("ualpipe.pipeline.wording:visible")
@given(st.text() | st.text("\x00\x1b\x9b\u202e\u2028\ufeff\udc00\n\ra", max_size=30))
def test_what_is_shown_has_nothing_that_a_terminal_acts_on(text: str) -> None:
    assert not acting(visible(text))


SECRETS = st.text(min_size=PART_LENGTH, max_size=60) | st.text("aA1~._-+/=\"\\%'", min_size=PART_LENGTH, max_size=60)


@reads("ualpipe.pipeline.redaction:blanked")
@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_blanked_wherever_it_stands(secret: str, before: str, behind: str) -> None:
    assume(secret.strip() == secret and len(set(secret)) > 3 and secret not in before + behind)
    assume(secret.isprintable())
    forget()
    try:
        hide(secret)
        for said in (secret, orjson.dumps(secret).decode(), repr(secret)):
            assert secret not in blanked(f"{before} {said} {behind}")
    finally:
        forget()
