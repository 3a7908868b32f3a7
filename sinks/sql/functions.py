"""Functions in the database by which a role without the right to make or drop tables has months made and dropped."""

from __future__ import annotations

from collections.abc import Iterator

from ualpipe.sinks.sql.quoting import literal, name

MAKE_MONTHS, DROP_MONTHS = "make_months", "drop_months"

_OWNER = """LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' AS $body$"""


def functions(schema: str) -> Iterator[str]:
    """Yields the statements that make the functions, or replace them; nobody but the owner may call them yet."""
    here = name(schema)
    yield _make_months(here, lock_of(schema))
    yield _drop_months(here, lock_of(schema))
    for function, arguments in ((MAKE_MONTHS, "date, date"), (DROP_MONTHS, "timestamptz")):
        yield f"REVOKE EXECUTE ON FUNCTION {here}.{function}({arguments}) FROM PUBLIC"


def lock_of(schema: str) -> str:
    """Returns the key of the advisory lock under which tables are made, changed and dropped."""
    return f"hashtextextended({literal('ualpipe:' + schema)}, 0)"


def _make_months(here: str, lock: str) -> str:
    """A month whose events came before it was made takes them over from the default partition: attaching it would fail else."""
    quoted = literal(here)
    return f"""CREATE OR REPLACE FUNCTION {here}.{MAKE_MONTHS}("first" date, "last" date) RETURNS integer
{_OWNER}
DECLARE
    begin_of date;
    partition text;
    low timestamptz;
    high timestamptz;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    FOR begin_of IN SELECT generate_series(date_trunc('month', "first"::timestamp), "last"::timestamp, '1 month')::date LOOP
        partition := 'events_' || to_char(begin_of, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('%s.%I', {quoted}, partition)) IS NOT NULL;
        low := begin_of::timestamp AT TIME ZONE 'UTC';
        high := (begin_of + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %s.%I (LIKE %s."events" INCLUDING ALL EXCLUDING INDEXES)', {quoted}, partition, {quoted});
        EXECUTE format(
            'WITH moved AS (DELETE FROM %s."events_default" WHERE "time" >= %L AND "time" < %L RETURNING *) '
            'INSERT INTO %s.%I SELECT * FROM moved', {quoted}, low, high, {quoted}, partition
        );
        EXECUTE format(
            'ALTER TABLE %s."events" ATTACH PARTITION %s.%I FOR VALUES FROM (%L) TO (%L)',
            {quoted}, {quoted}, partition, low, high
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$body$"""


def _drop_months(here: str, lock: str) -> str:
    quoted = literal(here)
    return f"""CREATE OR REPLACE FUNCTION {here}.{DROP_MONTHS}("before" timestamptz) RETURNS integer
{_OWNER}
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    FOR partition IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = {literal(f'{here}."events"')}::regclass AND relname ~ '^events_[0-9]{{4}}_[0-9]{{2}}$'
        AND (to_date(right(relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' <= "before"
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %s.%I', {quoted}, partition);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM {here}."events_default" WHERE coalesce("time", "received") < "before";
    RETURN dropped;
END
$body$"""
