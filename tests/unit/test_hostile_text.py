"""Every expression that ships is measured on text that was made against it: a record's author must not hold up others."""

from __future__ import annotations

import ast
import importlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import yaml

import fakes
from hostile_text import slowest
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.json_schema.patterns import translated
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.scanning import NotWhole, bracket_end, elements
from ualpipe.transforms.ecs.conversions.registry import load_conversions
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform
from ualpipe.transforms.validate.options import ValidateTransformConfig
from ualpipe.transforms.validate.transform import ValidateTransform

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "clients", "sources", "transforms", "sinks", "schemas", "simulator", "testing")
LIMIT_S = 0.05
SIZE = 64 * 1024
METHODS = {"match", "search", "fullmatch", "finditer", "findall", "sub", "split"}
_MAY_BE_INLINE = re.compile(rf"\bre\s*\.\s*(?:{'|'.join(sorted(METHODS))})\s*\(")
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # that in C reads the tables in a tenth of the time
DRIVEN = {"ualpipe.pipeline.records.scanning._TOKEN"}  # whoever uses it ends at the first string without an end; see below

# What made the product slow before: the measure must notice each.
SLOW = (
    r"([^/\\]+)[/\\]*$",
    r"([^/\\]+)$",
    r"^https?://(.*?)(?:/Lists/.*)?(?:/[0-9a-fA-F]{8}-[0-9a-fA-F-]{27})*/?$",
    r"(?s)(.+?) \((\d{1,18})b\)(?:;\s*|\s*$)",
    r"([^\s<>\"';,:@]+@[^\s<>\"';,:@]+)",
    r"(?s);(Mozilla/.*?|[\w.-]+/[\d.]+[^;=]*?);*$",
    r"^[(<{'\"]+(.+?)[)>}'\"]+$",
    r"\s*Trace ID:.*",
    r'(?:^|\s)-(\w+)(?:[ :]\s*(?!-\w+(?:\s|$))("(?:[^"]|""|"(?!\s+-\w|\s*$))*"|\((?:[^()]|"[^"]*")*\)|\S+))?',
    r"^(a+)+$",
    r"^(?:a|a)*$",
    r"^.*a.*a.*a.*c$",
)


@cache
def gathered() -> dict[str, tuple[re.Pattern[Any], tuple[str, ...]]]:
    """Returns each expression of the packages and their data, with how it is used."""
    found: dict[str, tuple[re.Pattern[Any], tuple[str, ...]]] = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = ".".join(("ualpipe", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        source = path.read_text(encoding="utf-8")
        for variable, value in vars(importlib.import_module(name)).items():
            for at, pattern in enumerate(_patterns(value)):
                used = set(re.findall(rf"\b{variable}(?:\[[^\]]*\])?\.(\w+)\(", source)) & METHODS
                found[f"{name}.{variable}{at or ''}"] = (pattern, tuple(sorted(used)) or ("search",))
        if _MAY_BE_INLINE.search(source):
            found |= {f"{name}:{line}": (pattern, methods) for line, pattern, methods in _inline(source)}
    return found | _in_data()


def _patterns(value: Any, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, dict):
        yield from (found for item in value.values() for found in _patterns(item, depth - 1))
    elif depth and isinstance(value, list | tuple | set | frozenset):
        yield from (found for item in value for found in _patterns(item, depth - 1))
    elif depth and is_dataclass(value) and not isinstance(value, type):
        yield from (found for one in fields(value) for found in _patterns(getattr(value, one.name, None), depth - 1))


def _inline(source: str) -> Iterator[tuple[int, re.Pattern[Any], tuple[str, ...]]]:
    """Yields the expressions that are written where they are used: ``re.sub(r"…", …)``."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        first = node.args[0]
        if ast.unparse(node.func.value) == "re" and node.func.attr in METHODS and isinstance(first, ast.Constant):
            yield node.lineno, re.compile(first.value), (node.func.attr,)


def _in_data() -> dict[str, tuple[re.Pattern[Any], tuple[str, ...]]]:
    texts = {}
    for path in sorted((ROOT / "schemas").rglob("*.yaml")):
        texts |= {f"{path.name}: {text}": text for text in _members(_yaml(path), "match")}
    for path in sorted((ROOT / "schemas").rglob("*.json")):
        patterns = _members(json.loads(path.read_text(encoding="utf-8")), "pattern")
        texts |= {f"{path.name}: {text}": translated(text) for text in patterns}
    return {name: (re.compile(text), ("search",)) for name, text in texts.items()}


def _yaml(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML_LOADER)


def _members(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == key and isinstance(value, str))
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _members(item, key)


@pytest.mark.parametrize("name", sorted(gathered().keys() - DRIVEN))
def test_shipped_expression_is_quick_on_text_made_against_it(name: str) -> None:
    pattern, methods = gathered()[name]
    took, shown = slowest(pattern, methods, LIMIT_S)
    assert took < LIMIT_S, shown


@pytest.mark.parametrize("slow", SLOW)
def test_the_measure_notices_an_expression_that_is_slow(slow: str) -> None:
    pattern = re.compile(slow)
    took, _shown = slowest(pattern, ("search", "finditer"), LIMIT_S)
    assert took > LIMIT_S


def test_expressions_are_gathered_from_everywhere() -> None:
    names = gathered().keys()
    assert len(names) > 100
    assert "ualpipe.transforms.ecs.conversions.mail._ADDRESS" in names
    assert any(name.startswith("messages.yaml: ") for name in names)
    assert any(name.startswith("ualpipe.transforms.ecs.messages.reader:") for name in names)
    assert any("envelopes" in name for name in names)
    assert names >= DRIVEN


@pytest.mark.parametrize("unit", ['"\\', '"', "\\", '["', "{", '{"a":"', "],["])
def test_brackets_are_followed_quickly_in_hostile_text(unit: str) -> None:
    text = "[" + unit * (SIZE // len(unit))
    assert min(_seconds(_follow, text) for _ in range(3)) < 2 * LIMIT_S


def _follow(text: str) -> None:
    bracket_end(text, 0, len(text))
    with suppress(NotWhole):
        list(elements(text, 1))


UNITS = (
    *("a", "/", "\\", "@", "a@", " (1b)", "; ", '"', ' -a "x', '-a ("', "(", "<", "{", "[", "a.", "Aa", "0", "-", " ", "\n"),
    *("/a", "%", "&a=", "?", "#", "CN=", "/Lists/", "'", "é", "\u2028", "\0", ";Mozilla/", "a:", ":", "1.", '{"a":', '["', "<a>"),
    *("+", ",", "|", "i:0", "\U0001f600", "_", "/00000000-0000-0000-0000-000000000000", "https://", "*", "İ", ".docx", "a-b "),
)
HEADS = ("", "https://", "Client=", "{", '-a "', "urn:spo:guest#", "smtp:", "(", "i:0#.f|", "Mozilla/5.0 (")
TAILS = ("", "\0", "!", "/a", '"', ")")
KEPT = {"Id", "Operation", "RecordType", "CreationTime", "Workload", "OrganizationId", "Name", "Key"}


def hostile(at: int) -> Iterator[str]:
    """Yields texts of 64 kB, others for each start."""
    heads, tails = cycle(HEADS[at % len(HEADS) :] + HEADS), cycle(TAILS[at % len(TAILS) :] + TAILS)
    for unit in UNITS:
        yield next(heads) + unit * (SIZE // len(unit)) + next(tails)


@pytest.mark.parametrize("name", [name for name, made in load_conversions().items() if made.takes in ("text", "value")])
def test_conversion_is_quick_on_hostile_text(name: str) -> None:
    convert = load_conversions()[name].convert
    convert("Mozilla/5.0 (X11)")  # some read their tables at first
    for text in (*hostile(0), *hostile(3)):
        # One slow try may be the machine's; a text that is slow is so three times.
        assert any(_seconds(convert, text) < 2 * LIMIT_S for _ in range(3)), text[:60]


def _seconds(work: Any, value: Any) -> float:
    began = time.process_time()
    work(value)
    return time.process_time() - began


@cache
def _stages() -> tuple[ValidateTransform, EcsTransform]:
    stages = (
        ValidateTransform(build(ValidateTransformConfig, {}, Path()), fakes.env("validate")),
        EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs")),
    )
    for stage in stages:
        stage.open()
    return stages


def _filled(value: Any, text: str, key: str = "") -> Any:
    """Returns a record in which every text but those that say what kind it is of is another one."""
    if isinstance(value, dict):
        return {name: _filled(item, text, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, text, key) for item in value]
    return text if isinstance(value, str) and key not in KEPT else value


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "golden").glob("*.in.json"))[::4], ids=lambda path: path.stem)
def test_record_of_hostile_texts_is_validated_mapped_and_said_quickly(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    validate, ecs = _stages()
    ecs.apply(validate.apply(Event(json.loads(json.dumps(record)), 0, _ORIGIN)))  # its tables are read
    for text in list(hostile(len(path.stem)))[len(path.stem) % 7 :: 7]:
        # A megabyte and more: each text is read by several rows. Each time another one, as results are remembered.
        several = (_filled(record, f"{text[: SIZE // 2]}{at}{text[SIZE // 2 :]}") for at in range(3))
        took = (_seconds(lambda one: ecs.apply(validate.apply(Event(one, 0, _ORIGIN))), one) for one in several)
        assert any(seconds < 2 * LIMIT_S for seconds in took), text[:60]


_ORIGIN = Origin("files", "", "golden", "golden", Chunk(b"", "lines", []))
