"""The config as a whole: every defect in one run, each with its place and what to do, and no secret in any of them."""

import json
import re
from pathlib import Path

import pytest

from ualpipe.pipeline.config.loader import load_config, stage_schema
from ualpipe.pipeline.config.model import JournalOptions, PipelineConfig, SourceOptions
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Secret
from ualpipe.pipeline.registry import load

CANARY = "planted-canary-value"
GOOD = """\
version: 1
pipeline: contoso
state_dir: ./state
credentials:
  app:
    client_id: 11111111-1111-1111-1111-111111111111
    client_secret: ${file:secret}
sources:
  tenant:
    type: management_activity
    tenant_id: 22222222-2222-2222-2222-222222222222
    credential: app
  files:
    type: files
    paths: [in]
transforms:
  - type: filter
    drop: {Operation: FileAccessed}
sinks:
  local:
    type: file
    path: out/%Y.ndjson
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "secret").write_text(CANARY + "\n")
    monkeypatch.setenv("PLANTED", CANARY)
    monkeypatch.delenv("UNSET", raising=False)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def good(folder: Path, *changes: tuple[str, str]) -> PipelineConfig:
    return load_config(write(folder, changed(*changes)))


def changed(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def defects(folder: Path, text: str) -> list[str]:
    """Returns the defects of a config, each without the file's name."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    lines = str(error.value).splitlines()
    assert all(re.match(rf"{re.escape(str(path))}:\d+:\d+  \S", line) for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


# --- good ones -------------------------------------------------------------------------------------------------------


def test_a_good_config_becomes_objects(folder):
    config = good(folder)
    assert (config.pipeline, config.state_dir) == ("contoso", folder / "state")
    assert list(config.sources) == ["tenant", "files"]
    assert config.credentials["app"].client_secret == Secret(CANARY)
    assert config.sources["files"].options.paths == (folder / "in",)
    assert config.sources["files"].common.concurrency >= 1
    assert [spec.name for spec in config.transforms] == ["transforms[0]"]
    assert config.sinks["local"].when is None
    assert config.journal.keep == 7 * 86400
    assert config.journal.max_size == 10 << 30


def test_paths_are_relative_to_the_folder_of_the_config(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    write(folder, GOOD)
    monkeypatch.chdir(folder / "elsewhere")
    config = load_config(Path("../pipeline.yaml"))
    assert config.state_dir.resolve() == folder / "state"
    assert config.sinks["local"].options.path.parent.resolve() == folder / "out"
    absolute = good(folder, ("./state", "/var/lib/contoso"), ("[in]", "[/data/in]"))
    assert absolute.state_dir == Path("/var/lib/contoso")
    assert absolute.sources["files"].options.paths == (Path("/data/in"),)


def test_home_is_expanded_in_every_path(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    config = good(folder, ("./state", "~/state"), ("out/%Y.ndjson", "~/out.ndjson"))
    assert config.sinks["local"].options.path == folder / "home" / "out.ndjson"
    assert config.state_dir == folder / "home" / "state"


def test_a_sink_s_condition_is_compiled(folder):
    config = good(folder, ("path: out/%Y.ndjson", "path: out.ndjson\n    when: {Operation: UserLoggedIn}"))
    when = config.sinks["local"].when
    assert when({"Operation": "UserLoggedIn"})
    assert not when({"Operation": "FileAccessed"})


def test_what_is_switched_off_is_left_out_but_checked(folder):
    config = good(folder, ("type: files\n", "type: files\n    enabled: false\n"))
    assert list(config.sources) == ["tenant"]
    (defect,) = defects(folder, changed(("type: files\n    paths: [in]", "type: files\n    enabled: false\n    path: [in]")))[:1]
    assert "sources.files" in defect


def test_options_of_a_kind_and_of_a_stage_stand_side_by_side(folder):
    text = "type: files\n    poll_interval: 5m\n    concurrency: 3\n    requests_per_minute: 10"
    config = good(folder, ("type: files", text))
    common = config.sources["files"].common
    assert (common.poll_interval, common.concurrency, common.requests_per_minute) == (300, 3, 10)
    for kind, name in (("sources", "files"), ("sinks", "file"), ("transforms", "filter")):
        assert "type" in stage_schema(kind, load(kind, name))["required"]


def test_a_stage_s_own_default_goes_before_that_of_its_kind(folder):
    config = good(folder)
    own = config.sources["tenant"].cls.Config
    schema = stage_schema("sources", config.sources["tenant"].cls)["properties"]
    assert hasattr(own, "requests_per_minute") == ("requests_per_minute" in own.__dataclass_fields__)
    assert config.sources["tenant"].common.requests_per_minute == schema["requests_per_minute"]["default"]
    assert isinstance(config.sources["tenant"].common, SourceOptions)


def test_null_stands_for_nothing_where_that_is_possible(folder):
    config = good(folder, ("path: out/%Y.ndjson", "path: out.ndjson\n    when: null\n    rotate_size: null"))
    assert config.sinks["local"].when is None


# --- defects ---------------------------------------------------------------------------------------------------------


def test_every_defect_of_a_file_is_found_in_one_run_in_the_order_of_the_file(folder):
    text = """\
version: 2
pipelin: contoso
state_dir: ./state
state_dir: ./other
credentials:
  app:
    client_id: x
    client_secret: ${env:UNSET}
  both: {client_id: x, client_secret: a, certificate: {pfx: a.pfx}}
  none: {client_id: x}
sources:
  tenant:
    type: management_activity
    tenant_id: 22222222-2222-2222-2222-222222222222
    credential: ap
  files:
    type: file
    paths: [in]
  more:
    type: files
    paths: []
    poll_interval: 60
    concurency: 3
transforms:
  - type: filtr
  - drop: {a: 1}
  - type: filter
sinks:
  local:
    type: file
    path: ${file:absent}
    rotate_size: 10MB
    when: {"user.id|endwith": "@contoso.com"}
  bus:
    topic: x
journal:
  keep: forever
  max_size: 10
"""
    found = defects(folder, text)
    expected = [
        (1, "version", "1"),
        (2, "pipelin", "did you mean pipeline?"),
        (4, "state_dir", "twice"),
        (8, "credentials.app.client_secret", "UNSET is not set"),
        (9, "credentials.both", "either client_secret or certificate"),
        (10, "credentials.none", "either client_secret or certificate"),
        (15, "sources.tenant.credential", "did you mean app?"),
        (17, "sources.files.type", "did you mean files?"),
        (21, "sources.more.paths", "at least one"),
        (22, "sources.more.poll_interval", "a duration such as 90s"),
        (23, "sources.more.concurency", "did you mean concurrency?"),
        (25, "transforms[0].type", "did you mean filter?"),
        (26, "transforms[1]", "needs a type"),
        (27, "transforms[2]", "drop"),
        (31, "sinks.local.path", "can't read absent"),
        (32, "sinks.local.rotate_size", "a size such as 64KiB"),
        (34, "sinks.bus", "needs a type"),
        (37, "journal.keep", "a duration such as"),
        (38, "journal.max_size", "a size such as"),
    ]
    for line, path, words in expected:
        assert any(re.match(rf"{line}:\d+  {re.escape(path)}: .*{re.escape(words)}", one) for one in found), (
            f"{line} {path}: {words}\n" + "\n".join(found)
        )
    assert [int(one.partition(":")[0]) for one in found] == sorted(int(one.partition(":")[0]) for one in found)


@pytest.mark.parametrize("text", ["", "# only\n# comments\n", "---\n", "null\n"])
def test_an_empty_config_is_said_so(folder, text):
    path = folder / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(f"{path}: the file is empty: write `version: 1`")):
        load_config(path)


@pytest.mark.parametrize(("text", "what"), [("- a\n", "list"), ("hello\n", "mapping"), ("5\n", "mapping")])
def test_a_config_that_is_no_mapping_is_said_so(folder, text, what):
    (defect,) = defects(folder, text)
    assert "is not a mapping" in defect


@pytest.mark.parametrize("text", ["a: [1\n", "a: 'x\n", "\ta: 1\n", "a: b: c\n", "a: \x07\n"])
def test_a_mistake_in_the_yaml_is_one_defect_with_its_place(folder, text):
    (defect,) = defects(folder, text)
    assert "not YAML" in defect


def test_a_config_that_can_not_be_read_is_said_so(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError, match=rf"{re.escape(str(path))}: can't read the config"):
            load_config(path)


@pytest.mark.parametrize("section", ["sources", "sinks"])
@pytest.mark.parametrize("value", ["null", "{}", "[]", "text", "{a: null}", "{a: []}", "{a: {}}", "{a: {type: null}}"])
def test_a_section_without_stages_is_a_defect(folder, section, value):
    text = re.sub(rf"(?m)^{section}:\n(?:  .*\n)+", f"{section}: {value}\n", GOOD)
    found = defects(folder, text)
    assert all(section in defect for defect in found)


@pytest.mark.parametrize("value", ["[files]", "{a: 1}", "5", "null", "true"])
def test_a_type_that_is_no_text_is_a_defect(folder, value):
    (defect, *_others) = defects(folder, changed(("type: files", f"type: {value}")))
    assert "sources.files" in defect
    assert "needs a type: one of files, management_activity" in defect


@pytest.mark.parametrize("name", ["credentials", "journal", "transforms"])
@pytest.mark.parametrize("value", ["5", "text", "true"])
def test_a_section_of_the_wrong_kind_is_a_defect(folder, name, value):
    text = re.sub(r"(?m)^(credentials|transforms):\n(?:  .*\n)+", "", GOOD) if name != "journal" else GOOD
    assert any(f"{name}: " in defect for defect in defects(folder, f"{text}{name}: {value}\n"))


@pytest.mark.parametrize(
    ("value", "is_good"),
    [("90s", True), ("1.5h", True), ("7d", True), ("500ms", True), ("60", False), ("-5s", False), ("5 s", False), ("1w", False)],
)
def test_durations_have_a_unit(folder, value, is_good):
    text = changed(("type: files", f"type: files\n    poll_interval: {value}"))
    if is_good:
        assert load_config(write(folder, text)).sources["files"].common.poll_interval > 0
    else:
        (defect,) = defects(folder, text)
        assert "is not a duration such as 90s, 15m, 24h or 7d" in defect


@pytest.mark.parametrize("value", ["0", "65", "1.5", "null", "'8'", ".inf", ".nan", "99999999999999999999999", "true"])
def test_numbers_keep_to_their_limits(folder, value):
    (defect,) = defects(folder, changed(("type: files", f"type: files\n    concurrency: {value}")))
    assert "sources.files.concurrency" in defect


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "../x", "a\\n"])
def test_the_pipeline_s_name_is_a_plain_word(folder, name):
    (defect,) = defects(folder, changed(("pipeline: contoso", f'pipeline: "{name}"')))
    assert "pipeline:" in defect


def test_a_dangling_credential_is_answered_with_what_there_is(folder):
    (defect,) = defects(folder, changed(("credential: app", "credential: other")))
    assert "12:5  sources.tenant.credential: there is no 'other' under credentials" in defect
    assert "app" in defect
    (defect,) = defects(folder, re.sub(r"(?m)^credentials:\n(?:  .*\n)+", "", GOOD))
    assert "there is no 'app' under credentials" in defect


@pytest.mark.parametrize(
    ("old", "new", "path", "word"),
    [
        ("client_secret: ${file:secret}", "certificate: {pfxx: a.pfx}", "credentials.app.certificate.pfxx", "did you mean pfx?"),
        ("client_secret: ${file:secret}", "certificate: {pfx: 5}", "credentials.app.certificate.pfx", "text"),
        (
            "credential: app",
            "credential: app\n    cloud: {authority: 'https://a', apii: 'https://b'}",
            "sources.tenant.cloud.apii",
            "did you mean api?",
        ),
    ],
)
def test_a_mistake_inside_an_optional_section_is_named_at_its_place(folder, old, new, path, word):
    found = defects(folder, changed((old, new)))
    assert any(f"  {path}: " in defect and word in defect for defect in found), found


def test_conditions_that_can_not_be_compiled_are_defects_at_their_place(folder):
    (defect,) = defects(folder, changed(("path: out/%Y.ndjson", "path: out.ndjson\n    when: {'UserId|endwith': x}")))
    assert "sinks.local.when" in defect
    assert "did you mean endswith?" in defect


@pytest.mark.parametrize(
    "value", ['"~nosuchuser/out.ndjson"', '"${file:a\\0b}"', '"${file:}"', '"${file:.}"', '""', "null", "5", "[a]"]
)
def test_odd_paths_are_defects_and_no_crash(folder, value):
    found = defects(folder, changed(("path: out/%Y.ndjson", f"path: {value}")))
    assert all("sinks.local" in defect for defect in found)


def test_a_stage_whose_options_do_not_go_together_is_a_defect(folder):
    (defect,) = defects(folder, changed(("    drop: {Operation: FileAccessed}\n", "")))
    assert "transforms[0]" in defect
    assert "drop" in defect


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_seen_in_the_config_however_it_is_printed(folder):
    config = good(folder)
    assert CANARY in config.secrets
    assert CANARY not in repr(config) + str(config) + f"{config.credentials}" + repr(config.sources)


@pytest.mark.parametrize("value", ["123456789012", "1234567.25", "[123456789012]", "{x: 123456789012}", "2026-11-20"])
@pytest.mark.parametrize("place", ["client_secret: ${file:secret}", "certificate: {pfx: a.pfx, passphrase: ${file:secret}}"])
def test_a_secret_of_the_wrong_type_is_not_shown(folder, value, place):
    text = changed(("client_secret: ${file:secret}", place.replace("${file:secret}", value)))
    assert value.strip("[]{}x: ") not in outcome(write(folder, text))


def outcome(path: Path) -> str:
    """Returns what ``ualpipe check`` would say."""
    try:
        return repr(load_config(path))
    except ConfigError as exc:
        return str(exc)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("credential: app", "credential: ${env:PLANTED}"),
        ("type: files", "type: ${env:PLANTED}"),
        ("type: files", "type: files\n    poll_interval: ${env:PLANTED}"),
        ("version: 1", "version: ${env:PLANTED}"),
        ("pipeline: contoso", "pipeline: /${env:PLANTED}"),
        ("drop: {Operation: FileAccessed}", "drop: {'Operation|re': '(${env:PLANTED}'}"),
        ("path: out/%Y.ndjson", "path: out.ndjson\n    when: {'a|gt': '${env:PLANTED}'}"),
        ("path: out/%Y.ndjson", "path: out.ndjson\n    when: {'a|re': '(${env:PLANTED}'}"),
        ("path: out/%Y.ndjson", "path: out.ndjson\n    mode: ${env:PLANTED}"),
        ("path: out/%Y.ndjson", "path: out.ndjson\n    payload: ${env:PLANTED}"),
        ("paths: [in]", "paths: ${env:PLANTED}"),
    ],
)
def test_a_substituted_value_is_shown_by_no_message(folder, old, new):
    assert CANARY not in "\n".join(defects(folder, changed((old, new))))


def test_the_environment_is_not_part_of_the_structure(folder, monkeypatch):
    monkeypatch.setenv("PLANTED", "x}\n  evil: {type: file, path: /etc/passwd")
    config = good(folder, ("${file:secret}", "${env:PLANTED}"))
    assert list(config.sinks) == ["local"]
    assert config.credentials["app"].client_secret.reveal().startswith("x}")


# --- version ---------------------------------------------------------------------------------------------------------


def test_the_version_changes_with_the_content_and_not_with_layout_or_secrets(folder):
    version = good(folder).version
    assert re.fullmatch("[0-9a-f]{12}", version)
    assert good(folder, ("version: 1", "# a comment\nversion:   1")).version == version
    (folder / "secret").write_text("another-secret")
    assert good(folder).version == version
    assert good(folder, ("FileAccessed", "FileDeleted")).version != version


def test_the_version_can_be_made_of_every_value_that_yaml_has(folder):
    odd = "drop: {a: .inf, b: 99999999999999999999999999, c: null, d: [1, true, 2026-11-20]}"
    assert good(folder, ("drop: {Operation: FileAccessed}", odd)).version


def test_the_options_of_the_journal_and_of_credentials_are_described():
    for cls in (JournalOptions, Credential):
        assert all(field.metadata["description"] for field in cls.__dataclass_fields__.values())
    assert json.dumps(stage_schema("sinks", load("sinks", "file")))
