"""What the author of a config writes: a config, or errors that say where."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fuzz.odd_bytes import acting, anything, spoilt
from fuzz.targets import reads
from ualpipe.pipeline.conditions.compiler import compile_conditions
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.wording import visible

CONFIG = b"""\
version: 1
pipeline: contoso
state_dir: state
credentials:
  app: {client_id: 11111111-1111-1111-1111-111111111111, client_secret: "${env:PLANTED:-x}"}
sources:
  contoso: &c {type: management_activity, tenant_id: 22222222-2222-2222-2222-222222222222, credential: app, poll_interval: 60s}
transforms: [{type: ecs}, {type: filter, drop: {event.action: FileAccessed, user.name|re: "a.*b"}}]
sinks:
  local: {type: file, path: out.ndjson, only: {"message|contains": x}}
"""
TOKENS = st.sampled_from(
    [
        *(
            b"\n",
            b"  ",
            b"- ",
            b": ",
            b"{",
            b"}",
            b"[",
            b"]",
            b"&c ",
            b"*c",
            b"<<: *c",
            b"!!python/object:os.system x",
            b"|",
            b">",
        ),
        *(
            b"${env:X}",
            b"${file:/dev/zero}",
            b"${file:}",
            b"${",
            b"0x1F",
            b"1e999",
            b"9" * 400,
            b"2026-01-01",
            b"~",
            b".inf",
            b"0o8",
        ),
        *(
            b"\xff",
            b"\x00",
            b"\t",
            b"\xef\xbb\xbf",
            b"\xe2\x80\xae",
            b"--- ",
            b"...",
            b"%YAML 9.9\n",
            b"? ",
            b"'",
            b'"',
            b"#",
            b"@",
        ),
        *(b"[" * 500, b"{a: " * 200, b"- " * 300),
    ]
)


def _with(edits: list[tuple[int, int, bytes]]) -> bytes:
    body = CONFIG
    for place, length, more in edits:
        at = place % (len(body) + 1)
        body = body[:at] + more + body[at + length :]
    return body


def configs() -> st.SearchStrategy[bytes]:
    edits = st.tuples(st.integers(0, 2000), st.integers(0, 20), TOKENS | st.binary(max_size=4))
    return st.lists(edits, max_size=4).map(_with)


@reads("ualpipe.pipeline.config.loader:load_config")
@given(body=spoilt(configs()) | anything())
def test_a_config_is_a_config_or_an_error_of_it(tmp_path_factory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "pipeline.yaml"
    path.write_bytes(body.replace(b"/dev/zero", b"/dev/null"))
    assert not acting(visible(_defects_of(path), keeps_lines=True)) - {"\n", "\t"}


def _defects_of(path: Path) -> str:
    try:
        load_config(path)
    except ConfigError as exc:
        return str(exc)
    return ""


PATTERNS = st.text("ab*?\\[](){}|+^$.,0123456789-<>=!:iPx \u0130\u017f\n", max_size=16) | st.sampled_from(
    [
        "(a+)+$",
        "(" * 500,
        "a{99999}",
        "(?P<x>a)(?P=x)",
        "[" * 300,
        "(?i)\u0130",
        "\\",
        "(?<=a+)b",
        "*" * 300,
        "\udc00",
        "(?#",
        "a**",
    ]
)
KEYS = st.sampled_from(["a", "a.b", "a|re", "a|re|i", "a|contains", "a|contains|all", "a|cidr", "a|gt", "a|exists", "a|fieldref"])
VALUES = st.recursive(PATTERNS | st.none() | st.integers() | st.floats() | st.booleans(), lambda one: st.lists(one, max_size=3))


@reads("ualpipe.pipeline.conditions.compiler:compile_conditions")
@given(st.dictionaries(KEYS | PATTERNS, VALUES | st.dictionaries(KEYS, VALUES, max_size=2), max_size=3), st.text(max_size=40))
def test_a_condition_holds_or_not_or_is_refused(spec: object, text: str) -> None:
    try:
        holds = compile_conditions(spec)
    except ConfigError:
        return
    for value in (text, text * 200, [text, None], {"b": text}, 10**400, float("nan"), None):
        assert holds({"a": value}) in (True, False)
