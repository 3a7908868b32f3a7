"""Mailboxes, put together from the rows of all exports: by ``Guid`` and ``ExternalDirectoryObjectId``, never by name.

A name is not unique: whoever joins by it finds the settings of another mailbox. Where rows of a mailbox differ, the narrower
setting counts, and it is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ualpipe.pipeline.mailbox_audit.actions import LOGONS, Logon, MailboxKind
from ualpipe.pipeline.mailbox_audit.exports.model import Notes
from ualpipe.pipeline.mailbox_audit.exports.reader import Exports
from ualpipe.pipeline.mailbox_audit.exports.rows import Account, MailboxRow
from ualpipe.pipeline.mailbox_audit.exports.values import Names

_T = TypeVar("_T", float, bool)


@dataclass(slots=True)
class Mailbox:
    """A mailbox with its settings; None stands for what no export tells.

    Attributes:
        name: Its address, else its sign-in name, its name, or its id.
        guid: By which cmdlets find it; empty where no export has an id of it.
        is_passed_over: Whether its account's acts are recorded in no mailbox.
        lists: What is audited, by the kind of log-on.
        followed: The kinds of log-on whose lists follow Microsoft's.
        places: File and line of each of its rows.
        differing: Names of settings in which its rows differ.
    """

    name: str
    kind: MailboxKind
    type_name: str
    ids: set[str]
    guid: str
    exchange_guid: str
    addresses: set[str]
    is_enabled: bool | None
    is_passed_over: bool | None
    lists: dict[Logon, Names | None]
    followed: Names | None
    age_limit_days: float | None
    places: list[tuple[str, int]] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tenant:
    """What exports tell of a tenant.

    Attributes:
        mailboxes: In the order of the exports.
        passed_over: Accounts whose acts are recorded in no mailbox and that are no mailbox here.
        is_audit_disabled: Whether mailbox auditing is off for everybody; None where no export tells it.
        is_unified_log_on: Whether records reach the unified log, and so the Management Activity API.
        has_accounts: Whether there is an export of accounts that tells their ids.
        notes: What could not be read, and what was odd.
    """

    mailboxes: Sequence[Mailbox]
    passed_over: Sequence[Account]
    is_audit_disabled: bool | None
    is_unified_log_on: bool | None
    has_accounts: bool
    notes: Notes


def tenant_of(exports: Exports) -> Tenant:
    """Returns the tenant that exports tell of."""
    joined = _Joined(exports.notes)
    for row in exports.mailboxes:
        joined.add(row)
    exports.mailboxes = []
    outside = list(_apply(exports.accounts, joined, exports.notes))
    has_accounts = any(account.ids for account in exports.accounts)
    return Tenant(joined.mailboxes, outside, exports.is_audit_disabled, exports.is_unified_log_on, has_accounts, exports.notes)


class _Joined:
    """Mailboxes by whatever tells them for sure."""

    def __init__(self, notes: Notes) -> None:
        self.mailboxes: list[Mailbox] = []
        self._by_key: dict[str, Mailbox] = {}
        self._notes = notes

    def by_ids(self, ids: Iterable[str]) -> Mailbox | None:
        """Returns the mailbox with one of these ids."""
        return next((found for one in ids if (found := self._by_key.get(one))), None)

    def add(self, row: MailboxRow) -> None:
        """Adds a row: to the mailbox that it is of, or as a new one."""
        mailbox = self.by_ids(row.ids) or self._by_sign_in(row)
        if mailbox is None:
            mailbox = _mailbox(row)
            self.mailboxes.append(mailbox)
        else:
            self._merge(mailbox, row)
        mailbox.places.append((row.file, row.line))
        mailbox.ids.update(row.ids)
        for key in (*row.ids, *_sign_in_keys(row)):
            self._by_key.setdefault(key, mailbox)

    def _by_sign_in(self, row: MailboxRow) -> Mailbox | None:
        """Returns the mailbox with the sign-in name or primary address of a row, where their ids do not say otherwise."""
        for key in _sign_in_keys(row):
            found = self._by_key.get(key)
            if found is not None and not (row.ids and found.ids and _contradict(row.ids, found.ids)):
                return found
        return None

    def _merge(self, mailbox: Mailbox, row: MailboxRow) -> None:
        file, line = mailbox.places[0]
        differing = _narrowed(mailbox, row)
        mailbox.differing += [name for name in differing if name not in mailbox.differing]
        if differing:
            said = f"differs in {', '.join(differing)}: the narrower setting counts"
            self._notes.add(row.file, row.line, f"{mailbox.name} is also in {file}:{line}, and {said}", kind=said)
        elif row.file == file:
            self._notes.add(row.file, row.line, f"{mailbox.name} is also in line {line}", kind="the same mailbox twice")


def _sign_in_keys(row: MailboxRow) -> Iterator[str]:
    if row.upn:
        yield f"upn:{row.upn}"
    if row.smtp:
        yield f"smtp:{row.smtp}"


def _contradict(ids: Iterable[str], others: Iterable[str]) -> bool:
    """Returns whether two objects have ids of the same sort, and none in common."""
    mine, theirs = set(ids), set(others)
    sorts = {one.partition(":")[0] for one in mine} & {one.partition(":")[0] for one in theirs}
    return bool(sorts) and not mine & theirs


def _mailbox(row: MailboxRow) -> Mailbox:
    return Mailbox(
        name=row.smtp or row.upn or row.name or row.guid or f"{row.file}:{row.line}",
        kind=row.kind,
        type_name=row.type_name,
        ids=set(row.ids),
        guid=row.guid,
        exchange_guid=row.exchange_guid,
        addresses=set(row.addresses),
        is_enabled=row.is_enabled,
        is_passed_over=None,
        lists=dict(row.lists),
        followed=row.followed,
        age_limit_days=row.age_limit_days,
    )


def _narrowed(mailbox: Mailbox, row: MailboxRow) -> list[str]:
    """Takes over what another row of a mailbox tells; returns the names of settings that differ, of which the narrower counts."""
    differing = []
    for logon in LOGONS:
        mine, theirs = mailbox.lists[logon], row.lists[logon]
        mailbox.lists[logon] = _common(mine, theirs)
        if _differ(mine, theirs):
            differing.append(f"Audit{logon.capitalize()}")
    if _differ(mailbox.followed, row.followed):
        differing.append("DefaultAuditSet")
    mailbox.followed = _common(mailbox.followed, row.followed)
    if None not in (mailbox.is_enabled, row.is_enabled) and mailbox.is_enabled != row.is_enabled:
        differing.append("AuditEnabled")
    mailbox.is_enabled = _least(mailbox.is_enabled, row.is_enabled)
    if None not in (mailbox.age_limit_days, row.age_limit_days) and mailbox.age_limit_days != row.age_limit_days:
        differing.append("AuditLogAgeLimit")
    mailbox.age_limit_days = _least(mailbox.age_limit_days, row.age_limit_days)
    _complete(mailbox, row)
    return differing


def _complete(mailbox: Mailbox, row: MailboxRow) -> None:
    mailbox.guid = mailbox.guid or row.guid
    mailbox.exchange_guid = mailbox.exchange_guid or row.exchange_guid
    mailbox.addresses |= row.addresses
    if mailbox.kind == "unknown":
        mailbox.kind, mailbox.type_name = row.kind, row.type_name


def _differ(one: Names | None, other: Names | None) -> bool:
    return one is not None and other is not None and not one.is_cut and not other.is_cut and one.names != other.names


def _common(one: Names | None, other: Names | None) -> Names | None:
    """Returns what two lists have in common; a list that is cut says nothing against the other one."""
    if one is None or other is None:
        return one or other
    if one.is_cut or other.is_cut:
        whole = [names for names in (one, other) if not names.is_cut]
        return whole[0] if whole else Names(one.names | other.names, is_cut=True)
    return Names(one.names & other.names)


def _least(one: _T | None, other: _T | None) -> _T | None:
    return min(one, other) if one is not None and other is not None else one if one is not None else other


def _apply(accounts: Iterable[Account], joined: _Joined, notes: Notes) -> Iterator[Account]:
    """Tells mailboxes whether their account is passed over; yields accounts that are, and are none of these mailboxes."""
    for account in accounts:
        mailbox = joined.by_ids(account.ids)
        if mailbox is not None and account.is_passed_over is not None:
            mailbox.is_passed_over = account.is_passed_over or bool(mailbox.is_passed_over)
        if account.is_passed_over and mailbox is None:
            if not account.ids:
                notes.add(account.file, account.line, _BY_NAME)
            yield account


_BY_NAME = (
    "an account with AuditBypassEnabled that has neither Guid nor ExternalDirectoryObjectId: it is listed, and joined with no"
    " mailbox, as names are not unique (--collect prints a script that exports them)"
)
