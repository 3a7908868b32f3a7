"""Options under the names of an earlier release: taken, with a warning that names the new one; never both."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands.schema import full_schema
from ualpipe.pipeline.config.former_names import former_names
from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.config.reference import markdown
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import Secret, option, schema_of

FORMER = ("cert_file", "key_file", "key_password", "key_passphrase")
CONFIG = """\
version: 1
pipeline: contoso
state_dir: ./state
sources: {archive: {type: files, paths: [in]}}
sinks:
  siem:
    type: syslog
    host: siem.contoso.example
    tls:
      ca_file: ca.pem
      cert_file: ours.pem
      key_file: ours.key
      key_passphrase: ${file:passphrase}
"""
SECRET = "planted-passphrase"
GOES = "the former name goes with the next release"

pytestmark = pytest.mark.usefixtures("quiet_logs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A section within another."""

    key: Secret | None = option("Key.", default=None, former=("pass", "code"))
    width: int = option("Width.", default=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Options of each kind that sections may stand in."""

    name: str = option("Name.", default="x", former=("title",))
    door: Door | None = option("The front door.", default=None, former=("entry",))
    side: str | Door = option("A word or a door.", default="none")
    doors: list[Door] = option("More doors.", default=[])
    by_floor: dict[str, Door] = option("Doors by floor.", default={})


def found(value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return list(former_names(House, value, ("house",)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "passphrase").write_text(SECRET + "\n", encoding="utf-8")
    return tmp_path


def write(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = CONFIG) -> PipelineConfig:
    return load_config(write(folder, text))


# --- finding them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"name": "a", "door": {"key": "b"}}, []),
        ({"title": "a"}, [(("house", "title"), "name")]),
        ({"door": {"pass": "b"}}, [(("house", "door", "pass"), "key")]),
        ({"side": {"code": "b"}}, [(("house", "side", "code"), "key")]),
        ({"side": "pass"}, []),
        ({"doors": [{}, {"pass": "b"}]}, [(("house", "doors", 1, "pass"), "key")]),
        ({"by_floor": {"code": {"code": "b"}}}, [(("house", "by_floor", "code", "code"), "key")]),
        ({"door": {"pass": "b", "code": "c"}}, [(("house", "door", "pass"), "key"), (("house", "door", "code"), "key")]),
        # The inner one first: its place is still that under the outer one's former name.
        ({"entry": {"pass": "b"}}, [(("house", "entry", "pass"), "key"), (("house", "entry"), "door")]),
    ],
)
def test_former_names_are_found_wherever_a_section_stands(value: Any, expected: list[Any]) -> None:
    assert found(value) == expected


_json = st.recursive(
    st.none() | st.integers() | st.sampled_from(["pass", "x"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["title", "door", "entry", "side", "doors", "pass", "key"]), inner)
    ),
)


@given(_json)
def test_a_value_of_any_shape_can_be_looked_through(value: Any) -> None:
    for pointer, name in found(value):
        assert name in ("name", "door", "key")
        assert pointer[-1] != name


# --- taking them -----------------------------------------------------------------------------------------------------


def test_a_former_name_means_the_same_and_is_warned_of_with_its_place(folder: Path) -> None:
    config = loaded(folder)
    tls = config.sinks["siem"].options.tls
    assert (tls.client_certificate, tls.client_key) == (folder / "ours.pem", folder / "ours.key")
    assert tls.client_key_password.reveal() == SECRET
    assert [warning.removeprefix(f"{folder}/pipeline.yaml:") for warning in config.warnings] == [
        f"11:7  sinks.siem.tls.cert_file: is now called client_certificate; {GOES}",
        f"12:7  sinks.siem.tls.key_file: is now called client_key; {GOES}",
        f"13:7  sinks.siem.tls.key_passphrase: is now called client_key_password; {GOES}",
    ]


def test_present_names_are_not_warned_of_and_make_the_same_config(folder: Path) -> None:
    text = CONFIG.replace("cert_file", "client_certificate").replace("key_file", "client_key")
    present = loaded(folder, text.replace("key_passphrase", "client_key_password"))
    assert present.warnings == ()
    former = loaded(folder)
    assert (present.version, present.sinks["siem"].options) == (former.version, former.sinks["siem"].options)


def test_a_secret_under_a_former_name_stays_one_and_is_read_again(folder: Path) -> None:
    config = loaded(folder)
    assert SECRET in config.secrets
    assert SECRET not in repr(config)
    (folder / "passphrase").write_text("planted-replaced", encoding="utf-8")
    assert config.sinks["siem"].options.tls.client_key_password.reveal() == "planted-replaced"


@pytest.mark.parametrize("value", ["[planted-passphrase]", "{a: planted-passphrase}", "17"])
def test_a_wrong_secret_under_a_former_name_is_not_shown(folder: Path, value: str) -> None:
    text = CONFIG.replace("${file:passphrase}", value)
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{folder}/pipeline.yaml:13:7  sinks.siem.tls.client_key_password: the value is not")
    assert "planted" not in line
    assert "17" not in line.partition("  ")[2]


@pytest.mark.parametrize(
    ("given_too", "place"),
    [("client_key_password: planted-other", "13:7  sinks.siem.tls.key_passphrase"), ("key_password: planted-other", None)],
    ids=["the present name", "another former one"],
)
def test_two_names_at_once_are_one_defect_that_shows_no_value(folder: Path, given_too: str, place: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, f"{CONFIG}      {given_too}\n")
    (line,) = str(caught.value).splitlines()
    assert "is now called client_key_password, which is given too: remove one of the two" in line
    assert place is None or line.startswith(f"{folder}/pipeline.yaml:{place}: ")
    assert "planted" not in line


def test_a_reference_that_leads_nowhere_is_named_once(folder: Path) -> None:
    (folder / "passphrase").unlink()
    with pytest.raises(ConfigError) as caught:
        loaded(folder)
    (line,) = str(caught.value).splitlines()
    assert "can't read passphrase" in line


# --- telling ---------------------------------------------------------------------------------------------------------


def test_check_warns_on_stderr_and_is_fine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder)
    for name in ("ca.pem", "ours.pem", "ours.key"):
        (folder / name).touch(mode=0o600)
    assert main(["check", str(path)]) == 0
    captured = capsys.readouterr()
    assert "the config is fine" in captured.out
    assert [line.partition(": ")[0] for line in captured.err.splitlines()] == ["warning"] * 3
    assert f"warning: {path}:11:7  sinks.siem.tls.cert_file: is now called client_certificate" in captured.err


def test_run_warns_in_its_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in").mkdir()
    text = CONFIG.replace("host: siem.contoso.example", "host: siem.contoso.example\n    enabled: false")
    text += "  local: {type: file, path: out/x}\n"
    assert main(["run", str(write(folder, text)), "--once"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warned = [line["message"] for line in lines if line["logger"] == "ualpipe.config"]
    assert len(warned) == 3
    assert {line["level"] for line in lines if line["logger"] == "ualpipe.config"} == {"warning"}
    assert "sinks.siem.tls.key_passphrase: is now called client_key_password" in warned[2]


def test_schema_and_reference_show_present_names_alone() -> None:
    shown = json.dumps(full_schema()) + markdown() + json.dumps(schema_of(House))
    assert "client_certificate" in shown
    assert [name for name in (*FORMER, "title", "pass") if re.search(rf"\b{name}\b", shown)] == []
