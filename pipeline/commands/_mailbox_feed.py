"""Asks a store what was recorded in which mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.mailbox_audit.feed import Period, Seen
from ualpipe.pipeline.report.contract import Asked, Coverage, Selection, Store
from ualpipe.schemas import read_text

_SQL = "mailbox_audit/seen.sql"


def seen_in(store: Store, tenant: str | None, since: datetime | None, now: datetime) -> tuple[list[Seen], Period]:
    """Returns what a store shows of a tenant's mailboxes, and which period it covers.

    Args:
        store: An open one.
        tenant: Its id; may be left out where the store has one only.
        since: First instant that counts; None for all that there is.
        now: The instant of asking.

    Raises:
        ConfigError: It can't be told which tenant is meant.
        QueryError: The store can't answer.
    """
    selection = Selection(since=since, tenants=_tenants(store.tenants(), tenant))
    found = store.query(read_text(_SQL), Asked(selection, now=now))
    coverage = store.coverage(selection)
    return [Seen(*row) for row in found.rows], _period(coverage, since)


def _period(coverage: Coverage, since: datetime | None) -> Period:
    first, last = coverage.first, coverage.last
    if first is None or last is None or (since is not None and since > last):
        return Period(None, None, bool(coverage.streams))
    return Period(max(first, since) if since is not None else first, last, bool(coverage.streams))


def _tenants(known: Sequence[str], asked: str | None) -> Sequence[str]:
    if asked is not None and asked.lower() not in known:
        raise ConfigError(f"--tenant: the store has no events of {asked} (there are: {', '.join(known) or 'none'})")
    if asked is None and len(known) > 1:
        raise ConfigError(
            f"the store has events of several tenants ({', '.join(known)}): name the one of the exports with --tenant"
        )
    return [asked.lower()] if asked is not None else known
