"""Why records came more than once: counted from the ledger, by tenant and cause."""

from __future__ import annotations

from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.status import LISTED_AGAIN, OTHER_BLOB, Duplicates

# Work items with the same bytes: of them one brought the records, if no other blob had; the others bring nothing new.
_BY_CONTENT = (
    "SELECT tenant, sum(duplicates) AS duplicates, min(sum(duplicates = records), count(*) - 1) * max(records) AS again"
    " FROM item WHERE records > 0 AND sha256 IN (SELECT sha256 FROM item WHERE duplicates > 0) GROUP BY tenant, sha256"
)


def read_duplicates(file: JournalFile) -> list[Duplicates]:
    """Counts the duplicates in a journal, those of each tenant together; causes that did not occur are left out."""
    rows = file.rows(f"SELECT tenant, sum(again), sum(duplicates - again) FROM ({_BY_CONTENT}) GROUP BY tenant ORDER BY tenant")
    found = [Duplicates(row[0], cause, row[at]) for row in rows for at, cause in ((1, LISTED_AGAIN), (2, OTHER_BLOB))]
    return [each for each in found if each.records]
