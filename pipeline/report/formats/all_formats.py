"""The formats by name, and by the endings of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.report.formats.csv_text import write_csv
from ualpipe.pipeline.report.formats.html_page import write_html
from ualpipe.pipeline.report.formats.json_text import write_json, write_ndjson
from ualpipe.pipeline.report.formats.table import write_table
from ualpipe.pipeline.report.running import Answer

TABLE, CSV, HTML = "table", "csv", "html"
WRITERS: Mapping[str, Callable[[Answer], Iterator[str]]] = {
    TABLE: lambda answer: write_table(answer, None),
    CSV: write_csv,
    "json": write_json,
    "ndjson": write_ndjson,
    HTML: write_html,
}
ENDINGS = {TABLE: ".txt", CSV: ".csv", "json": ".json", "ndjson": ".ndjson", HTML: ".html"}
_BY_ENDING = {ending: name for name, ending in ENDINGS.items()} | {".htm": HTML, ".jsonl": "ndjson"}


def format_of(path: Path) -> str:
    """Returns the format that a file's name ends in.

    Raises:
        ConfigError: It ends in none.
    """
    found = _BY_ENDING.get(path.suffix.lower())
    if found is None:
        raise ConfigError(f"--output {path}: name a file that ends in one of {', '.join(_BY_ENDING)}, or give --format")
    return found
