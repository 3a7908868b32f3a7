"""Statements of the sink `sql` and its store: what they quote, and what stands in the script."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ualpipe.pipeline import cli
from ualpipe.pipeline.options import build
from ualpipe.sinks.sql import relations
from ualpipe.sinks.sql.connection import parameters
from ualpipe.sinks.sql.copying import storable
from ualpipe.sinks.sql.options import SqlSinkConfig
from ualpipe.sinks.sql.quoting import beginning, literal, name
from ualpipe.sinks.sql.script import script
from ualpipe.sinks.sql.setup import months_of
from ualpipe.sinks.table.columns import NAMES

NOW = datetime(2026, 12, 10, tzinfo=UTC)


def test_texts_and_names_are_quoted() -> None:
    assert literal("it's \\ \0") == "'it''s \\ \N{REPLACEMENT CHARACTER}'"
    assert name('a"b') == '"a""b"'
    assert beginning("50%_\\") == "'50\\%\\_\\\\%'"


def test_months_are_made_for_times_near_today_alone() -> None:
    times = [datetime(2026, 11, 30, 23, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 13, tzinfo=UTC), None]
    assert months_of(times, NOW) == {date(2026, 11, 1), date(2027, 1, 1)}
    odd = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)]
    assert not months_of(odd, NOW)


def test_what_no_text_of_a_database_holds_is_replaced() -> None:
    assert storable([("a\0b", "\ud800", 1, None)]) == [("a\N{REPLACEMENT CHARACTER}b", "?", 1, None)]


def test_operations_fit_in_any_case_with_wildcards() -> None:
    there = ["FileDeleted", "filedeleted", "FileDeletedX", "Add (x)."]
    assert relations.fitting_operations("filedeleted", there) == there[:2]
    assert relations.fitting_operations("FILE*d?", there) == ["FileDeletedX"]
    assert relations.fitting_operations("add (x).", there) == ["Add (x)."]


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sql", "schema", "--name", "audit"]) == 0
    printed = capsys.readouterr().out
    assert printed == script("audit")
    assert all(re.search(rf'^    "{column}" (text|bigint|boolean|timestamptz)', printed, re.MULTILINE) for column in NAMES)
    assert '"ualpipe"' not in printed
    assert cli.main(["sql", "schema", "--from", "1"]) == 0
    assert "ADD COLUMN IF NOT EXISTS" in capsys.readouterr().out
    assert cli.main(["sql", "schema", "--from", "9"]) == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sslmode": "disable"}, {"sslmode": "disable", "sslrootcert": None}),
        ({"sslmode": "require"}, {"sslmode": "require", "sslrootcert": None, "sslcertmode": "disable"}),
        ({"ca_file": "ca.pem"}, {"sslmode": "verify-full", "sslrootcert": "/etc/x/ca.pem"}),
        ({"client_certificate": "c.pem"}, {"sslcert": "/etc/x/c.pem", "sslkey": "/etc/x/c.pem", "sslcertmode": "allow"}),
        ({"client_certificate": "c.pem", "client_key": "k.pem"}, {"sslcert": "/etc/x/c.pem", "sslkey": "/etc/x/k.pem"}),
        ({"connect_timeout": "500ms"}, {"connect_timeout": 2}),
        ({}, {"sslkeylogfile": "", "options": "", "target_session_attrs": "read-write", "password": None}),
    ],
)
def test_libpq_is_told_everything_that_its_environment_could_say(options: dict[str, Any], expected: dict[str, Any]) -> None:
    config = build(SqlSinkConfig, {"host": "db", **options}, Path("/etc/x"))
    told = parameters(config, None, writes=True)
    assert {key: told.get(key) for key in expected} == expected
