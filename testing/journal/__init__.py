"""Checks of what the engine relies on in a journal."""

from collections.abc import Callable

from ualpipe.testing.journal.case import JournalCase
from ualpipe.testing.journal.coverage import COVERAGE_CHECKS
from ualpipe.testing.journal.crash import JOURNAL_CRASH_CHECKS
from ualpipe.testing.journal.outbox import OUTBOX_CHECKS
from ualpipe.testing.journal.record_store import RECORD_STORE_CHECKS
from ualpipe.testing.journal.work_queue import WORK_QUEUE_CHECKS

JOURNAL_CHECKS: list[Callable[[JournalCase], None]] = [
    *WORK_QUEUE_CHECKS,
    *RECORD_STORE_CHECKS,
    *OUTBOX_CHECKS,
    *COVERAGE_CHECKS,
]

__all__ = ["JOURNAL_CHECKS", "JOURNAL_CRASH_CHECKS", "JournalCase"]
