"""Logs: one JSON object a line, with secrets blanked whatever path they came by."""

import io
import json
import logging
import sys

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ualpipe.pipeline.observe import log
from ualpipe.pipeline.observe.log import JsonFormatter, PlainFormatter
from ualpipe.pipeline.options import Secret
from ualpipe.pipeline.redaction import Redactor
from ualpipe.pipeline.wording import visible

CANARY = "planted-canary-7f"
TRICKY_SECRETS = [
    'quo"ted-canary',
    "back\\slash-canary",
    "line\nbreak-canary",
    "tab\tcanary",
    "ümlaut-canary",
    "100%s-canary",
    "</canary>",
]


@pytest.fixture
def root_logger():
    """Gives the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log.LIBRARIES}
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)


def entry(message: object = "text", *args: object, exc_info: object = None, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("ualpipe.test").makeRecord(
        "ualpipe.test", logging.WARNING, "file.py", 1, message, args, exc_info, extra=extra
    )
    made.created = 1795162500.25
    return made


def json_line(made: logging.LogRecord, *secrets: str) -> dict:
    text = JsonFormatter(Redactor(secrets)).format(made)
    assert "\n" not in text
    return json.loads(text)


def raised(error: Exception) -> tuple:
    try:
        raise error
    except type(error):
        return sys.exc_info()


# --- shape -----------------------------------------------------------------------------------------------------------


def test_a_line_has_time_level_logger_and_message():
    assert json_line(entry("%s of %d", "a", 2)) == {
        "time": "2026-11-20T08:15:00.250Z",
        "level": "warning",
        "logger": "ualpipe.test",
        "message": "a of 2",
    }


def test_context_becomes_members():
    found = json_line(entry(sink="siem", count=3, found={"a": [1, None]}))
    assert (found["sink"], found["count"], found["found"]) == ("siem", 3, {"a": [1, None]})


def test_context_that_json_does_not_know_is_written_as_text():
    found = json_line(entry(where=io.BytesIO, secret=Secret(CANARY), kinds=frozenset({1})))
    assert found["secret"] == "***"
    assert found["kinds"] == [1]


def test_an_exception_stands_in_the_same_line():
    found = json_line(entry("failed", exc_info=raised(ValueError("what"))))
    assert found["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert found["exception"].endswith("ValueError: what")


@pytest.mark.parametrize(
    ("message", "extra"),
    [
        ("a\nb", {}),
        ("\ud800", {}),
        ("name", {"path": "broken-\udcff.json"}),
        ("big", {"count": 2**70}),
        ("keys", {"found": {1: "a", None: "b"}}),
        ("nan", {"value": float("nan")}),
    ],
)
def test_no_content_keeps_a_line_from_being_written(message, extra):
    assert json_line(entry(message, **extra))["level"] == "warning"


@pytest.mark.parametrize("name", ["time", "level", "logger"])
def test_context_does_not_take_the_place_of_what_every_line_has(name):
    assert json_line(entry(**{name: "other"}))[name] != "other"


def test_plain_lines_are_for_people():
    made = entry("hello %s", "you", sink="siem")
    assert PlainFormatter(Redactor()).format(made) == "2026-11-20T08:15:00Z warning test: hello you  sink=siem"
    assert PlainFormatter(Redactor(), is_timed=False).format(made) == "test: hello you  sink=siem"


def test_a_plain_line_has_no_value_in_the_notation_of_a_program():
    made = entry("ended", delivered={"siem": 5, "local": 7}, left_undone=["contoso", "siem"])
    text = PlainFormatter(Redactor(), is_timed=False).format(made)
    assert text == "test: ended  delivered.siem=5  delivered.local=7  left_undone=contoso, siem"


def test_a_plain_line_has_the_exception_below_it_where_none_of_its_lines_passes_for_one_of_the_log():
    hostile = ValueError("what\n12:00:00 info    source: all is fine\x1b[2K\u202e")
    text = PlainFormatter(Redactor()).format(entry("failed", exc_info=raised(hostile)))
    assert text.splitlines()[1] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in text.splitlines()[1:])
    assert text.endswith("  12:00:00 info    source: all is fine\\x1b[2K\\u202e")


@pytest.mark.parametrize(
    "acting", ["\x1b[2J", "\x1b]8;;https://x\x07", "\x9b31m", "\u202e", "\u2028", "\x7f", "\n12:00:00 error", "\ud800"]
)
def test_nothing_that_acts_on_a_terminal_gets_into_a_line(acting: str):
    made = entry(f"refused: {acting}", reason=f"x{acting}y", **{f"key{acting}": [acting, {acting: acting}]})
    for formatter in (PlainFormatter(Redactor()), JsonFormatter(Redactor())):
        text = formatter.format(made)
        assert visible(text) == text
    found = json.loads(JsonFormatter(Redactor()).format(made))
    assert found["reason"] == f"x{acting}y"


# --- redaction -------------------------------------------------------------------------------------------------------


class Carrier:
    """An object that shows the secret when it is printed."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __str__(self) -> str:
        return f"carrier of {self.secret}"

    __repr__ = __str__


WAYS = {
    "message": lambda secret: entry(f"a {secret} b"),
    "argument": lambda secret: entry("a %s b", secret),
    "printed argument": lambda secret: entry("a %r b", Carrier(secret)),
    "context": lambda secret: entry(url=f"https://user:{secret}@contoso.example"),
    "nested context": lambda secret: entry(found={"a": [{"b": secret}]}),
    "key of the context": lambda secret: entry(found={secret: 1}),
    "printed context": lambda secret: entry(found=Carrier(secret)),
    "exception": lambda secret: entry("failed", exc_info=raised(ValueError(f"wrong: {secret}"))),
    "cause": lambda secret: entry("failed", exc_info=raised(caused_by(secret))),
}


def caused_by(secret: str) -> Exception:
    error = ValueError("outer")
    error.__cause__ = OSError(secret)
    return error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [JsonFormatter, PlainFormatter])
def test_a_secret_is_blanked_whatever_way_it_comes(make, way):
    text = make(Redactor([CANARY])).format(WAYS[way](CANARY))
    assert CANARY not in text
    assert "***" in text


@pytest.mark.parametrize(
    "way", ["message", "argument", "context", "nested context", "key of the context", "printed context", "exception"]
)
@pytest.mark.parametrize("secret", TRICKY_SECRETS)
def test_a_secret_with_characters_that_json_escapes_is_blanked_too(secret, way):
    text = JsonFormatter(Redactor([secret])).format(WAYS[way](secret))
    assert "canary" not in text
    assert secret not in str(json.loads(text))
    assert "***" in text


@pytest.mark.parametrize("secret", TRICKY_SECRETS)
def test_a_plain_line_blanks_secrets_with_odd_characters(secret):
    assert "canary" not in PlainFormatter(Redactor([secret])).format(WAYS["argument"](secret))


@pytest.mark.parametrize("secret", ["1234", "true", "null", "warning", '":"', "message", "},{", "2026-11-20"])
def test_whatever_the_secret_is_a_line_stays_json(secret):
    found = json_line(entry("text", count=12345, flag=True, none=None), secret)
    assert "message" in found
    assert "count" in found


@given(st.text(min_size=4, max_size=12), st.text(max_size=10), st.text(max_size=10))
def test_no_secret_of_any_text_is_seen_in_any_line(secret, before, behind):
    assume("*" not in secret and len(secret.strip()) >= 4)
    made = entry("%s", before + secret + behind, found=[before + secret + behind])
    found = orjson.loads(JsonFormatter(Redactor([secret])).format(made))
    assert secret not in found["message"]
    assert secret not in found["found"][0]


def test_of_two_secrets_the_longer_one_is_blanked_whole():
    assert Redactor(["abcd", "abcdefgh"])("x abcdefgh y abcd") == "x *** y ***"


def test_a_secret_too_short_to_tell_from_a_word_is_left():
    assert Redactor(["abc", "", "a"])("abc a abcd") == "abc a abcd"


def test_without_secrets_text_stays_as_it_is():
    assert Redactor()("nothing to hide: a|b (c) [d] *") == "nothing to hide: a|b (c) [d] *"


def test_a_secret_is_text_and_no_pattern():
    assert Redactor(["a.c|d+("])("abcd a.c|d+( add") == "abcd *** add"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer ey.Jh-bG_ci.tok3n~+/=",
        "{'Authorization': 'bearer eyJhbGci.tok3n'}",
        "POST client_id=a&client_secret=tok3n%2Bx&scope=b",
        "client_assertion=eyJ.tok3n",
        "password=tok3n",
        '{"access_token": "tok3n.x"}',
        '{"access_token":"tok3n.x"}',
        "access_token=tok3n",
    ],
)
@pytest.mark.parametrize("way", ["message", "context", "nested context", "exception"])
def test_what_looks_like_a_token_is_blanked_though_nobody_named_it(text, way):
    shown = JsonFormatter(Redactor()).format(WAYS[way](text))
    assert "tok3n" not in shown
    assert "***" in shown


# --- set-up ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("root_logger")
def test_everything_goes_to_one_stream_at_one_level():
    out = io.StringIO()
    log.set_up("warning", [CANARY], out)
    log.set_up("warning", [CANARY], out)
    logging.getLogger("ualpipe.x").info("quiet")
    logging.getLogger("another.library").warning("loud %s", CANARY)
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["message"] == "loud ***"


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(("level", "shown"), [("info", False), ("debug", True)])
def test_requests_of_libraries_are_news_only_when_debugging(level, shown):
    out = io.StringIO()
    log.set_up(level, stream=out)
    for name in ("urllib3.connectionpool", "elastic_transport.transport", "msal.token_cache"):
        logging.getLogger(name).info("GET /")
    assert bool(out.getvalue()) is shown


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    ("stream", "plain", "is_json"), [(Terminal(), None, False), (Terminal(), False, True), (io.StringIO(), True, False)]
)
def test_people_at_a_terminal_get_plain_lines(stream, plain, is_json):
    log.set_up("info", stream=stream, plain=plain)
    logging.getLogger("ualpipe.x").info("hello")
    assert stream.getvalue().startswith("{") is is_json


@pytest.mark.usefixtures("root_logger")
def test_stderr_is_where_logs_go_by_default(capsys):
    log.set_up("info")
    logging.getLogger("ualpipe.x").info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "hello"
