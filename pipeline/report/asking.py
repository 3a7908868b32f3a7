"""Makes of options what a report's SQL is told: the selection, what is one's own, when business is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ualpipe.pipeline.config.model import ReportsOptions
from ualpipe.pipeline.report.contract import Asked, ExportedMailbox, Own, Selection
from ualpipe.pipeline.report.period import WEEKDAYS
from ualpipe.pipeline.stages import Instant

_KINDS = {
    "domain": "domains",
    "service_account": "service_accounts",
    "break_glass": "break_glass",
    "admin": "admins",
    "vip": "vips",
    "partner_tenant": "partner_tenants",
    "app": "apps",
}


def asked_of(
    selection: Selection,
    options: ReportsOptions,
    timezone: str,
    now: Instant,
    mailboxes: Sequence[ExportedMailbox] = (),
) -> Asked:
    """Returns what is asked.

    Args:
        selection: Which events.
        options: The ``reports`` section of the config, or its defaults.
        timezone: IANA name.
        now: The present.
        mailboxes: What exports tell of mailboxes.
    """
    hours = options.business_hours
    return Asked(
        selection=selection,
        now=now,
        timezone=timezone,
        day_begins=hours.begins,
        day_ends=hours.ends,
        workdays=sorted({WEEKDAYS.index(day) + 1 for day in hours.days}),
        own=list(own_of(options)),
        mailboxes=mailboxes,
    )


def own_of(options: ReportsOptions) -> Iterator[Own]:
    """Yields what is one's own, each thing once, in lower case."""
    found = [Own(kind, _folded(value)) for kind, name in _KINDS.items() for value in getattr(options, name)]
    found += [Own("delegate", _folded(one.mailbox), _folded(one.delegate)) for one in options.delegates]
    yield from dict.fromkeys(found)


def _folded(value: str) -> str:
    return value.strip().lower()
