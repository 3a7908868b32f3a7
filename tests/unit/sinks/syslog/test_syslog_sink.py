"""What a syslog message says of an event; no sockets here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import env
from ualpipe.pipeline.errors import SinkDenied, SinkUnavailable
from ualpipe.pipeline.events import EncodedEvent, Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Batch
from ualpipe.sinks.syslog import tcp as _syslog_stream
from ualpipe.sinks.syslog import udp as _syslog_datagrams
from ualpipe.sinks.syslog.message import Composer
from ualpipe.sinks.syslog.sink import SyslogSink
from ualpipe.testing import check_options, encode, make_events, make_unencoded_events

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TENANT = "22222222-2222-2222-2222-222222222222"


def config(**options: Any) -> Any:
    return build(SyslogSink.Config, {"host": "siem.contoso.example", **options}, Path())


def message(event: EncodedEvent, **options: Any) -> bytes:
    return Composer(config(**options), "relay1").compose(event, NOW)


def event_of(body: bytes, document: dict[str, Any] | None = None, framing: Any = "array") -> EncodedEvent:
    chunk = Chunk(body, framing)
    record = chunk.records[0]
    origin = Origin("s", TENANT, "", "", chunk)
    return encode(Event(record if isinstance(record, dict) else {}, 0, origin, document=document))


def test_options_are_described() -> None:
    check_options(SyslogSink)


def test_a_message_names_time_action_and_record_and_carries_the_document() -> None:
    [made] = make_unencoded_events(1)
    assert made.document
    made.document["event"]["code"] = "MicrosoftTeams"
    event = encode(made)
    head, sd, text = message(event).partition(b" [")[0], message(event).partition(b" [")[2], event.encoded
    assert head == b"<134>1 2026-11-20T08:00:00Z relay1 ualpipe - MessageSent"
    assert sd == f'ualpipe@32473 id="{event.id}" tenant="{TENANT}" type="MicrosoftTeams"] '.encode() + text


def test_without_a_document_the_record_tells() -> None:
    event = event_of(b'[{"Id":"a","RecordType":8,"CreationTime":"2026-11-20T08:00:00","Operation":"Add user."}]')
    assert message(event) == (
        b'<134>1 2026-11-20T08:00:00Z relay1 ualpipe - Add_user. [ualpipe@32473 id="a" tenant="'
        + TENANT.encode()
        + b'" type="8"] '
        b'{"Id":"a","RecordType":8,"CreationTime":"2026-11-20T08:00:00","Operation":"Add user."}'
    )


def test_what_is_no_record_at_all_is_still_a_message() -> None:
    event = event_of(b"not JSON\rat all", framing="lines")
    expected = f'<134>1 - relay1 ualpipe - - [ualpipe@32473 tenant="{TENANT}"] not JSON\\rat all'
    assert message(event, payload="original") == expected.encode()


@pytest.mark.parametrize(
    ("facts", "priority"),
    [
        ({}, 134),
        ({"outcome": "success"}, 134),
        ({"outcome": "failure"}, 133),
        ({"kind": "alert", "outcome": "failure"}, 132),
        ({"kind": "pipeline_error"}, 131),
    ],
)
def test_severity_follows_kind_then_outcome(facts: dict[str, str], priority: int) -> None:
    assert message(event_of(b"[{}]", {"event": facts})).startswith(b"<%d>1 " % priority)


def test_severity_and_facility_can_be_chosen() -> None:
    options = {"facility": "audit", "severity": {"failure": "crit", "other": "debug"}}
    assert message(event_of(b"[{}]", {"event": {"outcome": "failure"}}), **options).startswith(b"<106>1 ")
    assert message(event_of(b"[{}]", {}), **options).startswith(b"<111>1 ")


def test_old_format_has_a_tag_and_takes_the_present_time_where_the_event_has_none() -> None:
    event = event_of(b'[{"CreationTime":"2026-11-05T08:00:00"}]')
    assert message(event, format="rfc3164") == b"<134>Nov  5 08:00:00 relay1 ualpipe: " + event.encoded
    assert message(event_of(b"[{}]"), format="rfc3164").startswith(b"<134>Nov 21 09:00:00 ")


def test_byte_order_mark_and_structured_data_are_options() -> None:
    event = event_of(b"[{}]")
    assert message(event, bom=True, structured_data=None) == b"<134>1 - relay1 ualpipe - - - \xef\xbb\xbf{}"
    assert b"\xef\xbb\xbf" not in message(event, bom=True, format="rfc3164")


def test_names_in_the_header_can_be_chosen() -> None:
    head = message(event_of(b"[{}]"), hostname="o365.contoso.example", app_name="audit", structured_data="o365@1")
    assert head.startswith(b'<134>1 - o365.contoso.example audit - - [o365@1 tenant="')


@pytest.mark.parametrize(("payload", "beginning"), [("cef", b"CEF:0|ualpipe|"), ("leef", b"LEEF:2.0|ualpipe|")])
def test_cef_and_leef_need_a_document(payload: str, beginning: bytes) -> None:
    assert beginning in message(event_of(b"[{}]", {}), payload=payload)
    with pytest.raises(SinkDenied, match="put the `ecs` transform in the pipeline"):
        message(event_of(b"[{}]"), payload=payload)


@given(st.text(), st.sampled_from(["ecs", "original", "cef", "leef"]), st.sampled_from(["rfc5424", "rfc3164"]))
def test_no_message_holds_a_line_break(text: str, payload: str, form: str) -> None:
    body = b'[\n{"Id":\r\n' + orjson.dumps(text) + b"}]"
    event = event_of(body, {"event": {"action": text, "id": text, "code": text}, "user": {"id": text}, "message": text})
    found = message(event, payload=payload, format=form)
    assert b"\n" not in found
    assert b"\r" not in found


def test_a_write_before_open_is_told() -> None:
    with pytest.raises(SinkUnavailable, match=r"siem\.contoso\.example:6514 \(tls\): write before open"):
        SyslogSink(config(), env("siem")).write(Batch(make_events(1)))


def test_closing_what_was_never_open_is_fine() -> None:
    sink = SyslogSink(config(), env("siem"))
    sink.close()
    sink.close()


# --- pace ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 70_000), min_size=1))
def test_bursts_hold_every_message_once_and_keep_to_their_bounds(sizes: list[int]) -> None:
    messages = [bytes(size) for size in sizes]
    bursts = list(_syslog_datagrams._bursts(messages))
    assert [index for burst in bursts for index in burst] == list(range(len(messages)))
    for burst in bursts:
        size = sum(sizes[index] for index in burst)
        assert len(burst) <= _syslog_datagrams.BURST_MESSAGES
        assert size <= _syslog_datagrams.BURST_BYTES or len(burst) == 1


def test_waits_grow_and_add_up_to_the_timeout() -> None:
    waits = list(_syslog_stream._growing_waits(10.0))
    assert waits[:4] == [0.001, 0.002, 0.004, 0.008]
    assert max(waits) == 0.05
    assert 10.0 <= sum(waits) < 10.1
