"""``ualpipe search`` from end to end."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives.scene import events_of, fill
from fakes import record
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands._search_conditions import compiled, needles
from ualpipe.pipeline.errors import ConfigError
from ualpipe.sinks.table.needles import pattern

Run = Callable[..., tuple[int, str, str]]
RECORDS = [
    record(1, CreationTime="2026-11-18T08:00:00", Operation="FileAccessed", ClientIP="192.0.2.7"),
    record(2, CreationTime="2026-11-19T08:00:00", Operation="FileDeleted", UserId="bob@contoso.com", ClientIP="198.51.100.9"),
    record(3, CreationTime="2026-11-20T08:00:00", Operation="FileDeleted", ObjectId="https://contoso.sharepoint.com/=1+1.xlsx"),
]
CONFIG = """\
version: 1
pipeline: searched
state_dir: state
sources: {{in: {{type: files, paths: [in]}}}}
transforms: [{{type: validate}}, {{type: ecs}}]
sinks: {{{sinks}}}
"""

pytestmark = pytest.mark.usefixtures("quiet_logs")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    fill(tmp_path / "archive", RECORDS)
    return tmp_path / "archive"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["search", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def ids(out: str) -> list[int]:
    return [int(json.loads(line)["id"][-12:]) for line in out.splitlines()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [3, 2, 1]),
        (["event.action: FileDeleted"], [3, 2]),
        (["event.action: FileDeleted", 'user.id|startswith: "bob"'], [2]),
        (["event.action|neq: FileDeleted"], [1]),
        (["event.action: [FileAccessed, 'File*ted']"], [3, 2, 1]),
        (["source.ip|cidr: 192.0.2.0/24"], [1]),
        (["--ip", "192.0.2.0/24"], [1]),
        (["--ip", "198.51.100.9"], [2]),
        (["--text", "1+1"], [3]),
        (["--operation", "*access*"], [1]),
        (["--user", "BOB@contoso.com"], [2]),
        (["--since", "2026-11-19", "--until", "2026-11-19"], [2]),
        (["--limit", "1"], [3]),
        (["--limit", "0"], [3, 2, 1]),
    ],
)
def test_events_are_found(run: Run, archive: Path, options: list[str], expected: list[int]) -> None:
    code, out, err = run(archive, *options)
    assert (code, ids(out)) == (0, expected), err


def test_what_was_left_out_and_how_far_the_store_reaches_is_said(run: Run, archive: Path) -> None:
    assert "the newest 2; there are more: --limit 0 shows all" in run(archive, "--limit", 2)[2]
    said = run(archive, "--limit", 3)[2]
    assert said == "3 events of 3 in the store, which are from 2026-11-18 08:00 to 2026-11-20 08:00 UTC\n"
    assert "the store has no events" in run(archive, "--tenant", "nobody")[2]


def test_the_formats_say_the_same(run: Run, archive: Path) -> None:
    lines = [json.loads(line) for line in run(archive, "--format", "ndjson")[1].splitlines()]
    assert json.loads(run(archive, "--format", "json")[1]) == lines
    assert json.loads(run(archive, "--format", "json", "--user", "nobody")[1]) == []
    rows = list(csv.DictReader(io.StringIO(run(archive, "--format", "csv")[1], newline="")))
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    table = run(archive, "--format", "table")[1].splitlines()
    assert table[0].split("  ")[0] == "time (UTC)"
    assert table[1].startswith("2026-11-20 08:00:00")
    assert lines[1]["document"]["event"]["action"] == "FileDeleted"


@pytest.mark.parametrize("begin", "=+-@\t\r")
def test_a_cell_that_a_spreadsheet_takes_for_a_formula_is_made_harmless(run: Run, tmp_path: Path, begin: str) -> None:
    fill(tmp_path / "archive", [record(1, ObjectId=f"{begin}cmd|' /C calc'!A0")])
    [row] = csv.DictReader(io.StringIO(run(tmp_path / "archive", "--format", "csv")[1], newline=""))
    assert row["object"].startswith("'")


def test_what_acts_on_a_terminal_is_shown_as_an_escape(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "archive", [record(1, ObjectId="\x1b[2Jx\u202ey", UserId="a\x1b[31m@contoso.com")])
    for form in ("table", "ndjson", "json", "csv"):
        assert not {"\x1b", "\u202e"} & set(run(tmp_path / "archive", "--format", form)[1])


def test_one_event_is_explained_by_its_id_or_the_beginning_of_it(run: Run, archive: Path) -> None:
    code, out, _err = run(archive, "--explain", "00000000-0000-0000-0000-000000000002")
    assert code == 0
    assert '"UserId": "bob@contoso.com"' in out
    assert "common.yaml" in out
    assert "note:" not in out
    code, _out, err = run(archive, "--explain", "00000000-0000")
    assert code == 2
    assert "3 events with an Id that begins with" in err
    assert run(archive, "--explain", "short")[0] == 2
    assert run(archive, "--explain", "99999999-0000")[0] == 1


def test_a_document_that_would_be_another_today_is_noted(run: Run, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("rows:\n  - {to: labels.who, from: UserId}\n", encoding="utf-8")
    config = tmp_path / "pipeline.yaml"
    text = CONFIG.format(sinks="kept: {type: archive, path: archive}").replace("{type: ecs}", "{type: ecs, mapping: [own.yaml]}")
    config.write_text(text, encoding="utf-8")
    assert "note: these transforms make another document" in run(config, "--explain", "00000000-0000-0000-0000-000000000002")[1]


def test_the_archive_of_a_pipeline_is_found_by_its_config(run: Run, archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.yaml"
    config.write_text(CONFIG.format(sinks="kept: {type: archive, path: archive}"), encoding="utf-8")
    assert ids(run(config)[1]) == [3, 2, 1]
    two = "kept: {type: archive, path: archive}, more: {type: archive, path: more}, out: {type: file, path: o}"
    config.write_text(CONFIG.format(sinks=two), encoding="utf-8")
    code, _out, err = run(config)
    assert code == 2
    assert "kept, more" in err
    assert ids(run(config, "--sink", "kept")[1]) == [3, 2, 1]
    assert "did you mean kept?" in run(config, "--sink", "kep")[2]
    config.write_text(CONFIG.format(sinks="out: {type: file, path: o}"), encoding="utf-8")
    assert "no sink keeps events that can be asked" in run(config)[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["event.categroy: x"], "did you mean event.category?"),
        (["just text"], "is no mapping"),
        (["a: 1", "a: 2"], "stands in another one already"),
        (["event.action|contain: x"], "is no modifier"),
        (["event.action: [x"], "condition"),
        (["--ip", "1.2.3"], "--ip"),
        (["--since", "soon"], "--since"),
        (["--since", "2026-11-20", "--until", "2026-11-19"], "is not before"),
    ],
)
def test_what_is_wrong_is_said(run: Run, archive: Path, options: list[str], said: str) -> None:
    code, out, err = run(archive, *options)
    assert (code, out) == (2, "")
    assert said in err


def test_a_damaged_file_is_named_and_the_rest_is_shown(run: Run, archive: Path) -> None:
    damaged = min(archive.rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    code, out, err = run(archive)
    assert (code, ids(out)) == (1, [3, 2])
    assert str(damaged) in err


VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
    st.sampled_from(["File*", "*access*", "ALICE@contoso.com", "25", "1.0", "true", "SharePoint"]),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.none(),
)
MODIFIERS = st.sampled_from(["", "|contains", "|startswith", "|endswith", "|contains|all", "|neq", "|cased"])


@given(
    field=st.sampled_from(["event.action", "user.id", "o365.audit.ObjectId", "o365.audit.Extra"]),
    modifiers=MODIFIERS,
    values=st.lists(VALUES, min_size=1, max_size=3),
    extra=VALUES,
)
def test_no_event_that_fits_is_missed_by_what_is_looked_for_first(
    field: str, modifiers: str, values: list[Any], extra: Any
) -> None:
    conditions = {field + modifiers: values}
    try:
        condition = compiled(conditions, None)
    except ConfigError:
        return
    assert condition is not None
    [event] = events_of([record(1, ObjectId=str(values[0]), Extra=extra)])
    document = event.decode_document()
    if condition(document):
        for group in needles(conditions):
            assert any(re.search(pattern(needle), event.encoded.decode()) for needle in group)
