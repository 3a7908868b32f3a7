"""Keys of the table ``meta``."""

from __future__ import annotations

REMOVED_BEFORE = "removed_before"
"""Of batches stored before this time (epoch seconds) some were removed, as every sink had settled them."""

FORGOTTEN_BEFORE = "forgotten_before"
"""Of work items whose content expired before this time (epoch seconds) some were removed from the ledger."""

RESEND = "resend:"
"""With the number of a work item: it is fetched once more, and sent though its Ids were seen before. The value is the newest
batch of before. The key stands there until that is done, whatever happens between."""

STANDING_STILL = "troubles"
"""Parts that stood still when the pipeline noted it last: a JSON object, by part ``[reason, epoch seconds]``."""


def begin_key(source: str, stream: str) -> str:
    """Returns the key of where the first listing of a stream began (epoch seconds)."""
    return f"begin {source} {stream}"
