"""Reports are found by name, ours and the user's, and what is wrong with one is told with its place."""

import pytest

from archives.pairs import SQL, YAML, write_pair
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.report.catalog import Catalog, coverage_sql


def failure(folder, name="access") -> str:
    with pytest.raises(ConfigError) as caught:
        Catalog(folder).report(name)
    return str(caught.value)


def test_a_pair_of_the_user_is_a_report(tmp_path):
    report = Catalog(write_pair(tmp_path)).report("access")
    assert (report.title, report.question) == ("Access to mailboxes by others", "Who was in a mailbox that is not theirs?")
    assert [column.name for column in report.columns] == ["mailbox", "actor", "first", "acts"]
    assert (report.sql, report.group, report.timeline) == (SQL, ("mailbox",), "first")
    assert report.is_own
    assert not report.replaces


def test_an_unknown_name_gets_the_nearest_one(tmp_path):
    assert "did you mean access?" in failure(write_pair(tmp_path), "acess")


def test_one_of_the_same_name_as_ours_counts_in_its_place(tmp_path):
    ours = write_pair(tmp_path / "ours", yaml=YAML.replace("Access to", "Our access to"))
    own = Catalog(write_pair(tmp_path / "own"), ours).report("access")
    assert own.replaces
    assert own.title.startswith("Access to")
    assert Catalog(None, ours).report("access").title.startswith("Our access")
    assert Catalog(write_pair(tmp_path / "more", name="other"), ours).names == ["access", "other"]


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("title: Access", "titel: Access", 1, "unknown key (did you mean title?)"),
        ("group: [mailbox]", "group: [mailbx]", 8, "'mailbx' is none of the columns (did you mean mailbox?)"),
        ("timeline: first", "timeline: when", 9, "'when' is none of the columns"),
        ("  acts: {title: Acts, about: How many.}", "  acts: {title: Acts}", 7, '"about" is missing'),
        ("  acts: {title", "  event_ids: {title", 7, "event_ids is a column of every report's SQL"),
        ("wrong:\n", "wrong: [\n", 11, "not YAML"),
    ],
)
def test_a_defect_of_the_yaml_is_told_with_file_and_line(tmp_path, before, after, line, said):
    assert before in YAML
    message = failure(write_pair(tmp_path, yaml=YAML.replace(before, after)))
    assert f"{tmp_path}/access.yaml:{line}:" in message
    assert said.replace('"', "") in message.replace('"', "")


def test_a_pair_of_which_one_is_missing_says_which(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "access.sql").unlink()
    assert failure(tmp_path).startswith(f"{tmp_path}/access.sql: is missing")
    (tmp_path / "access.yaml").rename(tmp_path / "other.yaml")
    (tmp_path / "access.sql").write_text(SQL)
    assert failure(tmp_path).startswith(f"{tmp_path}/access.yaml: is missing")


def test_sql_that_is_no_text_is_told_with_its_line(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "access.sql").write_bytes(b"select 1\n-- \xff\n")
    assert failure(tmp_path) == f"{tmp_path}/access.sql:2: not UTF-8 text: save it as UTF-8"


def test_a_defect_in_one_pair_holds_up_no_other(tmp_path):
    write_pair(tmp_path)
    write_pair(tmp_path, "broken", yaml="title: 3\n")
    found = {getattr(one, "name", "broken") for one in Catalog(tmp_path).reports()}
    assert {"access", "broken"} <= found


def test_a_folder_that_is_none_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="can't look for reports there: No such file"):
        Catalog(tmp_path / "nowhere")


def test_what_would_act_on_a_terminal_is_visible_in_titles(tmp_path):
    report = Catalog(write_pair(tmp_path, yaml=YAML.replace("title: Access to", 'title: "\\e[31mAccess" # '))).report("access")
    assert report.title.startswith("\\x1b[31mAccess")


def test_all_that_ship_are_read():
    assert [one for one in Catalog().reports() if isinstance(one, ConfigError)] == []
    assert "throttled" in coverage_sql("throttled")
