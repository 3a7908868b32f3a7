"""A report is run on a store: its rows, what is left out, what is covered, and whose fault an error is."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from archives.pairs import SQL, TENANT, YAML, access, pair
from archives.scene import NOW, store_of
from ualpipe.pipeline.errors import ConfigError, QueryError
from ualpipe.pipeline.report.contract import Asked, Own, Selection
from ualpipe.pipeline.report.running import run_report
from ualpipe.pipeline.stages import StreamCoverage

RECORDS = [
    access("2026-11-20T08:00:00", "kofi@contoso.com", "sana@contoso.com"),
    access("2026-11-20T09:00:00", "kofi@contoso.com", "sana@contoso.com"),
    access("2026-11-20T10:00:00", "kofi@contoso.com", "kofi@contoso.com"),
    access("2026-11-20T11:00:00", "ceo@contoso.com", "Assistant@contoso.com"),
]


@pytest.fixture
def store(tmp_path):
    found = store_of(tmp_path / "archive", RECORDS)
    yield found
    found.close()


def asked(own=(), **selection) -> Asked:
    return Asked(Selection(**selection), NOW, own=own)


class Listed:
    """A store whose pipeline has listed all."""

    def __init__(self, store) -> None:
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def coverage(self, selection):
        return replace(self._store.coverage(selection), streams=[StreamCoverage("contoso", TENANT, "Audit.Exchange", None, NOW)])


def test_a_store_of_which_all_was_listed_is_covered_as_a_whole(tmp_path, store):
    assert run_report(pair(tmp_path / "own"), Listed(store), asked()).covered.state == "complete"


def test_rows_come_with_their_events(tmp_path, store):
    answer = run_report(pair(tmp_path / "own"), store, asked())
    assert [list(row.values) for row in answer.rows] == [
        ["ceo@contoso.com", "assistant@contoso.com", datetime(2026, 11, 20, 11, tzinfo=UTC), 1],
        ["kofi@contoso.com", "sana@contoso.com", datetime(2026, 11, 20, 8, tzinfo=UTC), 2],
    ]
    ids = [f"{TENANT}:kofi@contoso.com-sana@contoso.com-2026-11-20T0{hour}:00:00" for hour in (8, 9)]
    assert answer.rows[1].event_ids == ids
    assert answer.covered.events == 4
    assert answer.tenants == [TENANT]


def test_what_is_excluded_is_counted_and_not_shown(tmp_path, store):
    own = [Own("delegate", "ceo@contoso.com", "assistant@contoso.com")]
    answer = run_report(pair(tmp_path / "own"), store, asked(own))
    assert [row.values[0] for row in answer.rows] == ["kofi@contoso.com"]
    assert answer.excluded == {"expected delegate": 1}


def test_throttled_mailboxes_are_told(tmp_path):
    throttled = {"OperationProperties": [{"Name": "IsThrottled", "Value": "True"}]}
    store = store_of(tmp_path / "archive", [access("2026-11-20T08:00:00", "kofi@contoso.com", "kofi@contoso.com", **throttled)])
    since = datetime(2026, 11, 21, tzinfo=UTC)
    period = {"since": since, "until": datetime(2026, 11, 22, tzinfo=UTC)}
    answer = run_report(pair(tmp_path / "own"), store, asked(**period))
    assert [(span.mailbox, span.since, span.until) for span in answer.covered.throttled] == [
        ("kofi@contoso.com", since, datetime(2026, 11, 21, 8, tzinfo=UTC))
    ]
    assert run_report(pair(tmp_path / "own"), store, asked(**period, workloads=["SharePoint"])).covered.throttled == []
    store.close()


def test_a_file_that_is_cut_is_named_and_the_rest_is_answered(tmp_path):
    store = store_of(tmp_path / "archive", [*RECORDS, access("2026-11-21T08:00:00", "kofi@contoso.com", "sana@contoso.com")])
    (damaged,) = (tmp_path / "archive").glob("tenant=*/date=2026-11-21/*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-10])
    answer = run_report(pair(tmp_path / "own"), Listed(store), asked())
    assert [one.path for one in answer.unreadable] == [damaged]
    assert answer.covered.state == "partial"
    assert len(answer.rows) == 2
    store.close()


@pytest.mark.parametrize(
    ("sql", "line", "said"),
    [
        (SQL.replace("owner <> actor", "ownr <> actor"), 9, 'Referenced column "ownr" not found'),
        (SQL.replace("group by owner", "group owner"), 10, "syntax error"),
        ("-- A comment.\n/* and\nanother */\n\ndelete from events", 5, "DELETE"),
        ("create table x as select 1", 1, "one SELECT"),
        ("select 1; select 2", 1, "one SELECT"),
        ("-- nothing", 1, "nothing"),
        ("select * from read_csv('/etc/passwd')", 1, "disabled"),
    ],
)
def test_sql_that_writes_or_fails_is_told_with_file_line_and_reason(tmp_path, store, sql, line, said):
    report = pair(tmp_path / "own", sql=sql)
    with pytest.raises(QueryError) as caught:
        run_report(report, store, asked())
    assert str(caught.value).startswith(f"{report.sql_file}:{line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "yaml", "said"),
    [
        (SQL.replace("as acts", "as act"), YAML, "access.yaml:7: the SQL gives no column 'acts' (did you mean act?)"),
        (SQL, YAML.replace("  acts: {title: Acts, about: How many.}\n", ""), "access.yaml: says nothing of the column 'acts'"),
        (SQL.replace("event_ids", "ids"), YAML, "access.sql: the SQL gives no column event_ids: add `array_agg("),
        (SQL.replace("array_agg(event_id order by time, event_id)", "min(event_id)"), YAML, "event_ids has to be a list"),
    ],
)
def test_columns_that_differ_from_the_yaml_are_told(tmp_path, store, sql, yaml, said):
    with pytest.raises(ConfigError) as caught:
        run_report(pair(tmp_path / "own", sql, yaml), store, asked())
    assert said in str(caught.value)
