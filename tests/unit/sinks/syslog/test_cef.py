"""CEF, read back by a parser that works as receivers do: it looks for keys before unescaped equals signs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.wording import visible, without_acting
from ualpipe.sinks.syslog import cef as _cef
from ualpipe.sinks.syslog.cef import CUT_MARK, FIELDS, escape_header, escape_value

_HEADER_FIELD = re.compile(r"((?:[^\\|]|\\.)*)\|", re.DOTALL)
_KEY = re.compile(r"(?:^| )([A-Za-z0-9]+)=")


def cef(document: dict[str, Any], version: str) -> str:
    return _cef.cef(document, version).decode()


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    fields, at = [], len("CEF:")
    assert line.startswith("CEF:")
    for _field in range(7):
        match = _HEADER_FIELD.match(line, at)
        assert match, line
        fields.append(re.sub(r"\\([\\|])", r"\1", match[1]))
        at = match.end()
    return fields, parse_extension(line[at:])


def parse_extension(text: str) -> dict[str, str]:
    starts = list(_KEY.finditer(text))
    values = {}
    for match, following in zip(starts, [*starts[1:], None], strict=True):
        assert match[1] not in values, "a key stands twice"
        values[match[1]] = unescape(text[match.end() : following.start() if following else None])
    return values


def unescape(value: str) -> str:
    assert not re.search(r"(?<!\\)(?:\\\\)*=", value), "an equals sign is not escaped"
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), value)


def document(**event: Any) -> dict[str, Any]:
    return {
        "@timestamp": "2026-11-20T08:15:30.250Z",
        "event": {"id": "5c3e5a5e-9c9e-4f6a-9d5e-0a4b7f1c2d3e", "action": "FileAccessed", "kind": "event", **event},
    }


def test_an_event_becomes_one_line_with_seven_header_fields() -> None:
    doc = document(outcome="success", category=["file"], code="SharePointFileOperation", provider="SharePoint")
    doc["user"] = {
        "id": "zoë@contoso.com",
        "email": "zoë@contoso.com",
        "name": "zoë",
        "domain": "contoso.com",
        "roles": ["Admin"],
    }
    doc["source"] = {"ip": "192.0.2.10", "port": 51234}
    doc["file"] = {"name": "plan=v1|final.docx", "size": 1024}
    assert cef(doc, "0.1.0") == (
        "CEF:0|ualpipe|Microsoft 365|0.1.0|FileAccessed|FileAccessed|3|rt=1795162530250 src=192.0.2.10 act=FileAccessed "
        "outcome=success cat=file externalId=5c3e5a5e-9c9e-4f6a-9d5e-0a4b7f1c2d3e destinationServiceName=SharePoint spt=51234 "
        "suser=zoë@contoso.com suid=zoë@contoso.com sntdom=contoso.com spriv=Admin fname=plan\\=v1|final.docx fsize=1024 "
        "cs1=SharePointFileOperation cs1Label=Record Type"
    )
    assert datetime.fromtimestamp(1795162530.25, UTC).isoformat() == "2026-11-20T08:15:30.250000+00:00"


def test_ipv6_goes_to_a_custom_field_with_its_label() -> None:
    _head, values = parse(cef({**document(), "source": {"ip": "2001:db8::7"}}, "1"))
    assert values["c6a2"] == "2001:db8::7"
    assert values["c6a2Label"] == "Source IPv6 Address"
    assert "src" not in values


def test_an_alert_is_named_by_its_rule_and_carries_its_severity() -> None:
    doc = {**document(kind="alert", severity=4), "rule": {"name": "Mass|download"}}
    head, values = parse(cef(doc, "1"))
    assert head == ["0", "ualpipe", "Microsoft 365", "1", "FileAccessed", "Mass|download", "9"]
    assert (values["cs3"], values["cs3Label"]) == ("Mass|download", "Rule")


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        ({"outcome": "success"}, "3"),
        ({"outcome": "failure"}, "5"),
        ({"kind": "pipeline_error"}, "5"),
        ({"kind": "alert"}, "7"),
        ({"kind": "alert", "severity": 1}, "3"),
        ({"kind": "alert", "severity": 3}, "7"),
        ({"severity": 0}, "0"),
        ({"severity": 8}, "8"),
        ({"severity": 73}, "7"),
        ({"severity": 1000}, "10"),
    ],
)
def test_severity_comes_from_the_event_its_kind_or_its_outcome(event: dict[str, Any], severity: str) -> None:
    assert parse(cef(document(**event), "1"))[0][6] == severity


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=300), st.text(max_size=80))
def test_any_text_reads_back(action: str, rule: str, subject: str, user: str) -> None:
    doc = {**document(action=action), "rule": {"name": rule}, "email": {"subject": subject}, "user": {"id": user}}
    line = cef(doc, "1")
    assert visible(line) == line
    head, values = parse(line)
    assert head[:4] == ["0", "ualpipe", "Microsoft 365", "1"]
    assert head[4] == in_header(action or "unknown")
    assert head[5] == in_header(rule or action or "unknown")
    assert values.get("cs4", "") == in_value(subject)
    assert values.get("suid", "") == in_value(user)


def in_header(text: str) -> str:
    return without_acting(re.sub(r"[\r\n]+", " ", text))


def in_value(text: str) -> str:
    return "".join(sign if sign in "\r\n" else without_acting(sign) for sign in text.strip())


@given(st.text(alphabet="\\=|\r\n a"))
def test_escapes_are_undone_exactly(text: str) -> None:
    assert unescape(escape_value(text)) == text
    assert "\n" not in escape_header(text)


@pytest.mark.parametrize(("key", "limit"), [(field.key, field.limit) for field in FIELDS if field.limit < 1_000_000])
def test_values_keep_to_the_dictionary_and_show_where_they_were_cut(key: str, limit: int) -> None:
    field = next(field for field in FIELDS if field.key == key)
    long = "x" * 5000
    doc: dict[str, Any] = document()
    # Each path of the table gets the value, so that whichever the field reads is too long.
    for name in ("event", "user", "file", "url", "rule", "email", "group", "server", "source", "process", "organization"):
        doc[name] = everything(long)
    doc["user_agent"], doc["message"] = {"original": long}, long
    assert len(field.read(doc)) == 5000
    value = parse(cef(doc, "1"))[1][key]
    assert len(value) == limit
    assert value.endswith(CUT_MARK)


def everything(text: str) -> dict[str, Any]:
    leaves = "action outcome reason category id provider domain name roles code email path extension original subject message_id"
    made: dict[str, Any] = dict.fromkeys(leaves.split(), text)
    address = {"address": text}
    return {**made, "target": {"email": text, "id": text}, "hash": {"sha256": text}, "from": address, "to": {"address": [text]}}


def test_a_document_with_nothing_in_it_is_still_cef() -> None:
    assert cef({}, "1") == "CEF:0|ualpipe|Microsoft 365|1|unknown|unknown|3|"


def test_times_of_the_event_stand_beside_its_timestamp() -> None:
    doc = document(start="2026-11-20T08:00:00Z", end="2026-11-20T08:10:00.500Z")
    values = parse(cef(doc, "1"))[1]
    assert (values["rt"], values["start"], values["end"]) == ("1795162530250", "1795161600000", "1795162200500")


def test_a_time_that_is_none_is_left_out() -> None:
    assert "rt=" not in cef({"@timestamp": "yesterday"}, "1")
