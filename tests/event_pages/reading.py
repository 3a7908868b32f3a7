"""Reads ``pages/*.yaml``: the samples of each page, and the rules with a record that each finds and one that it passes over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "pages"
GOLDEN = Path(__file__).parents[1] / "golden"
SIGMA, ELASTIC = "SigmaHQ/sigma", "elastic/detection-rules"


@dataclass(frozen=True)
class Sample:
    """One record, as received.

    Attributes:
        name: By which rules of the page name it.
        about: What happened, as a heading.
    """

    name: str
    about: str
    record: dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One public rule.

    Attributes:
        repository: Where it stands on GitHub.
        title: Its own name.
        path: Its file.
        commit: The version of the file whose condition stands here.
        asks: The condition: of Elastic's rules as ``asking`` reads it, of Sigma's the detection.
        language: In which Elastic's rule asks; the target of a conversion for Sigma's.
        beyond: What it takes besides one such event; empty where one is enough.
        hit: A record that meets the condition.
        miss: A near one that does not.
        why: In what the near one differs.
        author: Whom the rule's licence wants named.
    """

    repository: str
    title: str
    path: str
    commit: str
    asks: dict[str, Any]
    language: str
    beyond: str
    hit: dict[str, Any]
    miss: dict[str, Any]
    why: str
    author: str

    @property
    def link(self) -> str:
        """The file on GitHub, in this version."""
        return f"https://github.com/{self.repository}/blob/{self.commit}/{self.path}"


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        name: Of the file, without ending.
        about: Below the title.
        tables: Mapping tables that make its documents, by file name.
    """

    name: str
    title: str
    about: str
    tables: tuple[str, ...]
    samples: tuple[Sample, ...]
    rules: tuple[Rule, ...]


@cache
def pages() -> tuple[Page, ...]:
    """Returns all pages, in the order of their files' names."""
    return tuple(map(_page, sorted(FOLDER.glob("*.yaml"))))


def _page(path: Path) -> Page:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    samples = tuple(Sample(name, one["about"], _record(one)) for name, one in found["samples"].items())
    by_name = {sample.name: sample.record for sample in samples}
    rules = tuple(_rule(one, by_name) for one in found.get("rules", ()))
    return Page(path.stem.partition("-")[2], found["title"], found["about"].strip(), tuple(found["tables"]), samples, rules)


def _record(one: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a sample: its own, or that of a golden case, with the fields that differ."""
    if "golden" not in one:
        return dict(one["record"])
    return {**json.loads((GOLDEN / f"{one['golden']}.in.json").read_text(encoding="utf-8")), **one.get("with", {})}


def _rule(one: dict[str, Any], samples: dict[str, dict[str, Any]]) -> Rule:
    hit = samples[one["hit"]] if isinstance(one["hit"], str) else {**samples[one["hit"]["sample"]], **one["hit"]["with"]}
    return Rule(
        repository=ELASTIC if "elastic" in one else SIGMA,
        title=one["title"],
        path=f"rules/integrations/o365/{one['elastic']}.toml" if "elastic" in one else one["sigma"],
        commit=one["commit"],
        asks=one["asks"],
        language=one.get("language", "lucene"),
        beyond=one.get("beyond", ""),
        hit=hit,
        miss={**hit, **one["miss"]["with"]},
        why=one["miss"]["why"],
        author=one.get("author", ""),
    )
