"""LEEF 2.0, read back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.wording import without_acting
from ualpipe.sinks.syslog import leef as _leef
from ualpipe.sinks.syslog.leef import FIELDS


def leef(document: dict[str, Any], version: str) -> str:
    return _leef.leef(document, version).decode()


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    head, _pipe, body = line.partition("|x09|")
    fields = head.split("|")
    assert fields[0] == "LEEF:2.0"
    pairs = [part.split("=", 1) for part in body.split("\t")] if body else []
    assert len({key for key, _value in pairs}) == len(pairs), "a key stands twice"
    return fields[1:], dict(pairs)


def document(**event: Any) -> dict[str, Any]:
    return {"@timestamp": "2026-11-20T08:15:30Z", "event": {"id": "5c3e5a5e", "action": "UserLoggedIn", **event}}


def test_an_event_becomes_one_line_separated_by_tabs() -> None:
    doc = document(code="AzureActiveDirectoryStsLogon", outcome="failure", category=["authentication"], type=["start"])
    doc |= {"user": {"email": "zoë@contoso.com", "id": "7"}, "source": {"ip": "2001:db8::7", "port": 443}}
    assert leef(doc, "0.1.0") == (
        "LEEF:2.0|ualpipe|Microsoft 365|0.1.0|UserLoggedIn|x09|devTime=1795162530000\tsev=5\tisLoginEvent=true\t"
        "cat=AzureActiveDirectoryStsLogon\tsrc=2001:db8::7\tsrcPort=443\tusrName=zoë@contoso.com\tid=5c3e5a5e\t"
        "action=UserLoggedIn\toutcome=failure\tcategory=authentication\tuserId=7"
    )


@pytest.mark.parametrize(("severity", "sev"), [(0, "1"), (1, "3"), (4, "9"), (100, "10")])
def test_severity_stays_within_1_and_10(severity: int, sev: str) -> None:
    assert parse(leef(document(severity=severity), "1"))[1]["sev"] == sev


def test_only_a_start_of_authentication_is_a_login() -> None:
    assert "isLoginEvent" not in leef(document(category=["authentication"], type=["info"]), "1")
    assert "isLoginEvent" not in leef(document(category=["file"], type=["start"]), "1")


@given(st.text(), st.text(), st.text())
def test_any_text_reads_back_with_blanks_for_what_the_format_cannot_hold(action: str, subject: str, user: str) -> None:
    doc = {**document(action=action), "email": {"subject": subject}, "user": {"name": user}}
    head, values = parse(leef(doc, "1"))
    assert head[-1] == blanked((action or "unknown").replace("|", " "))
    assert values.get("subject", "") == blanked(subject)
    assert values.get("usrName", "") == blanked(user)


def blanked(text: str) -> str:
    return without_acting(re.sub(r"[\x00-\x1f\x7f]+", " ", text))


def test_keys_are_unique_and_need_no_escape() -> None:
    keys = [key for key, _read in FIELDS]
    assert len(keys) == len(set(keys))
    assert all(re.fullmatch("[A-Za-z0-9]+", key) for key in keys)


def test_an_empty_document_is_still_leef() -> None:
    assert leef({}, "1") == "LEEF:2.0|ualpipe|Microsoft 365|1|unknown|x09|sev=3"
