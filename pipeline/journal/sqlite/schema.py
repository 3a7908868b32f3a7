"""Tables of the journal, and keys of its table ``meta``. Times are seconds since 1970, UTC; bodies are zstd frames."""

from __future__ import annotations

VERSION = 7

DRIFT = """
-- What was seen in records that nobody described, by source.
CREATE TABLE IF NOT EXISTS drift(
    kind TEXT NOT NULL, record_type TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL,
    first_seen REAL NOT NULL, last_seen REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (kind, record_type, name, source)
) WITHOUT ROWID;
"""

EXPIRING = "CREATE INDEX IF NOT EXISTS item_expiring ON item(source, expires, created, id) WHERE state = 'listed';\n"

SEEN = """
-- Ids seen before, behind the newest: sorted runs of digests, cut into chunks of a page; `key` is run and first digest.
-- A segment is a stretch of time with a filter over its runs. Runs with `into_run` are being merged into that one (0: dropped).
CREATE TABLE IF NOT EXISTS seen_segment(
    id INTEGER PRIMARY KEY, filter_bytes INTEGER NOT NULL, ids INTEGER NOT NULL DEFAULT 0, newest REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS seen_filter(id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, bits BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seen_sorted(
    id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, level INTEGER NOT NULL, into_run INTEGER
);
CREATE TABLE IF NOT EXISTS seen_chunk(key INTEGER PRIMARY KEY, ids BLOB NOT NULL);
"""

PAST = """
-- Sums of the work items that were removed from the ledger, so that totals stay true.
CREATE TABLE IF NOT EXISTS item_past(
    source TEXT NOT NULL, stream TEXT NOT NULL, fetched INTEGER NOT NULL, dead INTEGER NOT NULL, gone INTEGER NOT NULL,
    records INTEGER NOT NULL, duplicates INTEGER NOT NULL, PRIMARY KEY (source, stream)
) WITHOUT ROWID;
-- The traceback of a dead letter that came of an unexpected failure.
CREATE TABLE IF NOT EXISTS dead_letter_trace(dead_letter INTEGER PRIMARY KEY, trace TEXT NOT NULL);
-- Whether an item has dead letters is asked before it is removed.
CREATE INDEX IF NOT EXISTS dead_letter_of_item ON dead_letter(source, stream, item) WHERE state = 'dead';
"""

# Columns that are added take no time, however many rows there are: SQLite notes the default, and writes no row.
IDENTITY = """
-- What stands beside the digests of Ids: with 16 bytes nothing (of releases before), with 32 a digest of the content.
ALTER TABLE seen_run ADD COLUMN width INTEGER NOT NULL DEFAULT 16;
ALTER TABLE seen_sorted ADD COLUMN width INTEGER NOT NULL DEFAULT 16;
-- Records with other content than the first under their Id: position, whether it is set aside, 15 bytes of the content's digest.
ALTER TABLE batch ADD COLUMN conflicts BLOB NOT NULL DEFAULT x'';
ALTER TABLE item ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE item_past ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letter ADD COLUMN conflict TEXT NOT NULL DEFAULT '';
"""

FLAWS = """
-- What is wrong with records: of a batch as a whole (sink empty), and of what a sink has of it. It goes with the settlement.
CREATE TABLE IF NOT EXISTS flaw(
    batch INTEGER NOT NULL, sink TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, records INTEGER NOT NULL,
    example TEXT NOT NULL, noted_at REAL NOT NULL, PRIMARY KEY (batch, sink, kind, reason)
) WITHOUT ROWID;
-- The same of the batches that were removed, summed up by source.
CREATE TABLE IF NOT EXISTS flaw_past(
    source TEXT NOT NULL, sink TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, records INTEGER NOT NULL,
    example TEXT NOT NULL, first_noted REAL NOT NULL, last_noted REAL NOT NULL, PRIMARY KEY (source, sink, kind, reason)
) WITHOUT ROWID;
-- Whoever takes a settlement back has its records counted anew.
CREATE TRIGGER IF NOT EXISTS flaw_of_settlement AFTER DELETE ON settlement BEGIN
    DELETE FROM flaw WHERE batch = old.batch AND sink IN ('', old.sink);
END;
"""

MIGRATIONS = {1: DRIFT, 2: EXPIRING, 3: SEEN, 4: PAST, 5: IDENTITY, 6: FLAWS}
"""By version: what makes the next version of it. Only ever adds, so that a release that has the file open is not disturbed."""

TABLES = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- How far each stream was listed.
CREATE TABLE stream(
    source TEXT NOT NULL, stream TEXT NOT NULL, listed_until REAL, PRIMARY KEY (source, stream)
) WITHOUT ROWID;

-- The ledger: every work item ever listed, and what became of it (listed | fetched | dead | gone). What the
-- pipeline itself tells the sinks stands there too (notice), so that it is stored and settled like records.
CREATE TABLE item(
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, tenant TEXT NOT NULL, stream TEXT NOT NULL, key TEXT NOT NULL,
    locator TEXT NOT NULL, created REAL, expires REAL, first_listed REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'listed', attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL NOT NULL DEFAULT 0,
    fetched_at REAL, records INTEGER, duplicates INTEGER, bytes INTEGER, sha256 BLOB, error TEXT,
    UNIQUE (source, stream, key)
);
CREATE INDEX item_newest ON item(source, created DESC, id) WHERE state = 'listed';
CREATE INDEX item_due ON item(source, next_attempt) WHERE state = 'listed';

-- Records exactly as received, in chunks. A batch is ready when its item was fetched whole.
CREATE TABLE batch(
    id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER NOT NULL REFERENCES item(id), framing TEXT NOT NULL,
    records INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL, sha256 BLOB NOT NULL,
    duplicates BLOB NOT NULL DEFAULT x'', stored_at REAL NOT NULL, ready INTEGER NOT NULL, only_sink TEXT
);
CREATE INDEX batch_of_item ON batch(item);

-- Per sink: what became of a batch. `pending` holds the positions that a clean stop left to do; NULL when it is settled.
CREATE TABLE settlement(
    sink TEXT NOT NULL, batch INTEGER NOT NULL, delivered INTEGER NOT NULL, filtered INTEGER NOT NULL, dead INTEGER NOT NULL,
    pending BLOB, settled_at REAL NOT NULL, PRIMARY KEY (sink, batch)
) WITHOUT ROWID;

-- The newest Ids seen before, as digests in the order they came (level 0). Sorted runs of earlier releases have levels
-- above; they go to seen_chunk when they are met.
CREATE TABLE seen_run(id INTEGER PRIMARY KEY, level INTEGER NOT NULL, newest REAL NOT NULL, ids BLOB NOT NULL);

-- What could not go on: one event for one sink (or, sink empty, for all), or a whole work item (batch empty).
CREATE TABLE dead_letter(
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, tenant TEXT NOT NULL, stream TEXT NOT NULL, item TEXT NOT NULL,
    batch INTEGER, position INTEGER, sink TEXT, stage TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    pointer TEXT NOT NULL, body BLOB NOT NULL, config TEXT NOT NULL, attempts INTEGER NOT NULL, noticed_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'dead'
);
CREATE UNIQUE INDEX dead_letter_once ON dead_letter(batch, position, coalesce(sink, ''))
    WHERE batch IS NOT NULL AND state = 'dead';

-- Periods that can no longer be fetched.
CREATE TABLE gap(
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, stream TEXT NOT NULL, starts REAL NOT NULL, ends REAL NOT NULL,
    reason TEXT NOT NULL, noticed_at REAL NOT NULL, UNIQUE (source, stream, starts, ends)
);
{DRIFT}{EXPIRING}{SEEN}{PAST}{IDENTITY}{FLAWS}"""

# Keys of the table `meta`.

REMOVED_BEFORE = "removed_before"
"""Of batches stored before this time (epoch seconds) some were removed, as every sink had settled them."""

FORGOTTEN_BEFORE = "forgotten_before"
"""Of work items whose content expired before this time (epoch seconds) some were removed from the ledger."""

RESEND = "resend:"
"""With the number of a work item: it is fetched once more, and sent though its Ids were seen before. The value is the newest
batch of before. The key stands there until that is done, whatever happens between."""

CONDITIONS = "conditions"
"""What became of the conditions of the config: a JSON object, by place the attributes of a ``ConditionCount``."""

DIED = "died:"
"""With the number of a work item: so many processes died while it was being fetched."""

STANDING_STILL = "troubles"
"""Parts that stood still when the pipeline noted it last: a JSON object, by part ``[reason, epoch seconds]``."""


RUN = "run"
"""The run that began last: a JSON object, the attributes of a ``RunNote``."""


def begin_key(source: str, stream: str) -> str:
    """Returns the key of where the first listing of a stream began (epoch seconds)."""
    return f"begin {source} {stream}"
