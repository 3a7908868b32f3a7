"""DuckDB, as it is used here: nothing from the network, nothing installed, no more memory than said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ualpipe.pipeline.errors import ConfigError
from ualpipe.sinks.archive.arrow import Rows
from ualpipe.sinks.table.columns import ColumnType

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
INSTALL = "pip install 'ualpipe[reports]'"


def connect(*, threads: int, memory: str) -> Any:
    """Returns a new connection to an empty database in memory; a ``duckdb.DuckDBPyConnection``.

    Args:
        threads: Threads that work on a query.
        memory: What it may take (``512MiB``).

    Raises:
        ConfigError: One of them is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - in the extra `reports`
        import nanoarrow  # noqa: F401, PLC0415 - the same
        import numpy  # noqa: F401, PLC0415 - the same
    except ImportError as exc:
        raise ConfigError(f"an archive needs the extra `reports`: {INSTALL}") from exc
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
    """Writes rows into a Parquet file in their order; ``columns`` as from ``table.rows.columns_of``."""
    connection.register("rows_to_write", Rows(columns))
    try:
        copy(connection, "FROM rows_to_write", path)
    finally:
        connection.unregister("rows_to_write")


def copy(connection: Any, query: str, path: Path) -> None:
    """Writes what a query gives into a Parquet file that is there already, and keeps its permissions."""
    form = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP}, USE_TMP_FILE false"
    connection.execute(f"COPY ({query}) TO {text(path)} ({form})")
