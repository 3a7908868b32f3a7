"""DuckDB, as it is used here: nothing from the network, nothing installed, no more memory than said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.errors import ConfigError
from ualpipe.sinks.table.columns import COLUMNS, ColumnType

ROW_GROUP = 8192
"""Rows that are read or left out together: some 40 MB decoded."""
WRITING_MEMORY = "96MiB"

TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "long": "BIGINT",
    "boolean": "BOOLEAN",
    "instant": "TIMESTAMPTZ",
    "json": "VARCHAR",
}
_INSTALL = "an archive needs the extra `reports`: pip install 'ualpipe[reports]'"


def connect(*, threads: int, memory: str) -> Any:
    """Returns a new connection to an empty database in memory; a ``duckdb.DuckDBPyConnection``.

    Args:
        threads: Threads that work on a query.
        memory: What it may take (``512MiB``).

    Raises:
        ConfigError: DuckDB or numpy is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - in the extra `reports`
        import numpy  # noqa: F401, PLC0415 - the same
    except ImportError as exc:
        raise ConfigError(_INSTALL) from exc
    own = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "temp_directory": ""}
    connection = duckdb.connect(":memory:", config={"threads": str(threads), "memory_limit": memory, **own})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def error() -> type[Exception]:
    """Returns the class of DuckDB's errors."""
    import duckdb  # noqa: PLC0415 - in the extra `reports`

    found: type[Exception] = duckdb.Error
    return found


def is_about_sql(failure: Exception) -> bool:
    """Returns whether a question is to blame for its failure, not a file."""
    import duckdb  # noqa: PLC0415 - in the extra `reports`

    kinds = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException)
    return isinstance(failure, (*kinds, duckdb.OutOfRangeException, duckdb.PermissionException, duckdb.OutOfMemoryException))


def text(value: str | Path) -> str:
    """Returns a text as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"


def write(connection: Any, columns: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Writes rows into a Parquet file, sorted by time; ``columns`` as from ``table.rows.columns_of``."""
    import numpy  # noqa: PLC0415 - in the extra `reports`

    arrays = {}
    for column in COLUMNS:
        values = columns[column.name]
        if column.type == "instant":
            naive = [value.replace(tzinfo=None) if value else None for value in values]
            arrays[column.name] = numpy.array(naive, dtype="datetime64[us]")
        else:
            arrays[column.name] = numpy.array(values, dtype=object)
    connection.register("rows_to_write", arrays)
    try:
        chosen = ", ".join(f'CAST("{column.name}" AS {TYPES[column.type]}) AS "{column.name}"' for column in COLUMNS)
        copy(connection, f"SELECT {chosen} FROM rows_to_write ORDER BY time", path)
    finally:
        connection.unregister("rows_to_write")


def copy(connection: Any, query: str, path: Path) -> None:
    """Writes what a query gives into a Parquet file."""
    form = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE {ROW_GROUP}"
    connection.execute(f"COPY ({query}) TO {text(path)} ({form})")
