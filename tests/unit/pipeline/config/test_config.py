"""What the config's reader makes of a file: objects with defaults, words for each wrong value, texts to be kept from logs."""

import dataclasses
import re
import textwrap
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from ualpipe.pipeline.commands.schema import full_schema
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.errors import ConfigError

CANARY = "planted-canary"
SMALL = """\
version: 1
pipeline: contoso
state_dir: state
sources:
  archive: {type: files, paths: [in]}
sinks:
  local: {type: file, path: out.ndjson}
"""
LARGE = """\
version: 1
pipeline: contoso
state_dir: ./state
credentials:
  app:
    client_id: 11111111-1111-1111-1111-111111111111
    client_secret: ${file:secrets/app}
sources:
  contoso:
    type: management_activity
    tenant_id: 22222222-2222-2222-2222-222222222222
    credential: app
  archive:
    type: files
    paths: [in/*.json, /var/archive]
    poll_interval: 15m
    concurrency: 2
transforms:
  - type: validate
    on_invalid: dead_letter
  - type: ecs
  - type: filter
    drop: {event.action: UserLoggedIn}
sinks:
  bus:
    type: kafka
    bootstrap_servers: [kafka1.contoso.example:9092]
    topic: audit
    sasl: {username: ualpipe, password: "${env:KAFKA_PASSWORD}"}
  local:
    type: file
    path: out/audit.ndjson
    when: {event.category: authentication}
journal: {keep: 2d, max_size: 1GiB}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a config beside the secrets that it names."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "app").write_text(f"{CANARY}-file\n")
    monkeypatch.setenv("KAFKA_PASSWORD", f"{CANARY}-env")

    def write_config(text: str) -> Path:
        path = tmp_path / "pipeline.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_config


@pytest.fixture
def read(write):
    return lambda text: load_config(write(text))


@pytest.fixture
def defects(write):
    """Gives the defects of a config, without the file's name."""

    def find(text: str) -> list[str]:
        path = write(text)
        with pytest.raises(ConfigError) as raised:
            load_config(path)
        lines = str(raised.value).splitlines()
        assert all(line.startswith(f"{path}:") for line in lines), lines
        assert CANARY not in str(raised.value) + repr(raised.value)
        return [line.removeprefix(f"{path}:") for line in lines]

    return find


def with_source(*lines: str) -> str:
    """A config whose source ``s`` stands in line 5 and has these options from line 6 on."""
    options = "\n".join(f"    {line}" for line in lines)
    return SMALL.replace("  archive: {type: files, paths: [in]}", f"  s:\n{options}")


# --- a good config ---------------------------------------------------------------------------------------------------


def test_stages_are_in_the_order_of_the_file(read):
    config = read(LARGE)
    assert list(config.sources) == ["contoso", "archive"]
    assert [(spec.name, spec.type) for spec in config.transforms] == [
        ("transforms[0]", "validate"),
        ("transforms[1]", "ecs"),
        ("transforms[2]", "filter"),
    ]
    assert list(config.sinks) == ["bus", "local"]
    assert (config.journal.keep, config.journal.max_size) == (172800.0, 1 << 30)


def test_what_is_not_given_has_its_default(read):
    config = read(SMALL)
    assert (config.credentials, config.transforms) == ({}, [])
    assert (config.journal.keep, config.journal.max_size) == (7 * 86400.0, 10 << 30)
    common = config.sources["archive"].common
    assert (common.enabled, common.poll_interval, common.requests_per_minute, common.concurrency) == (True, 60.0, None, 8)
    assert config.sinks["local"].when is None


def test_a_config_named_by_a_relative_path_is_the_same(write, tmp_path, monkeypatch):
    write(SMALL)
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("pipeline.yaml")).state_dir == tmp_path / "state"


@pytest.mark.parametrize("text", [SMALL, LARGE])
def test_the_schema_for_editors_takes_what_the_reader_takes(read, text):
    assert read(text)
    assert jsonschema_rs.validator_for(full_schema()).is_valid(yaml.safe_load(text))


# --- the words of a defect -------------------------------------------------------------------------------------------


def test_a_condition_and_an_option_of_the_same_sink_are_both_named(defects):
    found = defects(SMALL.replace("path: out.ndjson", "path: out.ndjson, gzp: true, when: {a|nonsense: 1}"))
    assert any("sinks.local.gzp: unknown key (did you mean gzip?)" in line for line in found)
    assert any("sinks.local.when" in line and "nonsense" in line for line in found)


def test_each_defect_stands_once(defects):
    found = defects(SMALL.replace("sources:", "journal: 5\nsources:").replace("[in]", "5"))
    assert len(found) == len(set(found)) == 2


@pytest.mark.parametrize("name", ["version", "pipeline", "state_dir", "sources", "sinks"])
def test_each_required_section_is_asked_for(defects, name):
    data = {key: value for key, value in yaml.safe_load(SMALL).items() if key != name}
    (defect,) = defects(yaml.safe_dump(data))
    assert f"  {name} is missing: " in defect


@pytest.mark.parametrize("wrong", [None, 5, "text", [], {}, {"type": None}, {"type": 5}, {"type": ["file"]}, {"type": {"a": 1}}])
@pytest.mark.parametrize("kind", ["sources", "sinks", "transforms"])
def test_a_stage_without_a_type_is_answered_with_the_types_there_are(defects, kind, wrong):
    data = yaml.safe_load(SMALL) | {kind: [wrong] if kind == "transforms" else {"x": wrong}}
    (defect,) = defects(yaml.safe_dump(data))
    assert re.search(rf"  {kind}(\.x|\[0\]).*: needs a type: one of \w+", defect)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("poll_interval: 60", "s.poll_interval: 60 is not a duration such as 90s, 15m, 24h or 7d"),
        ("poll_interval: 1m30s", 's.poll_interval: "1m30s" is not a duration such as 90s, 15m, 24h or 7d'),
        ("poll_interval: null", "s.poll_interval: null is not a duration such as 90s, 15m, 24h or 7d"),
        ("concurrency: 0", "s.concurrency: 0 is not at least 1"),
        ("concurrency: 65", "s.concurrency: 65 is not at most 64"),
        ('concurrency: "8"', 's.concurrency: "8" is not a whole number'),
        ("concurrency: [1]", "s.concurrency: this list is not a whole number"),
        ("enabled: no way", 's.enabled: "no way" is not true or false'),
        ("enabled: {}", "s.enabled: this mapping is not true or false"),
        ("requests_per_minute: x", 's.requests_per_minute: "x" is not a whole number or null'),
        ("requests_per_minute: 0", "s.requests_per_minute: 0 is not at least 1"),
        ("concurency: 8", "s.concurency: unknown key (did you mean concurrency?)"),
        (
            "zzz: 8",
            "s.zzz: unknown key (there are: type, enabled, poll_interval, requests_per_minute, concurrency, on_conflict, paths,"
            " envelopes)",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(defects, line, message):
    assert defects(with_source("type: files", "paths: [in]", line)) == [f"8:5  sources.{message}"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("[]", "sources.s.paths: this list is not complete: give at least one entry"),
        ("in", 'sources.s.paths: "in" is not a list'),
        ('["in", ""]', 'sources.s.paths[1]: "" is not filled'),
        ("[in, 5]", "sources.s.paths[1]: 5 is not text"),
    ],
)
def test_a_wrong_list_is_named_at_the_element(defects, paths, message):
    (defect,) = defects(with_source("type: files", f"paths: {paths}"))
    assert re.fullmatch(rf"7:\d+  {re.escape(message)}", defect)


@pytest.mark.parametrize("given", ["client_secret: x\n    certificate: {pfx: app.pfx}", ""])
def test_a_credential_has_either_a_secret_or_a_certificate(defects, given):
    text = SMALL.replace("sources:", f"credentials:\n  app:\n    client_id: x\n    {given}\nsources:")
    assert defects(text) == ["5:3  credentials.app: give either client_secret or certificate"]


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_transform_has_to_stand_behind_the_one_whose_work_it_needs(defects, read):
    geoip, ecs = "  - type: geoip\n    city_database: places.mmdb\n", "  - type: ecs\n"
    (defect,) = defects(f"{SMALL}transforms:\n{geoip}{ecs}")
    assert defect.endswith("transforms[0].type: geoip works on what ecs makes: put it behind ecs")
    assert len(read(f"{SMALL}transforms:\n{ecs}{geoip}").transforms) == 2


def test_missing_secrets_are_each_named_and_are_the_only_defects(defects, tmp_path, monkeypatch):
    monkeypatch.delenv("KAFKA_PASSWORD")
    (tmp_path / "secrets" / "app").unlink()
    found = [line.partition("  ")[2] for line in defects(LARGE)]
    assert len(found) == 2
    assert found[0].startswith("credentials.app.client_secret: can't read ")
    assert found[0].endswith("secrets/app: No such file or directory")
    assert found[1] == "sinks.bus.sasl.password: the environment variable KAFKA_PASSWORD is not set"


def test_a_reference_that_cannot_be_followed_is_not_also_a_wrong_value(defects):
    text = SMALL.replace("paths: [in]", 'paths: [in], poll_interval: "${env:NOT_SET_ANYWHERE}"')
    assert [line.partition("  ")[2] for line in defects(text)] == [
        "sources.archive.poll_interval: the environment variable NOT_SET_ANYWHERE is not set"
    ]


def test_a_secret_file_that_is_empty_is_a_defect(defects, tmp_path):
    (tmp_path / "secrets" / "app").write_text("\n")
    (defect,) = defects(LARGE)
    assert "credentials.app.client_secret: the value is empty" in defect


def test_a_number_as_a_secret_is_named_without_it(defects):
    (defect,) = defects(LARGE.replace("client_secret: ${file:secrets/app}", "client_secret: 73310987"))
    assert "credentials.app.client_secret: the value is not text" in defect


def test_secrets_are_collected_for_the_log(read):
    assert read(LARGE).secrets >= {f"{CANARY}-file", f"{CANARY}-env"}


def test_what_the_environment_puts_into_other_options_is_collected_too(read):
    """`hosts: ["https://user:${env:PASSWORD}@..."]`: no option of type secret, and yet one."""
    assert f"{CANARY}-env" in read(SMALL.replace("out.ndjson", "'out-${env:KAFKA_PASSWORD}.ndjson'")).secrets


def test_secrets_are_seen_in_no_printed_part_of_the_config(read):
    config = read(LARGE)
    parts = [getattr(config, field.name) for field in dataclasses.fields(config) if field.name != "secrets"]
    assert CANARY not in f"{config} {config!r} {parts} {parts!r}"


def test_the_version_says_nothing_of_secrets_written_into_the_file(read):
    first, second = (read(LARGE.replace("${file:secrets/app}", secret)).version for secret in ("one-secret", "two-secret"))
    assert first == second


def test_a_secret_from_a_file_follows_the_file_and_one_from_the_environment_stays(read, tmp_path, monkeypatch):
    config = read(LARGE)
    secret, password = config.credentials["app"].client_secret, config.sinks["bus"].options.sasl.password
    (tmp_path / "secrets" / "app").write_text(f"{CANARY}-rotated\n")
    monkeypatch.setenv("KAFKA_PASSWORD", f"{CANARY}-rotated-env")
    assert (secret.reveal(), password.reveal()) == (f"{CANARY}-rotated", f"{CANARY}-env")
    assert CANARY not in repr(config)


def test_a_secret_with_text_around_the_file_s_follows_it_too(read, tmp_path):
    config = read(LARGE.replace("${file:secrets/app}", "$${x} a-${file:secrets/app}-${env:KAFKA_PASSWORD}"))
    secret = config.credentials["app"].client_secret
    assert secret.reveal() == f"${{x}} a-{CANARY}-file-{CANARY}-env"
    (tmp_path / "secrets" / "app").write_text("rotated")
    assert secret.reveal() == f"${{x}} a-rotated-{CANARY}-env"
