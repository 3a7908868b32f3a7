"""What a database administrator runs where the sink may not make tables itself: printed by ``ualpipe sql schema``."""

from __future__ import annotations

from collections.abc import Iterator

from ualpipe.pipeline.errors import ConfigError
from ualpipe.sinks.sql.functions import DROP_MONTHS, MAKE_MONTHS
from ualpipe.sinks.sql.quoting import literal, name
from ualpipe.sinks.sql.tables import WANTED, Tables, create, migrate

_FIRST = 1
_HEAD = """-- Tables of ualpipe's sink `sql`, version {version}, for PostgreSQL 15 or newer. Run it in the database itself,
-- whose encoding is UTF8, as the role that is to own the tables: psql --set ON_ERROR_STOP=1 --dbname DATABASE --file THIS_FILE
--
-- events          one row an event, in a partition for each month of "time"; events without a time, or with one that is
--                 far from today, stand in "events_default". The unique index keeps an event that comes again from being
--                 there twice.
-- actors          each pair of actor and ids, by which all spellings of a user are found
-- coverage        what pipelines say of their streams: which period is covered
-- schema_version  versions that the tables have been through
-- make_months, drop_months   functions with the rights of the owner: whoever writes makes months by them, and nothing else
"""


def script(schema: str, since: int = 0, wanted: Tables = WANTED) -> str:
    """Returns the script that makes the tables, or that brings tables of an older version up to date.

    Args:
        schema: Name of the schema.
        since: Version of the tables that are there; 0 where none are.
        wanted: The tables.

    Raises:
        ConfigError: There is no such version.
    """
    if since and not _FIRST <= since <= wanted.version:
        raise ConfigError(f"--from {since}: there are versions {_FIRST} to {wanted.version} of the tables")
    statements = migrate(wanted, schema, since) if since else _made(wanted, schema)
    body = "".join(f"{statement};\n\n" for statement in statements)
    title = _HEAD.format(version=wanted.version) if not since else f"-- From version {since} to {wanted.version}.\n"
    return f"{title}\nBEGIN;\n\n{body}{_roles(schema)}\nCOMMIT;\n"


def _made(wanted: Tables, schema: str) -> Iterator[str]:
    yield f"CREATE SCHEMA {name(schema)}"
    yield from create(wanted, schema)


def _roles(schema: str) -> str:
    """Returns the part with the two roles, which have no log-in of their own: grant them to those that have."""
    here = name(schema)
    writer, reader = f"{schema}_writer", f"{schema}_reader"
    return f"""-- Who writes: inserts events and makes months; can't read events. GRANT {writer} TO the sink's role.
{_role(writer)}
GRANT USAGE ON SCHEMA {here} TO {name(writer)};
GRANT INSERT ON {here}."events", {here}."actors" TO {name(writer)};
GRANT SELECT ON {here}."schema_version" TO {name(writer)};
GRANT SELECT, INSERT, UPDATE ON {here}."coverage" TO {name(writer)};
GRANT EXECUTE ON FUNCTION {here}.{MAKE_MONTHS}(date, date) TO {name(writer)};
-- Only where the sink's option `keep` is set, as it drops months:
-- GRANT EXECUTE ON FUNCTION {here}.{DROP_MONTHS}(timestamptz) TO {name(writer)};

-- Who reads: `ualpipe search`, `ualpipe report`, and any tool of yours. GRANT {reader} TO the role in `reader`.
{_role(reader)}
GRANT USAGE ON SCHEMA {here} TO {name(reader)};
GRANT SELECT ON {here}."events", {here}."actors", {here}."coverage", {here}."schema_version" TO {name(reader)};
"""


def _role(found: str) -> str:
    create = f"CREATE ROLE {name(found)} NOLOGIN"
    return f"DO $body$ BEGIN IF to_regrole({literal(name(found))}) IS NULL THEN {create}; END IF; END $body$;"
