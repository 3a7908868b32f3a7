"""``ualpipe report`` answers out of a folder or a pipeline's archive, into a file, a folder or a terminal."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archives.pairs import OTHER_TENANT, TENANT, access, write_pair
from archives.scene import fill
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE, EXIT_USAGE

RECORDS = [
    access("2026-11-20T08:00:00", "kofi@contoso.com", "sana@contoso.com"),
    access("2026-11-20T23:30:00", "ceo@contoso.com", "assistant@contoso.com"),
    access("2026-11-21T08:00:00", "olga@fabrikam.com", "yuki@fabrikam.com", OrganizationId=OTHER_TENANT),
]
CONFIG = """\
version: 1
pipeline: contoso
state_dir: state
sources: {old: {type: files, paths: [in]}}
sinks:
  kept: {type: archive, path: archive}
reports:
  folder: own
  business_hours: {timezone: Europe/Berlin}
  delegates: [{mailbox: CEO@contoso.com, delegate: assistant@contoso.com}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    fill(folder / "archive", RECORDS)
    write_pair(folder / "own")
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def report(place, capsys):
    """Returns the function that runs the command on the archive: exit code, stdout, stderr."""

    def run(*arguments: str, store: str = "archive", name: str = "access") -> tuple[int, str, str]:
        code = main(["report", name, str(place / store), "--reports", str(place / "own"), *arguments])
        return code, *capsys.readouterr()

    return run


def who(text: str) -> list[str]:
    return [row["actor"] for row in json.loads(text)["rows"]]


def test_an_export_of_mailboxes_is_compared_with(report, place, tmp_path):
    export = tmp_path / "mailboxes.csv"
    export.write_text("UserPrincipalName,Guid,RecipientTypeDetails,AuditEnabled\nnever@contoso.com,g,UserMailbox,True\n")
    code, out, err = report("--format", "json", "--mailboxes", str(export), name="quiet")
    assert code == EXIT_FINE, err
    assert [row["name"] for row in json.loads(out)["rows"] if row["state"] == "never seen"] == ["never@contoso.com"]
    code, _out, err = report("--mailboxes", str(place / "c.yaml"), name="quiet")
    assert code == EXIT_USAGE
    assert "no mailbox could be read" in err


def test_a_folder_is_asked(report):
    code, out, _ = report("--format", "json")
    assert code == EXIT_FINE
    assert who(out) == ["assistant@contoso.com", "sana@contoso.com", "yuki@fabrikam.com"]


def test_a_config_says_what_is_ones_own_and_the_time_zone(report):
    code, out, _ = report("--format", "json", store="c.yaml")
    found = json.loads(out)
    assert code == EXIT_FINE
    assert found["excluded"] == [{"reason": "expected delegate", "rows": 1}]
    assert found["asked"]["timezone"] == "Europe/Berlin"
    assert found["rows"][0]["first"] == "2026-11-20T09:00:00+01:00"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--since", "2026-11-21"], ["yuki@fabrikam.com"]),
        (["--until", "2026-11-20"], ["assistant@contoso.com", "sana@contoso.com"]),
        (["--until", "2026-11-20", "--timezone", "Europe/Berlin"], ["sana@contoso.com"]),
        (["--tenant", OTHER_TENANT.upper()], ["yuki@fabrikam.com"]),
        (["--user", "SANA@contoso.com"], ["sana@contoso.com"]),
        (["--workload", "exchange,Teams"], ["assistant@contoso.com", "sana@contoso.com", "yuki@fabrikam.com"]),
        (["--workload", "Teams"], []),
    ],
)
def test_conditions_narrow_the_answer(report, arguments, found):
    code, out, _ = report("--format", "json", *arguments)
    assert (code, who(out)) == (EXIT_FINE, found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "2026-11-21", "--until", "2026-11-20"], "is not before --until"),
        (["--since", "2126-01-01"], "in the future"),
        (["--since", "soon"], "'soon' is no time"),
        (["--timezone", "Mars"], "'Mars' is no time zone"),
        (["--tenant", TENANT[:-1] + "9"], f"did you mean {TENANT}?"),
        (["--tenant", TENANT, "--tenant", OTHER_TENANT], "name a folder for them by --output FOLDER"),
        (["--output", "x.pdf"], "name a file that ends in one of .txt"),
        (["--sink", "kept"], "give its config as STORE"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_to_do(report, arguments, said):
    code, out, err = report(*arguments)
    assert (code, out) == (EXIT_USAGE, "")
    assert said in err


def test_an_unknown_report_and_a_store_that_is_none_end_with_2(report, place):
    assert report(name="acces")[0::2] == (
        EXIT_USAGE,
        "there is no report 'acces' (did you mean access?): `ualpipe report --list` names all\n",
    )
    assert "is no archive of ualpipe" in report(store="own")[2]
    assert "there is no file or folder" in report(store="nowhere")[2]
    assert report(store="nowhere")[0] == EXIT_USAGE
    assert main(["report"]) == EXIT_USAGE


def test_the_format_follows_the_name_of_the_file(report, tmp_path):
    for name, begin in (("a.html", "<!DOCTYPE html>"), ("a.json", "{"), ("a.ndjson", '{"about"'), ("a.txt", "Access to")):
        code, out, err = report("--output", str(tmp_path / name))
        assert (code, out) == (EXIT_FINE, "")
        assert err == f"{tmp_path / name}: 3 rows\n"
        assert (tmp_path / name).read_text().startswith(begin)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_what_is_said_beside_csv_stands_in_a_second_file_or_on_stderr(report, tmp_path):
    assert report("--output", str(tmp_path / "a.csv"))[0] == EXIT_FINE
    with (tmp_path / "a.csv").open(newline="") as opened:
        assert [row["actor"] for row in csv.DictReader(opened)][:1] == ["assistant@contoso.com"]
    assert json.loads((tmp_path / "a.about.json").read_text())["covered"]["state"] == "unknown"
    _, out, err = report("--format", "csv")
    assert out.splitlines()[0] == "mailbox,actor,first,acts,event_ids"
    assert "Covered: Coverage unknown" in err


def test_tenants_get_a_file_each(report, tmp_path):
    arguments = ["--since", "2026-11-01", "--until", "2026-11-30", "--output", str(tmp_path / "out")]
    assert report("--tenant", TENANT, "--tenant", OTHER_TENANT, *arguments)[0] == EXIT_FINE
    names = [f"access-{tenant}-2026-11.html" for tenant in (TENANT, OTHER_TENANT)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert "fabrikam" not in (tmp_path / "out" / names[0]).read_text()
    assert report("--each-tenant", "--format", "json", *arguments)[0] == EXIT_FINE
    assert len(list((tmp_path / "out").glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "period"),
    [
        (["--since", "2026-11-20", "--until", "2026-11-20"], "2026-11-20"),
        (["--since", "2026-11-20", "--until", "2026-11-26", "--timezone", "Europe/Berlin"], "2026-11-20_2026-11-26"),
        (["--since", "2026-11-20T10:00", "--until", "2026-11-20T11:30"], "20261120T100000_20261120T113000"),
        ([], "all"),
    ],
)
def test_a_file_in_a_folder_has_its_period_in_its_name(report, tmp_path, arguments, period):
    assert report("--format", "csv", "--output", f"{tmp_path}/", *arguments)[0] == EXIT_FINE
    assert {path.name for path in tmp_path.iterdir()} == {f"access-all-{period}.csv", f"access-all-{period}.about.json"}


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(report, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a.json").symlink_to(tmp_path / "precious")
    assert report("--output", str(tmp_path / "a.json"))[0] == EXIT_FINE
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_damaged_file_is_left_out_and_ends_with_1(place, tmp_path, capsys):
    fill(tmp_path / "archive", RECORDS)
    (damaged,) = (tmp_path / "archive").glob(f"tenant={OTHER_TENANT}/*/*.parquet")
    damaged.write_bytes(b"PAR1")
    code = main(["report", "access", str(tmp_path / "archive"), "--reports", str(place / "own"), "--format", "json"])
    out, err = capsys.readouterr()
    assert code == EXIT_INCOMPLETE
    assert who(out) == ["assistant@contoso.com", "sana@contoso.com"]
    assert f"left out, as not readable: 1 file; {damaged}" in err


def test_sql_of_the_user_that_fails_ends_with_1_and_writes_nothing(place, tmp_path, capsys):
    own = write_pair(tmp_path / "own", sql="select\n  nothing from events\n")
    arguments = ["report", "access", str(place / "archive"), "--reports", str(own), "--output", str(tmp_path / "a.html")]
    assert main(arguments) == EXIT_INCOMPLETE
    assert f"{own}/access.sql:2: " in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def test_an_empty_archive_has_an_answer(place, tmp_path, capsys):
    fill(tmp_path / "archive", [])
    assert main(["report", "access", str(tmp_path / "archive"), "--reports", str(place / "own")]) == EXIT_FINE
    assert capsys.readouterr().out.endswith("Nothing was found within what the store holds.\n")
    arguments = ["--each-tenant", "--output", str(tmp_path / "out")]
    assert main(["report", "access", str(tmp_path / "archive"), "--reports", str(place / "own"), *arguments]) == EXIT_INCOMPLETE
    assert "nothing was written" in capsys.readouterr().err


def test_of_several_archives_one_has_to_be_named(place, tmp_path, capsys):
    second = CONFIG.replace("sinks:\n", "sinks:\n  more: {type: archive, path: more}\n").replace(
        ": archive}", f": {place}/archive}}"
    )
    second = second.replace("folder: own", f"folder: {place}/own")
    (tmp_path / "c.yaml").write_text(second)
    arguments = ["report", "access", str(tmp_path / "c.yaml")]
    assert main(arguments) == EXIT_USAGE
    assert "choose one by --sink (more, kept)" in capsys.readouterr().err
    assert main([*arguments, "--sink", "kep"]) == EXIT_USAGE
    assert "did you mean kept?" in capsys.readouterr().err
    assert main([*arguments, "--sink", "kept"]) == EXIT_FINE


def test_a_config_without_an_archive_says_what_to_add(tmp_path, capsys):
    text = CONFIG.replace("type: archive, path: archive", "type: file, path: a.ndjson").replace("  folder: own\n", "")
    (tmp_path / "c.yaml").write_text(text)
    write_pair(tmp_path / "own")
    assert main(["report", "access", str(tmp_path / "c.yaml"), "--reports", str(tmp_path / "own")]) == EXIT_USAGE
    assert "no sink keeps events that can be asked: add one of type archive" in capsys.readouterr().err


def test_the_list_names_all_and_whose_they_are(place, tmp_path, capsys):
    assert main(["report", "--list", "--reports", str(place / "own")]) == EXIT_FINE
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("access ")]
    assert line.endswith("Who was in a mailbox that is not theirs?  (yours)")
    broken = write_pair(tmp_path / "own", "broken", yaml="title: 3\n")
    assert main(["report", "--list", "--reports", str(broken)]) == EXIT_INCOMPLETE
    assert "broken.yaml:1:1  title: 3 is not text" in capsys.readouterr().err


def test_ones_own_in_the_place_of_ours_says_so(place, tmp_path, capsys):
    shipped = sorted(Path(__file__).parents[4].glob("reports/*.sql"))
    if not shipped:
        pytest.skip("no report ships yet")
    own = write_pair(tmp_path / "own", shipped[0].stem)
    assert main(["report", shipped[0].stem, str(place / "archive"), "--reports", str(own)]) == EXIT_FINE
    assert "yours, in the place of ours of the same name" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(place):
    """DuckDB is hidden from a process of its own."""
    code = "import sys; sys.modules['duckdb'] = None; from ualpipe.pipeline.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "report", "access", place / "archive", "--reports", place / "own"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == EXIT_USAGE
    assert "pip install 'ualpipe[reports]'" in done.stderr
