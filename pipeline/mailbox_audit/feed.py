"""Crosses verdicts with a store of events: mailboxes that talk though auditing is off, silent ones, actions never seen. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ualpipe.pipeline.mailbox_audit.actions import LOGONS, Logon
from ualpipe.pipeline.mailbox_audit.judging import Finding, Verdict
from ualpipe.pipeline.wording import counted

_LOGONS: Mapping[int, Logon] = {0: "owner", 1: "admin", 2: "delegate", 6: "admin"}
_BY_DELEGATES = frozenset({"sendas", "sendonbehalf"})  # whose records have been seen with the log-on of an owner
_OFF = frozenset({"organisation switch", "auditing off", "not supported"})


@dataclass(frozen=True, slots=True)
class Seen:
    """Events of one operation in one mailbox.

    Attributes:
        mailbox_id: ``MailboxGuid``, lower case; empty where the records have none.
        owner: The mailbox's owner, lower case; empty where the records name none.
        logon_type: Number of the kind of log-on; None where the records have none.
        last: When the last one took place.
    """

    mailbox_id: str
    owner: str
    logon_type: int | None
    operation: str
    events: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Period:
    """Which period a store was asked for and covers.

    Attributes:
        first: Of the first event of the tenant; None in an empty store.
        last: Of the last one.
        is_known: Whether the pipelines that fill the store said what they cover; without, nobody knows of gaps.
    """

    first: datetime | None
    last: datetime | None
    is_known: bool


@dataclass(slots=True)
class Feed:
    """What a store shows of a tenant's mailboxes.

    Attributes:
        talking: How many mailboxes have records although auditing is off there.
        silent: How many have none although they are audited.
        strangers: Mailboxes with records that no export names.
        never_seen: Actions that are audited in some mailbox and were seen in none.
    """

    period: Period
    events: int = 0
    talking: int = 0
    silent: int = 0
    strangers: int = 0
    never_seen: Mapping[Logon, Sequence[str]] = field(default_factory=dict)


def cross(verdicts: Sequence[Verdict], seen: Iterable[Seen], period: Period) -> Feed:
    """Adds findings to verdicts, and returns what they come to."""
    feed = Feed(period)
    by_mailbox, strangers = _by_mailbox(verdicts, seen)
    feed.strangers = strangers
    for at, verdict in enumerate(verdicts):
        _judge(verdict, by_mailbox.get(at, []), feed)
    feed.events = sum(one.events for found in by_mailbox.values() for one in found)
    feed.never_seen = _never_seen(verdicts, by_mailbox)
    return feed


def _by_mailbox(verdicts: Sequence[Verdict], seen: Iterable[Seen]) -> tuple[dict[int, list[Seen]], int]:
    """Returns what was seen, by position of the verdict, and how many mailboxes with records there are beside them."""
    by_id = {verdict.mailbox.exchange_guid: at for at, verdict in enumerate(verdicts) if verdict.mailbox.exchange_guid}
    by_address = {address: at for at, verdict in enumerate(verdicts) for address in verdict.mailbox.addresses}
    found: dict[int, list[Seen]] = defaultdict(list)
    strangers = set()
    for one in seen:
        at = by_id.get(one.mailbox_id)
        at = by_address.get(one.owner) if at is None else at
        if at is None:
            strangers.add(one.mailbox_id or one.owner)
        else:
            found[at].append(one)
    return found, len(strangers)


def _judge(verdict: Verdict, seen: Sequence[Seen], feed: Feed) -> None:
    events, last = sum(one.events for one in seen), max((one.last for one in seen if one.last), default=None)
    if verdict.state in _OFF and seen:
        feed.talking += 1
        on = f", the last of {last:%Y-%m-%d}" if last else ""
        verdict.findings.append(Finding("talks though off", f"{counted(events, 'record')} in the store{on}"))
    if verdict.state not in _OFF and not seen and feed.period.first and feed.period.last:
        feed.silent += 1
        span = f"{feed.period.first:%Y-%m-%d} to {feed.period.last:%Y-%m-%d}"
        verdict.findings.append(
            Finding("silent", f"no record in the store from {span}: nothing was done there, or nothing recorded")
        )
    for logon in LOGONS:
        audited = verdict.audited[logon]
        if audited is not None and verdict.state not in _OFF:
            lower = {action.lower() for action in audited}
            if odd := sorted({one.operation for one in seen if _logon_of(one) == logon and _action(one) not in lower}):
                verdict.findings.append(Finding("seen though not listed", f"{logon}: {', '.join(odd[:10])}"))


def _action(seen: Seen) -> str:
    """Returns the action that an operation is audited as: records name rules and folder permissions one by one."""
    operation = seen.operation.lower()
    return "updatefolderpermissions" if operation.endswith("folderpermissions") else operation


def _logon_of(seen: Seen) -> Logon | None:
    if seen.operation.lower() in _BY_DELEGATES and seen.logon_type in (None, 0):
        return "delegate"
    return _LOGONS.get(seen.logon_type) if seen.logon_type is not None else None


def _never_seen(verdicts: Sequence[Verdict], by_mailbox: Mapping[int, Sequence[Seen]]) -> dict[Logon, Sequence[str]]:
    audited: dict[Logon, set[str]] = {logon: set() for logon in LOGONS}
    for verdict in verdicts:
        for logon in LOGONS:
            audited[logon] |= verdict.audited[logon] or frozenset()
    seen = {(_logon_of(one), _action(one)) for found in by_mailbox.values() for one in found}
    return {logon: sorted(one for one in audited[logon] if (logon, one.lower()) not in seen) for logon in LOGONS}
