"""Replay: stored records that a sink has settled become unsettled for it, and so go to it once more.

Nothing is copied: a batch without settlement is one that the sink has not got, which is what every delivery looks for.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence

from ualpipe.pipeline.journal.replay import Choice, Selection, StoredRecords
from ualpipe.pipeline.journal.sqlite.dead_letters import chunk_of
from ualpipe.pipeline.journal.sqlite.file import JournalFile
from ualpipe.pipeline.journal.types import DeadLetter

_CHOSEN = (
    "SELECT b.id, b.item, b.records - length(b.duplicates) / 4, b.stored_at,"
    " s.batch IS NOT NULL AND s.pending IS NULL, s.pending IS NOT NULL, CASE WHEN b.records = 1 THEN b.sha256 END"
    " FROM batch b JOIN item i ON i.id = b.item LEFT JOIN settlement s ON s.sink = ? AND s.batch = b.id"
    " WHERE b.ready AND (b.only_sink IS NULL OR b.only_sink = ?) AND i.state != 'notice'"
    " AND b.stored_at >= ? AND b.stored_at < ? AND i.source = coalesce(?, i.source) ORDER BY b.id"
)
_LETTER = (
    "source, tenant, stream, item, batch, position, stage, code, reason, pointer, body, config, attempts, noticed_at, state,"
    " conflict"
)
TRANSACTION_BATCHES = 1000
"""Batches made unsettled in one transaction: a running pipeline waits for it a moment only."""


def choose(file: JournalFile, sink: str, selection: Selection, *, is_alone: bool) -> Choice:
    """Finds the batches that retention still keeps and that are meant for a sink.

    Args:
        file: An open journal.
        sink: Name of the sink.
        selection: Which of them.
        is_alone: No pipeline runs on this journal meanwhile.
    """
    found = [StoredRecords(*row) for row in file.rows(_CHOSEN, (sink, sink, *_bounds(selection), selection.source))]
    under_way = [] if is_alone else [one for one in found if one.is_begun]
    free = found if is_alone else [one for one in found if not one.is_begun]
    copies = _copies(file, sink, free)
    return Choice([one for one in free if one.id not in copies], [one for one in free if one.id in copies], under_way)


def send_again(file: JournalFile, sink: str, choice: Choice, others: Collection[str]) -> None:
    """Makes the chosen batches unsettled for a sink. Its dead letters of them are taken back: their records go as well.

    Args:
        file: An open journal.
        sink: Name of the sink.
        choice: From ``choose``.
        others: All other sinks: what is dead for all sinks stays so for these.
    """
    todo = iter(choice.batches)
    while part := [(sink, batch.id) for batch in itertools.islice(todo, TRANSACTION_BATCHES)]:
        with file.transaction() as db:
            db.executemany("DELETE FROM settlement WHERE sink = ? AND batch = ?", part)
            _take_letters_back(db, part, others)
    copies = [(sink, copy.id) for copy in choice.copies]
    with file.transaction() as db:
        # Where a copy still waited, too: its record goes with the batch that it came in.
        db.executemany(
            "INSERT INTO settlement(sink, batch, delivered, filtered, dead, settled_at) VALUES (?, ?, 0, 1, 0, ?)"
            " ON CONFLICT DO UPDATE SET filtered = 1, pending = NULL WHERE pending IS NOT NULL",
            [(*copy, file.now()) for copy in copies],
        )
        _take_letters_back(db, copies, others)


def waiting_besides(file: JournalFile, sink: str, choice: Choice) -> int:
    """Returns how many batches the sink has not got that are not among the chosen ones: deliveries send these as well."""
    everything = choose(file, sink, Selection(), is_alone=True)
    chosen = {batch.id for batch in choice.batches}
    return sum(not batch.is_settled and batch.id not in chosen for batch in everything.batches)


def sources_of(file: JournalFile) -> set[str]:
    """Returns the names of the sources that the journal knows."""
    return {name for (name,) in file.rows("SELECT DISTINCT source FROM item")}


def _copies(file: JournalFile, sink: str, found: Sequence[StoredRecords]) -> set[int]:
    """Returns the batches that a retried dead letter made of a record which stands in another batch of these."""
    singles: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for batch in found:
        if batch.sha256 is not None:
            singles[batch.item, batch.sha256].append(batch.id)
    items = {batch.id: batch.item for batch in found}
    copies: set[int] = set()
    for number, body in file.rows(
        "SELECT d.batch, d.body FROM dead_letter d JOIN batch b ON b.id = d.batch"
        " WHERE d.state = 'retried' AND (d.sink IS NULL OR d.sink = ?)",
        (sink,),
    ):
        if number in items:
            text = chunk_of(DeadLetter("", "", "", file.unpack(body))).body
            same = singles.get((items[number], hashlib.sha256(text).digest()), ())
            copies.update(copy for copy in same if copy > number)
    return copies


def _take_letters_back(db: sqlite3.Connection, part: Sequence[tuple[str, int]], others: Collection[str]) -> None:
    """Marks a sink's dead letters of some batches as retried; what is dead for all sinks stays so for the others."""
    for other in others:
        db.executemany(
            f"INSERT OR IGNORE INTO dead_letter({_LETTER}, sink) SELECT {_LETTER}, ? FROM dead_letter"
            " WHERE state = 'dead' AND batch = ? AND sink IS NULL"
            " AND (SELECT only_sink FROM batch b WHERE b.id = dead_letter.batch) IS NULL",
            [(other, number) for _sink, number in part],
        )
        db.executemany(
            "INSERT OR IGNORE INTO dead_letter_trace SELECT copy.id, t.trace FROM dead_letter copy"
            " JOIN dead_letter d ON d.batch = copy.batch AND d.position = copy.position AND d.sink IS NULL AND d.state = 'dead'"
            " JOIN dead_letter_trace t ON t.dead_letter = d.id WHERE copy.batch = ? AND copy.sink = ? AND copy.state = 'dead'",
            [(number, other) for _sink, number in part],
        )
    db.executemany(
        "UPDATE dead_letter SET state = 'retried' WHERE state = 'dead' AND (sink IS NULL OR sink = ?) AND batch = ?", part
    )


def _bounds(selection: Selection) -> tuple[float, float]:
    since = 0.0 if selection.since is None else selection.since
    return since, math.inf if selection.until is None else selection.until
