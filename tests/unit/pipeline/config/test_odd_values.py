"""A config that fits its schema and yet is not what its writer sees, damaged secrets, and settings that protect less."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands.schema import full_schema
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.config.odd_texts import remarks as text_remarks
from ualpipe.pipeline.config.secrets import remarks
from ualpipe.pipeline.errors import ConfigError

SECRET = "Kq8Q~planted.Vn0pXw_LmBc2sDy7GhJ5fEu9o"
CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
credentials:
  app: {client_id: 11111111-1111-1111-1111-111111111111, client_secret: "${env:PLANTED}"}
sources:
  contoso: {type: management_activity, tenant_id: 22222222-2222-2222-2222-222222222222, credential: app}
sinks:
  search:
    type: elasticsearch
    urls: ["https://es.contoso.example:9200"]
    api_key: "${env:PLANTED_KEY}"
  local: {type: file, path: out.ndjson}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a config and reads it: `old`, `new` are changed in its text, and the secrets are those given."""
    monkeypatch.setenv("PLANTED", SECRET)
    monkeypatch.setenv("PLANTED_KEY", SECRET[::-1])

    def read(old: str = "", new: str = "", **environ: str) -> PipelineConfig:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert old in CONFIG
        path = tmp_path / "pipeline.yaml"
        path.write_text(CONFIG.replace(old, new) if old else CONFIG, encoding="utf-8")
        return load_config(path)

    return read


def lines(texts: object) -> list[str]:
    return [re.sub(r"^.*?pipeline\.yaml:", "", line) for line in (texts if isinstance(texts, tuple) else str(texts).splitlines())]


def refused(config, *change: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(*change, **environ)
    return lines(caught.value)


def test_a_good_config_has_neither_warnings_nor_weakened_settings(config) -> None:
    assert (config().warnings, config().weakened) == ((), ())


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pipeline: contoso", "pipeline: 0640", '0640 is taken for an octal number: write 640 for the number, or "0640"'),
        ("pipeline: contoso", "pipeline: no", 'no (which YAML takes for false; in quotes, "no", it is text) is not text'),
        ("pipeline: contoso", "pipeline: 1_0", '1_0 (which YAML takes for 10; in quotes, "1_0", it is text) is not text'),
        ("pipeline: contoso", "pipeline: ~", "~ (which YAML takes for null"),
        ("pipeline: contoso", "pipeline: cont\u200boso", '"cont<zero width space, U+200B>oso" is not of the form'),
        ("path: out.ndjson", "path: 'out.ndjson', mode: 0640", "0640 is taken for an octal number"),
        ("2222-222222222222", "2222-222222222222\u00a0", '22<no-break space, U+00A0>" is not of the form'),
        ("type: file,", "type: f\u0456le,", "f\u0456le"),
        ("path: out.ndjson", "p\u0430th: out.ndjson", "unknown key"),
        ("path: out.ndjson", 'path: "logs\\new"', "line break, U+000A at position 5: take it out; in double quotes"),
        ("path: out.ndjson", 'path: "C:\\temp\\new"', "write a Windows path in single quotes"),
        ("path: out.ndjson", "path: out.ndjson, enabled: 22:22", '"22:22" is not true or false'),
    ],
)
def test_what_is_wrong_is_shown_as_it_is_written(config, old: str, new: str, said: str) -> None:
    assert any(said in line for line in refused(config, old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("path: out.ndjson", "path: out\u00a0.ndjson", "holds the character no-break space, U+00A0 at position 4"),
        ("path: out.ndjson", "path: \u201cout.ndjson\u201d", "stands in typographic quotation marks (left double quotation mark"),
        ("path: out.ndjson", "path: 'out.ndjson '", "begins or ends with a blank"),
        ("https://es.contoso.example", "https://es\u20131.contoso.example", "en dash, U+2013, which looks like another"),
        ("https://es.contoso.example", "https://\u0435s.contoso.example", "cyrillic small letter ie, U+0435"),
        ("path: out.ndjson", "path: out.ndjson, when: {ClientRegion: NO}", 'NO is taken for false: write "NO"'),
        ("path: out.ndjson", "path: out.ndjson, when: [{ClientVersion: [1, 1.10]}]", '1.10 is taken for 1.1: write "1.10"'),
        ("    type: elasticsearch", "    type: elasticsearch\n    data_stream: logs-a-b #old", "write a blank behind #"),
    ],
)
def test_what_may_not_be_meant_is_a_warning_with_its_place(config, old: str, new: str, said: str) -> None:
    (line,) = lines(config(old, new).warnings)
    assert said in line
    assert re.match(r"\d+:\d+  sinks\.", line)


@pytest.mark.parametrize(
    "text",
    [
        "out/%Y.ndjson",
        "Dor\u00e9 & S\u00f6hne",
        "\u041c\u043e\u0441\u043a\u0432\u0430",
        "a - b",
        "\u65e5\u672c",
        "3 \u2013 4",
        "user@contoso.example",
        "-",
        "",
    ],
)
def test_texts_of_any_language_are_nothing_odd(text: str) -> None:
    assert list(text_remarks(text)) == []


def test_conditions_hold_any_text(config) -> None:
    assert config("path: out.ndjson", 'path: out.ndjson, when: {"ObjectId|contains": "x\\ty\u2013z "}').warnings == ()


def test_one_section_serves_several_sinks(config) -> None:
    found = config(
        "sinks:\n", "x-file: &file {type: file, when: {Operation: Send}}\nsinks:\n  other: {<<: *file, path: other.ndjson}\n"
    )
    assert found.sinks["other"].when is not None
    text = CONFIG.replace("sinks:\n", "x-file: {type: file}\nsinks:\n")
    assert jsonschema_rs.validator_for(full_schema()).is_valid(yaml.safe_load(text))


def test_a_merged_option_that_is_wrong_is_named_where_it_is_written(config) -> None:
    (line,) = refused(
        config, "sinks:\n", "x-file: &file {type: file, max_siz: 1}\nsinks:\n  other: {<<: *file, path: other.ndjson}\n"
    )
    assert line.startswith("8:28  sinks.other.max_siz: unknown key")


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "\ufeff{}", "\n{}"])
def test_line_ends_and_marks_around_a_secret_are_left_out_with_a_warning(config, around: str) -> None:
    found = config(PLANTED=around.format(SECRET))
    assert found.credentials["app"].client_secret.reveal() == SECRET
    (line,) = lines(found.warnings)
    assert "which was left out" in line
    assert SECRET[:9] not in line


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f'"{SECRET}"', "stands in quotation marks"),
        (f"'{SECRET}'", "stands in quotation marks"),
        (f"\u201c{SECRET}\u201d", "stands in quotation marks"),
        (f" {SECRET}", "begins or ends with a blank"),
        (f"{SECRET}\t", "tab"),
        (f"{SECRET} ", "begins or ends with a blank"),
    ],
)
@pytest.mark.parametrize("option", ["PLANTED", "PLANTED_KEY"])
def test_what_stands_around_a_secret_is_named_and_the_secret_is_not(config, option: str, value: str, said: str) -> None:
    try:
        found = lines(config(**{option: value}).warnings)
    except ConfigError as exc:
        found = lines(exc)
    assert any(said in line for line in found)
    assert not any(SECRET[start : start + 9] in line for line in found for start in range(len(SECRET) - 9))
    assert not any(SECRET[::-1][start : start + 9] in line for line in found for start in range(len(SECRET) - 9))


def test_a_client_secret_in_quotation_marks_is_refused_as_entra_makes_none(config) -> None:
    (line,) = refused(config, PLANTED=f'"{SECRET}"')
    assert line.startswith("5:58  credentials.app.client_secret: stands in quotation marks")


@pytest.mark.parametrize("inner", ["\n", "\x01", "\u200b", "\u00a0", "\x7f"])
def test_what_goes_into_a_header_is_refused_where_it_cannot_be_sent(config, inner: str) -> None:
    (line,) = refused(config, PLANTED_KEY=f"abcdefgh{inner}ijklmnop")
    assert re.search(r"sinks\.search\.api_key: holds the character .* at position 9", line)


@pytest.mark.parametrize(
    "text",
    ["<your secret>", "changeme", "CHANGE_ME", "your-secret-here", "client_secret", "xxxxxxxx", "********", "$SECRET",
     "%SECRET%", "TODO", "password", "placeholder", "{{ secret }}", "replace-me", "Your API key", "..."],
)  # fmt: skip
def test_placeholders_are_named(text: str) -> None:
    assert [remark.text.partition(":")[0] for remark in remarks(text)] == ["looks like a placeholder"]


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        "correct horse battery staple",
        "addison-1888",
        "Tr0ub4dor&3",
        "keyboard",
        "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWk==",
        "p\u00e4ssw\u00f6rd-9",
    ],
)
def test_real_secrets_are_not(text: str) -> None:
    assert list(remarks(text, "client_secret")) == []


def test_the_id_of_a_secret_is_told_from_its_value() -> None:
    (remark,) = remarks("33333333-3333-3333-3333-333333333333", "client_secret")
    assert "looks like the id of a secret" in remark.text
    assert "Certificates & secrets" in remark.text
    assert list(remarks("33333333-3333-3333-3333-333333333333", "password")) == []


def test_the_name_of_a_scheme_before_a_key_is_named() -> None:
    (remark,) = remarks("ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWk==", "api_key")
    assert "leave the word out" in remark.text


def test_a_whole_header_holds_the_name_of_its_scheme() -> None:
    assert list(remarks("Bearer VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWk", "Authorization")) == []
    assert len(list(remarks("Bearer VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWk", "bearer_token"))) == 1


def test_a_secret_that_ends_before_a_comment_is_named_though_the_comment_looks_like_one(config) -> None:
    found = lines(config('"${env:PLANTED_KEY}"', "abcdefgh # ijkl").warnings)
    assert any("api_key: the secret ends before ' #'" in line for line in found)
    assert not any("ijkl" in line for line in found)


def test_an_empty_secret_is_said_to_be_empty(config) -> None:
    (line,) = refused(config, PLANTED="\n")
    assert "client_secret: the value is empty: write the secret into the file" in line


# --- weakened settings -----------------------------------------------------------------------------------------------


def test_weakened_settings_are_named_by_check_and_are_no_errors(
    config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "open").write_text(SECRET)
    (tmp_path / "open").chmod(0o644)
    config('api_key: "${env:PLANTED_KEY}"', "username: siem\n    password: ${file:open}\n    verify: no")
    assert main(["check", str(tmp_path / "pipeline.yaml")]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("weakened: ")]
    assert [re.sub(r"^.*?  ", "", line).partition(": ")[0] for line in said] == ["sinks.search.password", "sinks.search.verify"]
    assert "other users can read the secret in" in said[0]
    (tmp_path / "open").chmod(0o600)
    assert main(["check", str(tmp_path / "pipeline.yaml")]) == 0
    assert "chmod" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "is_named"),
    [
        ("http://es.contoso.example:9200", True),
        ("https://es:9200", False),
        ("http://localhost:9200", False),
        ("http://[::1]:9", False),
    ],
)
def test_an_address_in_clear_is_named_but_this_machine_s(config, url: str, is_named: bool) -> None:
    found = lines(config("https://es.contoso.example:9200", url).weakened)
    text = "http:// sends events, and what proves who we are, in clear: write https://"
    assert [line.partition(": ")[2] for line in found] == [text] * is_named


def test_a_connection_without_encryption_is_named(config) -> None:
    more = "  beats: {type: logstash, hosts: [ls.contoso.example], tls: %s}\n"
    plain, secured = (lines(config("sinks:\n", "sinks:\n" + more % tls).weakened) for tls in ("false", "true"))
    assert [line.partition("  ")[2].partition(": ")[0] for line in plain] == ["sinks.beats.tls"]
    assert secured == []


def test_a_secret_in_the_config_itself_is_named(config) -> None:
    (line,) = lines(config('"${env:PLANTED_KEY}"', SECRET).weakened)
    assert line == "12:5  sinks.search.api_key: the secret stands in the config itself: write ${file:PATH} or ${env:NAME}"
