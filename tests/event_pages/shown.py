"""What becomes of samples besides documents: the columns that stores fill, and the reports in which they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archives.scene import NOW, events_of, store_of
from event_pages.reading import pages
from ualpipe.pipeline.report.catalog import Catalog
from ualpipe.pipeline.report.contract import Asked, Selection
from ualpipe.pipeline.report.running import run_report
from ualpipe.sinks.table.columns import NAMES
from ualpipe.sinks.table.rows import columns_of

EVERY_EVENT = {
    *("event_id", "id", "time", "received", "tenant", "source", "stream", "item", "position", "document", "record", "sentence"),
    *("workload", "record_type", "record_type_name", "operation", "kind", "outcome", "count", "conflict"),
}
"""Columns that say nothing of one kind of record: what every event has, or where it came from."""

OF_EVERY_EVENT = "user-activity"
OF_WHAT_ELSE_IS_THERE = "quiet"
"""The report whose rows are about the last event of a kind, whatever it is: which one that is, is no property of it."""


def columns_filled(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the columns that some of these records fill, in their order."""
    found = columns_of(events_of(records))
    return [name for name in NAMES if name not in EVERY_EVENT and any(value not in (None, "[]") for value in found[name])]


def reports_with_samples(folder: Path) -> dict[str, list[str]]:
    """Returns the reports that have a row made of a sample, by the sample's ``Id``; without ``OF_WHAT_ELSE_IS_THERE``.

    All samples stand in one archive, which is written below a folder.
    """
    records = [sample.record for page in pages() for sample in page.samples]
    found: dict[str, list[str]] = {record["Id"]: [] for record in records}
    store = store_of(folder, records)
    try:
        catalog = Catalog()
        for report in (catalog.report(name) for name in catalog.names if name != OF_WHAT_ELSE_IS_THERE):
            answer = run_report(report, store, Asked(Selection(), NOW))
            for known in sorted({one.rpartition(":")[2] for row in answer.rows for one in row.event_ids}):
                found[known].append(report.name)
    finally:
        store.close()
    return found
