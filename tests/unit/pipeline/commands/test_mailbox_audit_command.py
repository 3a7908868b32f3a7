"""``ualpipe mailbox-audit`` from end to end."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mailboxes.corpus import as_csv, passed_over
from mailboxes.powershell import errors
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands import _tables

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["mailbox-audit", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "boxes.csv").write_text(as_csv())
    (folder / "bypass.csv").write_text(passed_over())
    (folder / ".hidden").write_text("no export")
    return folder


def test_a_table_names_what_is_wrong_and_counts_what_is_not(run, exports):
    code, out, err = run(exports, "--profile", "asd-2024")
    assert code == 1
    assert "mailbox09" not in out  # complete
    assert "mailbox33@contoso.com" in out
    assert out.rstrip().endswith(
        "60 mailboxes held to asd-2024: 5 auditing off, 4 bypass, 19 missing actions, 4 not supported, 4 age limit,"
        " 5 not exported, 19 complete (--all shows the complete ones)"
    )
    assert "boxes.csv:" in err
    assert "MailItemsAccessed, SearchQueryInitiated, Send (owner)" in out


def test_all_shows_the_complete_ones(run, exports):
    _, out, _ = run(exports, "--profile", "asd-2024", "--all")
    assert "mailbox01@contoso.com" in out


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_table_fits_its_terminal(run, exports, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(_tables, "_terminal", _terminal)
    _, out, _ = run(exports, "--profile", "asd-2024")
    assert max(map(len, out.splitlines())) <= columns
    assert ("findings" in out) == (columns >= 120)


def _terminal():
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, force_terminal=True, color_system=None, width=int(os.environ["COLUMNS"]))
    return lambda thing, style: console.print(Text(thing, style) if isinstance(thing, str) else thing)


@pytest.mark.parametrize("form", ["json", "csv", "html"])
def test_a_file_is_written_in_the_format_that_its_name_says(run, exports, tmp_path, form):
    path = tmp_path / f"out.{form}"
    code, out, _ = run(exports, "--output", path)
    assert (code, out) == (1, "")
    _, same, _ = run(exports, "--format", form)
    assert path.read_bytes()[:200] == same[:200].encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_script_is_written_with_a_mark_that_windows_powershell_needs(run, exports, tmp_path):
    _, _, err = run(exports, "--profile", "asd-2024", "--fix", tmp_path / "fix.ps1", "--format", "json")
    content = (tmp_path / "fix.ps1").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf#Requires")
    assert errors(content.decode("utf-8-sig")) == []
    assert "fix.ps1: mends 28 mailboxes; run it with -WhatIf first" in err


def test_collect_prints_a_script(run):
    code, out, _ = run("--collect")
    assert code == 0
    assert errors(out) == []
    assert all(f"{name} -ResultSize Unlimited" in out for name in ("Get-Mailbox", "Get-MailboxAuditBypassAssociation"))
    assert "ualpipe" in out


def test_mailboxes_that_are_all_complete_are_exit_code_0(run, tmp_path):
    (tmp_path / "one.csv").write_text("\n".join(as_csv().splitlines()[:2]))
    assert run(tmp_path / "one.csv", "--profile", "asd-2024")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the exports to read, or --collect"),
        (["{tmp}/nothing.csv"], "nothing.csv: there is no such file"),
        (["{tmp}/empty"], "empty: the folder holds no files"),
        (["{tmp}/exports", "--profile", "asd-2023"], "did you mean asd-2024?"),
        (["{tmp}/exports", "--output", "{tmp}/out.txt"], "out.txt says no format"),
        (["{tmp}/exports", "--output", "{tmp}/no/where.json"], "--output: "),
        (["{tmp}/exports", "--format", "table", "--output", "{tmp}/out"], "a table is for terminals"),
        (["{tmp}/exports/bypass.csv"], "no mailbox could be read"),
        (["{tmp}/exports", "--store", "{tmp}/empty"], "is no archive of ualpipe"),
        (["{tmp}/exports", "--store", "{tmp}/empty", "--since", "soon"], "--since"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_what_to_do(run, exports, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    code, out, err = run(*(one.replace("{tmp}", str(tmp_path)) for one in arguments))
    assert (code, out) == (2, "")
    assert said in err


def test_a_link_in_the_place_of_the_script_is_not_followed(run, exports, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "fix.ps1").symlink_to(tmp_path / "precious")
    run(exports, "--fix", tmp_path / "fix.ps1")
    assert (tmp_path / "precious").read_text() == "precious"


def test_json_says_what_could_not_be_read(run, exports):
    (exports / "cut.json").write_text('[{"UserPrincipalName": "a@contoso.com", "AuditEn')
    code, out, err = run(exports, "--format", "json")
    assert code == 1
    (problem,) = [one for one in json.loads(out)["problems"] if one["file"].endswith("cut.json") and not one["judged"]]
    assert problem["line"] == 1
    assert "cut.json:1: it ends within an object" in err


EXAMPLE = Path(__file__).parents[4] / "examples" / "mailbox-audit"


def test_the_example_is_what_the_document_shows(run):
    code, out, err = run(EXAMPLE / "exports")
    assert (code, err) == (1, "")
    shown = (EXAMPLE.parents[1] / "docs" / "mailbox-audit.md").read_text(encoding="utf-8")
    rows = [line for line in out.splitlines() if "@contoso.com" in line]
    assert len(rows) == 4
    for line in rows:
        (row,) = [row for row in shown.splitlines() if row.startswith(f"    {line.split()[0]}")]
        assert " ".join(row.split()[1:3]) in " ".join(line.split())


def test_the_profile_of_the_example_is_a_good_one(run):
    _, out, _ = run(EXAMPLE / "exports", "--profile", EXAMPLE / "profile.yaml")
    assert "alice@contoso.com" in out
