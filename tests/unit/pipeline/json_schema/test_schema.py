"""One schema read by two libraries: which one is loaded when, and what is made of patterns and of values that are too large."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fakes
from json_schema_libraries import WITHOUT_JSONSCHEMA_RS, without_jsonschema_rs
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.json_schema import Failure, Schema
from ualpipe.pipeline.json_schema.patterns import matches
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.transforms.validate.options import ValidateTransformConfig
from ualpipe.transforms.validate.transform import ValidateTransform

NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name", "size"]}
NOTE = "jsonschema-rs can't be imported: records are checked by jsonschema, which takes a hundred times the CPU"
CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {archive: {type: files, paths: [in]}}
transforms: [{type: validate}]
sinks: {local: {type: file, path: out.ndjson}}
"""


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def ran(program: str, *arguments: object, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(CONFIG)
    return path


def test_each_failure_says_where_and_of_which_keyword() -> None:
    name = {"type": "string"}
    assert list(Schema(NAMED).failures({"name": 5})) == [
        Failure(("name",), "type", ["string"], 5, name),
        Failure((), "required", "size", {"name": 5}, NAMED),
    ]


def test_failures_come_in_the_order_of_the_schema_whatever_the_order_of_the_value() -> None:
    schema = {"properties": {name: {"type": "string"} for name in "abc"}}
    assert [failure.path for failure in Schema(schema).failures({"c": 1, "b": 1, "a": 1})] == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("value", [nested(100_000), ["x" * 10_000_000]], ids=["deep", "huge"])
def test_a_value_of_the_wrong_type_is_not_written_out_on_the_way(value: list[Any]) -> None:
    (failure,) = Schema({"type": "string"}).failures(value)
    assert failure.value is value
    assert not Schema({"type": "string"}).accepts(value)


@pytest.mark.parametrize(
    ("pattern", "fitting", "unfit"),
    [
        (r"^\d+$", "42", "42\n"),
        (r"^\d$", "4", "٤"),
        (r"^\w$", "_", "é"),
        (r"^\W$", "é", "e"),
        (r"^\s$", "\ufeff", "\x1c"),
        (r"^[\s\d]+$", "1 \u00a0", "1x"),
        (r"^[^\S\n]$", "\u2003", "\n"),
        (r"^[\D]$", "٤", "4"),
        (r"^[$]\$$", "$$", "$"),
        (r"^(?<unit>[smh])$", "s", "d"),
        (r"^(?<!x)(?<=)a$", "a", "b"),
        (r"^\p{Lu}$", "É", "é"),
    ],
)
def test_patterns_are_read_as_ecma_262_has_them(pattern: str, fitting: str, unfit: str) -> None:
    assert matches(pattern, fitting)
    assert not matches(pattern, unfit)
    assert Schema({"pattern": pattern}).accepts(fitting)
    assert not Schema({"pattern": pattern}).accepts(unfit)


def test_pattern_that_only_jsonschema_rs_reads_is_named_where_there_is_none() -> None:
    with without_jsonschema_rs(), pytest.raises(ConfigError, match=r"the pattern '\^\\\\p\{Lu\}' .* without jsonschema-rs"):
        Schema({"pattern": r"^\p{Lu}"}).accepts("É")


def test_jsonschema_is_loaded_only_when_something_is_wrong(config: Path) -> None:
    program = (
        "import sys\nfrom ualpipe.pipeline.cli import main\ncode = main(sys.argv[1:])\n"
        "print(code, 'jsonschema' in sys.modules, 'jsonschema_rs' in sys.modules, file=sys.stderr)"
    )
    assert ran(program, "check", config).stderr == "0 False True\n"
    config.write_text(CONFIG.replace("[in]", "5"))
    assert ran(program, "check", config).stderr.splitlines()[-1] == "2 True True"


def test_without_jsonschema_rs_configs_are_checked_and_worded_alike(config: Path) -> None:
    program = "import sys\nfrom ualpipe.pipeline.cli import main\nsys.exit(main(sys.argv[1:]))"
    for text, code in ((CONFIG, 0), (CONFIG.replace("[in]", "5").replace("version: 1", "version: 2"), 2)):
        config.write_text(text)
        with_it, without_it = ran(program, "check", config), ran(WITHOUT_JSONSCHEMA_RS + program, "check", config)
        assert (with_it.returncode, with_it.stdout) == (without_it.returncode, without_it.stdout)
        assert with_it.returncode == code
        assert [line for line in without_it.stderr.splitlines() if NOTE not in line] == with_it.stderr.splitlines()


def test_without_jsonschema_rs_records_are_checked_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with without_jsonschema_rs():
        transform = ValidateTransform(build(ValidateTransformConfig, {}, Path()), fakes.env("validate"))
        transform.open()
    assert [record.getMessage() for record in caplog.records] == [NOTE]
    event = Event(
        fakes.record(1, UserId=5), 0, Origin("contoso", fakes.TENANT, "Audit.Exchange", "item", Chunk(b"[]", "array", []))
    )
    assert [str(found.pointer) for found in transform.apply(event).violations] == ["/UserId"]
