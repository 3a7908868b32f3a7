"""What an error of PostgreSQL means; those at log-in, which have no SQLSTATE, by their words."""

from __future__ import annotations

import psycopg
import pytest

from ualpipe.pipeline import redaction
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkUnavailable
from ualpipe.sinks.sql.failures import failure, is_about_rows

AT = 'connection to server at "db" (192.0.2.7), port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "expected", "advice"),
    [
        ("Connection refused", SinkUnavailable, None),
        ("FATAL:  sorry, too many clients already", SinkUnavailable, "max_connections"),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            SinkUnavailable,
            "max_connections",
        ),
        ("FATAL:  the database system is starting up", SinkUnavailable, None),
        ("FATAL:  the database system is in recovery mode", SinkUnavailable, None),
        ("session is read-only", SinkUnavailable, "primary"),
        ('FATAL:  password authentication failed for user "x"', SinkDenied, "password"),
        ('FATAL:  no pg_hba.conf entry for host "192.0.2.9", user "x", database "y", no encryption', SinkDenied, "pg_hba.conf"),
        ('FATAL:  role "x" is not permitted to log in', SinkDenied, "user"),
        ('FATAL:  database "y" does not exist', SinkDenied, "create"),
        ('FATAL:  permission denied for database "y"', SinkDenied, "grant"),
        ("server does not support SSL, but SSL was required", SinkDenied, "ssl"),
        ("SSL error: certificate verify failed", SinkDenied, "ca_file"),
        ('server certificate for "a" does not match host name "b"', SinkDenied, "host"),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", SinkUnavailable, None),  # what is not understood is tried again
    ],
)
def test_what_stops_a_log_in_is_told_by_its_words(said: str, expected: type[SinkError], advice: str | None) -> None:
    found = failure(psycopg.OperationalError(f"{AT}{said}"))
    assert type(found) is expected
    assert said.rpartition(":  ")[2] in str(found)
    assert ("What to do" in str(found)) == (advice is not None)
    assert advice is None or advice in str(found).partition("What to do")[2]


def test_a_secret_that_a_server_says_again_is_blanked() -> None:
    redaction.hide("planted-database-canary")
    assert "canary" not in str(failure(psycopg.OperationalError("FATAL: planted-database-canary is wrong")))


def test_only_values_are_a_rows_own_fault() -> None:
    errors = psycopg.errors
    assert is_about_rows(errors.StringDataRightTruncation())
    assert is_about_rows(errors.ProgramLimitExceeded())
    for kind in (
        errors.CheckViolation,
        errors.NotNullViolation,
        errors.UndefinedColumn,
        errors.DiskFull,
        psycopg.OperationalError,
    ):
        assert not is_about_rows(kind())
