"""What holds for each report that ships with ualpipe, whatever it asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from archives.acts import sql_of
from archives.scene import NOW, Record, fill
from ualpipe.pipeline.report.contract import Asked, Own, Result, Selection
from ualpipe.simulator.records.generator import generate
from ualpipe.simulator.records.incidents import planted_incidents
from ualpipe.sinks.archive.store import ArchiveStore

START = datetime(2026, 11, 16, 8, tzinfo=UTC)
FILES = sorted(Path(str(resources.files("ualpipe.reports"))).iterdir())
NAMES = sorted(file.stem for file in FILES if file.suffix == ".sql")
NO_COLUMNS = ("event_ids", "excluded")
KEYS = {"title", "question", "columns", "group", "timeline", "wrong", "not_answered"}

# What DuckDB and PostgreSQL both have, with the same meaning.
IS_SHARED = re.compile(
    r"""abs|array_agg|avg|bool_and|bool_or|cast|ceil|chr|coalesce|concat|concat_ws|count|date_trunc|dense_rank|extract|first_value|floor
    |greatest|lag|last_value|lead|least|left|length|lower|lpad|ltrim|max|min|mod|nullif|percentile_disc|position|rank|replace|right
    |round|row_number|rpad|rtrim|split_part|string_agg|string_to_array|strpos|substring|sum|to_timestamp|translate|trim|unnest|upper""",
    re.VERBOSE,
).fullmatch
IS_NO_FUNCTION = re.compile(
    r"""and|any|as|between|by|case|cross|distinct|else|except|exists|filter|from|group|having|in|intersect|interval|is|join|lateral
    |like|not|on|or|order|over|partition|rows|select|set|then|union|using|values|when|where|with|within|zone""",
    re.VERBOSE,
).fullmatch
OTHERS = re.compile(
    r"::|->|(?<!array)\[[^]]|\$\d|\b(?:qualify|exclude|replace\s*\(\s*\w+\s+as|ilike|glob|similar|any_value|arg_max|arg_min|"
    r"try_cast|group\s+by\s+all|order\s+by\s+all|pivot|asof|positional|ifnull|nvl|isnull|regexp_matches|strftime|to_char|epoch_ms|hugeint|"
    r"jsonb?|varchar\[\])\b"
)


def bare(sql: str) -> str:
    """Returns SQL in lower case without its comments and texts."""
    return re.sub(r"'(?:[^']|'')*'", "''", re.sub(r"--[^\n]*", "", sql)).lower()


def described(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((resources.files("ualpipe.reports") / f"{name}.yaml").read_text("utf-8"))
    return found


def records() -> list[Record]:
    planted = [record for incident in planted_incidents(start=START + timedelta(hours=3)) for record in incident.records]
    return [*generate(1500, start=START, rate=0.01), *planted]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ArchiveStore]]:
    """Yields an empty archive, one of generated records, and one of the same records that were written in another order."""
    folder, found = tmp_path_factory.mktemp("reports"), records()
    fill(folder / "empty", [])
    fill(folder / "forward", found)
    for begin in (1100, 700, 0):
        fill(folder / "backward", found[begin : {1100: len(found), 700: 1100, 0: 700}[begin]][::-1])
    opened = {name: ArchiveStore(folder / name) for name in ("empty", "forward", "backward")}
    for store in opened.values():
        store.open()
    yield opened
    for store in opened.values():
        store.close()


def answer(store: ArchiveStore, name: str, **selection: Any) -> Result:
    own = [Own("domain", "contoso.com"), Own("admin", "kofi@contoso.com"), Own("delegate", "a@contoso.com", "b@contoso.com")]
    return store.query(sql_of(name), Asked(Selection(**selection), now=NOW, timezone="Europe/Berlin", own=own))


def test_each_report_is_a_pair_of_files() -> None:
    assert {file.stem for file in FILES if file.suffix == ".yaml"} == set(NAMES)
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_report_describes_what_it_answers(name: str) -> None:
    told = described(name)
    assert set(told) <= KEYS
    assert told["title"]
    assert told["question"].endswith("?")
    assert told["wrong"]
    assert all(set(column) == {"title", "about"} and column["title"] for column in told["columns"].values())
    assert set(told["group"]) <= set(told["columns"])
    assert told.get("timeline") in {None, *told["columns"]}
    sentences = [*told["wrong"], *told.get("not_answered", ()), *(column["about"] for column in told["columns"].values())]
    assert all(isinstance(sentence, str) and sentence.endswith((".", "?")) for sentence in sentences)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("store", ["empty", "forward"])
def test_its_columns_are_those_that_it_describes(stores: dict[str, ArchiveStore], name: str, store: str) -> None:
    columns = list(answer(stores[store], name).columns)
    assert [column for column in columns if column not in NO_COLUMNS] == list(described(name)["columns"])
    assert "event_ids" in columns


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_archive_has_no_rows(stores: dict[str, ArchiveStore], name: str) -> None:
    assert not answer(stores["empty"], name).rows
    assert not answer(stores["empty"], name, user="nobody@contoso.com").rows


@pytest.mark.parametrize("name", NAMES)
def test_the_order_in_which_events_were_written_changes_nothing(stores: dict[str, ArchiveStore], name: str) -> None:
    forward = answer(stores["forward"], name)
    assert forward.rows == answer(stores["backward"], name).rows


@pytest.mark.parametrize("name", NAMES)
def test_each_row_names_its_events_and_holds_what_reports_can_show(stores: dict[str, ArchiveStore], name: str) -> None:
    found = answer(stores["forward"], name)
    for row in found.rows:
        named = dict(zip(found.columns, row, strict=True))
        assert isinstance(named["event_ids"], list)
        assert all(isinstance(event_id, str) for event_id in named["event_ids"])
        assert {type(value) for value in row} <= {str, int, float, bool, datetime, list, type(None)}


@pytest.mark.parametrize("name", NAMES)
def test_it_uses_what_duckdb_and_postgresql_both_have(name: str) -> None:
    sql = bare(sql_of(name))
    assert not OTHERS.findall(sql)
    own = set(re.findall(r"(?:with|,)\s*(\w+)\s*\([^()]*\)\s*as\b", sql))
    called = set(re.findall(r"\b([a-z_]+)\s*\(", sql))
    assert [word for word in sorted(called - own) if not IS_SHARED(word) and not IS_NO_FUNCTION(word)] == []
    assert "order by" in sql[sql.rindex("\nfrom ") :]


def test_words_of_one_database_alone_are_found() -> None:
    for sql in ("select a::text", "select x from y qualify z", "select a[1]", "select any_value(a)"):
        assert OTHERS.findall(bare(sql))
    assert not OTHERS.findall(bare("select 'a::b', array[]  -- a::b"))
