"""Redaction: a secret is seen in no spelling, in no part and on no way out, and words that are none are left alone."""

from __future__ import annotations

import base64
import codecs
import html
import json
import logging
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline import redaction
from ualpipe.pipeline.journal.types import DeadLetter
from ualpipe.pipeline.observe.hooks import in_short
from ualpipe.pipeline.observe.log import JsonFormatter, PlainFormatter
from ualpipe.pipeline.redaction import PART_LENGTH, Redactor, blanked, forget, hide, hide_whole, secrets_of
from ualpipe.pipeline.wording import shorten

PLAIN = "aZ4q8Q~kTr.Vn0pXw_LmBc2sDy7GhJ5fEu9oKi"
ODD = "p\u00e4ss'w\"rd \\ 9/8+7=6&5<4>3%2?1#0 \u20acnd"
BASIC = "siem-writer"


def offset(form: Callable[[bytes], bytes], before: int) -> Callable[[str], str]:
    return lambda text: form(b"x" * before + text.encode() + b"tail").decode()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "repr of a repr": lambda text: repr(repr(text)),
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON with slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "URL": quote,
    "URL, everything": lambda text: quote(text, safe=""),
    "URL, small letters": lambda text: quote(text, safe="").lower(),
    "URL, large letters": lambda text: quote(text, safe="").upper(),
    "URL, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "every byte in percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 from the second byte": offset(base64.b64encode, 1),
    "base64 from the third byte": offset(base64.b64encode, 2),
    "base64url from the second byte": offset(base64.urlsafe_b64encode, 1),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "Basic": lambda text: "Basic " + base64.b64encode(f"{BASIC}:{text}".encode()).decode(),
    "ApiKey": lambda text: "ApiKey " + base64.b64encode(f"id-1:{text}".encode()).decode(),
    "ApiKey in repr": lambda text: repr(f"ApiKey {text}\n".encode()),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "HTML": html.escape,
    "HTML of XML": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "HTML in numbers": lambda text: "".join(f"&#{byte};" for byte in text.encode()),
    "UTF-16 taken for Latin-1": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "UTF-16 in repr": lambda text: repr(text.encode("utf-16-be")),
    "UTF-8 taken for Latin-1": lambda text: text.encode().decode("latin-1"),
    "hex": lambda text: text.encode().hex(),
    "hex, large letters": lambda text: text.encode().hex().upper(),
    "hex with colons": lambda text: text.encode().hex(":"),
    "hex escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "Unicode escapes": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
    "a host in small letters": str.lower,
    "blanks made one": lambda text: " ".join(text.split()),
    "its first half": lambda text: text[: len(text) // 2],
    "its second half": lambda text: text[len(text) // 2 :],
    "nine characters of its middle": lambda text: text[11 : 11 + PART_LENGTH],
    "its repr, cut": lambda text: repr(text)[:20],
    "its base64, cut": lambda text: base64.b64encode(text.encode()).decode()[:20],
    "its percent codes, cut": lambda text: quote(text, safe="")[:20],
}
"""Spellings that a library, a service or a shell gives a secret."""


def fail(text: str) -> None:
    raise ValueError(text)


def raised(text: str) -> ValueError:
    try:
        fail(text)
    except ValueError as exc:
        return exc
    raise AssertionError(text)


def record(text: str, **more: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "ualpipe.t", "levelno": 30, "levelname": "WARNING", "msg": "%s", "args": (text,), **more}
    )


def with_exception(text: str) -> logging.LogRecord:
    exc = raised(text)
    return record("failed", exc_info=(type(exc), exc, exc.__traceback__))


WAYS: dict[str, Callable[[str], str]] = {
    "log line": lambda text: json.loads(JsonFormatter(Redactor()).format(record(text)))["message"],
    "log line for people": lambda text: PlainFormatter(Redactor(), is_timed=False).format(record(text)),
    "traceback in a log": lambda text: json.loads(JsonFormatter(Redactor()).format(with_exception(text)))["exception"],
    "error message": shorten,
    "error in one line": lambda text: in_short(raised(text)),
    "reason of a dead letter": lambda text: DeadLetter("event", "code", text, "", b"").reason,
    "traceback of a dead letter": lambda text: (
        DeadLetter("event", "code", "", "", b"", trace="".join(traceback.format_exception(raised(text)))).trace
    ),
    "note in the journal": blanked,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secret", [PLAIN, ODD], ids=["plain", "odd"])
def test_no_spelling_of_a_secret_is_seen_on_any_way(secret: str, way: str) -> None:
    hide(secret)
    for name, form in FORMS.items():
        spelt = form(secret)
        shown = WAYS[way](f"before it {spelt} and behind")
        assert "before it" in shown
        assert "***" in shown, name
        assert secret not in shown, name
        assert spelt not in shown, name
        windows = {spelt[at : at + PART_LENGTH] for at in range(24, len(spelt) - PART_LENGTH - 8)}  # around it stand no secrets
        assert [window for window in windows if window in shown] == [], name


@given(st.text(min_size=PART_LENGTH, max_size=40), st.data())
def test_no_part_of_any_secret_is_left_that_is_longer_than_eight_characters(secret: str, data: st.DataObject) -> None:
    secret = secret.strip()
    if len(secret) < PART_LENGTH or "*" in secret:
        return
    start = data.draw(st.integers(0, len(secret) - PART_LENGTH))
    stop = data.draw(st.integers(start + PART_LENGTH, len(secret)))
    assert secret[start:stop] not in Redactor([secret])(f"ab {secret[start:stop]} cd")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_secret_that_ends_in_a_line_break_is_known_without_it(line_end: str) -> None:
    hide(PLAIN + line_end)
    assert PLAIN[:20] not in blanked(f"Invalid header value {f'ApiKey {PLAIN}{line_end}'.encode()!r}")


def test_what_is_cut_is_blanked_before() -> None:
    hide(PLAIN)
    told = shorten("x" * 290 + PLAIN, 300)
    assert told.endswith("***")
    assert PLAIN[:9] not in told


@pytest.mark.parametrize(
    "text",
    [
        "the user kKafka has no rights on topic audit",
        "https://login.microsoftonline.com/22222222-2222-2222-2222-222222222222: no answer within 30 s",
        'sinks[1].kafka.acks: "2" is not one of "all", "1", "0"',
        "Basic authentication is turned off",
        "client_secret: stands in quotation marks",
        "08:15:00 warning test: hello you  sink=siem",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    hide(PLAIN)
    hide(ODD)
    assert blanked(text) == text


def test_tokens_that_nobody_named_are_blanked() -> None:
    jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL20ifQ.c2lnbmF0dXJl"
    for text in (jwt, f"Bearer%20{jwt}", f"https://{jwt}.contoso.example/", f"token {jwt[:40]}", "Basic dXNlcjpwYXNzMQ=="):
        assert not any(part in blanked(text) for part in (jwt[:20], "dXNlcjpwYXNz"))


def test_a_private_key_is_blanked_also_where_its_end_is_missing() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n"
    assert "MIIE" not in blanked(f"a {text}")
    assert blanked(f"a {text}-----END PRIVATE KEY----- b") == "a *** b"


def test_of_a_url_the_log_in_is_secret_and_the_host_is_not() -> None:
    hide("http://agent:p%40ssw0rd-x9@proxy.contoso.example:8080")
    assert blanked("no answer from proxy.contoso.example:8080") == "no answer from proxy.contoso.example:8080"
    for form in ("p@ssw0rd-x9", "p%40ssw0rd-x9", base64.b64encode(b"agent:p@ssw0rd-x9").decode()):
        assert form not in blanked(f"x {form} y")
    assert secrets_of("http://proxy.contoso.example:8080") == []


def test_what_need_not_be_a_secret_is_blanked_whole_and_not_in_parts() -> None:
    hide_whole("kafka1.contoso.example")
    assert blanked("kafka1.contoso.example, kafka2.contoso.example") == "***, kafka2.contoso.example"


def test_a_token_that_was_replaced_is_let_go_of_and_others_stay() -> None:
    tokens = [codecs.encode(base64.b64encode(bytes([number]) * 300).decode(), "rot13") + f"{number}" for number in range(3)]
    hide(tokens[0])
    hide(tokens[1])
    hide(tokens[2], instead_of=tokens[0])
    assert [tokens[number][100:200] in blanked(tokens[number]) for number in range(3)] == [True, False, False]
    assert redaction.blanked(tokens[1][300:360]) == "***"


def test_nothing_is_known_any_more_when_all_is_forgotten() -> None:
    hide(PLAIN)
    forget()
    assert blanked(PLAIN) == PLAIN
