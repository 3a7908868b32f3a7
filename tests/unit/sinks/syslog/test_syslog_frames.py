"""RFC 5424 and RFC 3164 headers, structured data and framing, read back by parsers written from the RFCs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.wording import without_acting
from ualpipe.sinks.syslog import frames

AT = datetime(2026, 11, 5, 8, 15, 30, tzinfo=UTC)

_RFC5424 = re.compile(
    rb"<(?P<pri>0|[1-9][0-9]{0,2})>1 "
    rb"(?P<time>-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) "
    rb"(?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
    rb"(?P<sd>-|\[.*?(?<!\\)(?:\\\\)*\])(?: (?P<msg>.*))?",
    re.DOTALL,
)
_PARAMETER = re.compile(r' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')


def parse_sd(text: str) -> tuple[str, dict[str, str]]:
    head = re.match(r"\[([!#-<>-\\^-~]{1,32})", text)
    assert head
    assert text.endswith("]")
    body = text[head.end() : -1]
    found = list(_PARAMETER.finditer(body))
    assert "".join(match[0] for match in found) == body
    return head[1], {match[1]: re.sub(r'\\(["\\\]])', r"\1", match[2]) for match in found}


def parse_octet_counted(stream: bytes) -> list[bytes]:
    messages = []
    while stream:
        length, _blank, stream = stream.partition(b" ")
        messages.append(stream[: int(length)])
        assert len(messages[-1]) == int(length)
        stream = stream[int(length) :]
    return messages


def test_rfc5424_header_has_every_part_in_its_place() -> None:
    head = frames.rfc5424(134, AT, "relay.contoso.example", "ualpipe", "UserLoggedIn", "-")
    assert head == "<134>1 2026-11-05T08:15:30Z relay.contoso.example ualpipe - UserLoggedIn - "


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (AT, "2026-11-05T08:15:30Z"),
        (AT.replace(microsecond=120_000), "2026-11-05T08:15:30.120Z"),
        (AT.replace(microsecond=123_456), "2026-11-05T08:15:30.123456Z"),
        (datetime(2026, 11, 5, 10, 15, 30, tzinfo=timezone(timedelta(hours=2))), "2026-11-05T08:15:30Z"),
        (None, "-"),
    ],
)
def test_time_is_utc_with_no_more_digits_than_known(instant: datetime | None, text: str) -> None:
    assert frames.rfc5424(14, instant, "h", "a", "m", "-").split(" ")[1] == text


def test_rfc3164_pads_the_day_with_a_blank_and_speaks_utc() -> None:
    assert frames.rfc3164(134, AT, "relay", "ualpipe") == "<134>Nov  5 08:15:30 relay ualpipe: "
    east = datetime(2026, 12, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert frames.rfc3164(134, east, "relay", "ualpipe") == "<134>Nov 30 23:00:00 relay ualpipe: "


@given(st.integers(0, 191), st.datetimes(timezones=st.just(UTC)) | st.none(), st.text(), st.text())
def test_any_event_makes_a_header_that_parses(priority: int, instant: datetime | None, msgid: str, value: str) -> None:
    data = frames.structured_data("ualpipe@32473", frames.parameter("id", value))
    message = (frames.rfc5424(priority, instant, "relay", "ualpipe", msgid, data) + "text").encode("utf-8", "replace")
    match = _RFC5424.fullmatch(message)
    assert match
    assert match["pri"] == str(priority).encode()
    assert match["msg"] == b"text"


@given(st.dictionaries(st.sampled_from(["id", "tenant", "type"]), st.text(min_size=1)))
def test_structured_data_reads_back_as_written(parameters: dict[str, str]) -> None:
    sd_id, read = parse_sd(
        frames.structured_data("ualpipe@32473", *(frames.parameter(name, value) for name, value in parameters.items()))
    )
    assert sd_id == "ualpipe@32473"
    assert read == {name: without_acting(value) for name, value in parameters.items()}


def test_structured_data_escapes_three_characters_and_leaves_out_empty_values() -> None:
    written = [frames.parameter("id", 'a"b\\c]d'), frames.parameter("tenant", ""), frames.parameter("type", "8")]
    assert frames.structured_data("x@1", *written) == r'[x@1 id="a\"b\\c\]d" type="8"]'


@given(st.text())
def test_header_fields_are_printable_and_bounded(text: str) -> None:
    assert re.fullmatch(r"[!-~]{1,32}", frames.printable(text, 32))


@pytest.mark.parametrize(("text", "field"), [("", "-"), ("  ", "-"), ("Add member to role.", "Add_member_to_role."), ("é", "_")])
def test_what_a_header_field_cannot_hold_is_replaced(text: str, field: str) -> None:
    assert frames.printable(text, 32) == field


def test_tag_keeps_32_characters_of_the_old_format() -> None:
    assert frames.tag_of("ualpipe/contoso[1]") == "ualpipe_contoso_1_"
    assert len(frames.tag_of("x" * 48)) == 32


@given(st.lists(st.binary()))
def test_octet_counted_streams_read_back(messages: list[bytes]) -> None:
    assert parse_octet_counted(frames.octet_counted(messages)) == messages


@given(st.lists(st.binary().filter(lambda text: b"\n" not in text), min_size=1))
def test_newline_framed_streams_read_back(messages: list[bytes]) -> None:
    assert frames.newline_framed(messages).split(b"\n") == [*messages, b""]


def test_octets_are_counted_not_characters() -> None:
    assert frames.octet_counted(["zoë".encode()]) == b"4 zo\xc3\xab"


def test_numbers_are_those_of_the_rfc() -> None:
    assert (frames.FACILITIES["kern"], frames.FACILITIES["authpriv"], frames.FACILITIES["audit"]) == (0, 10, 13)
    assert (frames.FACILITIES["local0"], frames.FACILITIES["local7"]) == (16, 23)
    assert (frames.SEVERITIES["emerg"], frames.SEVERITIES["info"], frames.SEVERITIES["debug"]) == (0, 6, 7)
