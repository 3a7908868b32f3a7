"""One row of an export, with its values read: a mailbox, or an account that audits may pass over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ualpipe.pipeline.mailbox_audit.actions import Logon, MailboxKind
from ualpipe.pipeline.mailbox_audit.exports import values
from ualpipe.pipeline.mailbox_audit.exports.kinds import LIST_COLUMNS, SPELLED
from ualpipe.pipeline.mailbox_audit.exports.model import Notes
from ualpipe.pipeline.mailbox_audit.exports.values import Names, Told

_ID_COLUMNS = ("guid", "exchangeobjectid", "externaldirectoryobjectid")
_BLANK = Names(frozenset())


class Cells:
    """The cells of a row; what is odd in one is noted with the place of the row."""

    def __init__(self, row: Mapping[str, Any], file: str, line: int, notes: Notes) -> None:
        self._row = row
        self.file = file
        self.line = line
        self._notes = notes

    def truth(self, column: str) -> bool | None:
        """Returns a boolean; None where it is not told."""
        found: bool | None = self.read(column, values.truth)
        return found

    def read(self, column: str, read: Callable[[Any], Told]) -> Any:
        """Returns a value as ``read`` tells it."""
        told = read(self._row.get(column))
        if told.note:
            name = SPELLED.get(column, column)
            self._notes.add(self.file, self.line, f"{name}: {told.note}", kind=f"{name}: {told.kind or told.note}")
        return told.value

    def raw(self, column: str) -> Any:
        """Returns a cell as it is."""
        return self._row.get(column)

    def text(self, column: str) -> str:
        """Returns text; empty where there is none."""
        return values.text(self._row.get(column))

    def ids(self) -> tuple[str, ...]:
        """Returns the ids that tell an object for sure, with what they are: ``guid:…``, ``entra:…``."""
        found = [(name, values.guid(self._row.get(name))) for name in _ID_COLUMNS]
        return tuple(f"{'entra' if name == _ID_COLUMNS[-1] else 'guid'}:{one}" for name, one in found if one)


@dataclass(slots=True)
class MailboxRow:
    """A mailbox as one row tells it; None stands for what is not exported.

    Attributes:
        ids: What tells it for sure, see ``Cells.ids``.
        names: Its sign-in name, addresses and name, in this order, in lower case where they are addresses.
        exchange_guid: ``ExchangeGuid``, which records name as ``MailboxGuid``.
        guid: ``Guid``, else ``ExchangeObjectId``, else ``ExternalDirectoryObjectId``: by which cmdlets find it.
        lists: What is audited, by the kind of log-on.
        followed: The kinds of log-on whose lists follow Microsoft's.
        age_limit_days: ``AuditLogAgeLimit``.
        has_blank_truth: Whether there is a column ``AuditEnabled``, and this row has nothing in it.
        blanks: Lists that were empty cells, which may be empty lists or nothing.
    """

    file: str
    line: int
    ids: tuple[str, ...]
    guid: str
    exchange_guid: str
    upn: str
    smtp: str
    addresses: frozenset[str]
    name: str
    kind: MailboxKind
    type_name: str
    is_enabled: bool | None
    lists: dict[Logon, Names | None]
    followed: Names | None
    age_limit_days: float | None
    has_blank_truth: bool = False
    blanks: set[str] = field(default_factory=set)

    def is_blank(self, column: str) -> bool:
        """Returns whether a list was an empty cell."""
        return column in self.blanks

    def forget(self, logon: str) -> None:
        """Takes an empty list for one that was not exported."""
        self.lists = {one: None if one == logon else names for one, names in self.lists.items()}

    def forget_blanks(self) -> None:
        """Takes all empty cells for values that were not exported."""
        for column in self.blanks:
            self.forget(column)
        if "followed" in self.blanks:
            self.followed = None


def mailbox_row(cells: Cells) -> MailboxRow:
    """Returns what a row tells of a mailbox."""
    lists: dict[Logon, Names | None] = {}
    blanks: set[str] = set()
    for column, logon in LIST_COLUMNS.items():
        lists[logon] = cells.read(column, values.actions)
        if values.is_blank(cells.raw(column)):
            blanks.add(logon)
            lists[logon] = _BLANK
    followed = cells.read("defaultauditset", values.default_set)
    if values.is_blank(cells.raw("defaultauditset")):
        blanks.add("followed")
        followed = _BLANK
    upn, smtp = cells.text("userprincipalname").lower(), cells.text("primarysmtpaddress").lower()
    found = {*values.addresses(cells.raw("emailaddresses")), *(one for one in (upn, smtp) if one)}
    enabled = cells.truth("auditenabled")
    ids = cells.ids()
    return MailboxRow(
        file=cells.file,
        line=cells.line,
        ids=ids,
        guid=ids[0].partition(":")[2] if ids else "",
        exchange_guid=values.guid(cells.raw("exchangeguid")),
        upn=upn,
        smtp=smtp,
        addresses=frozenset(found),
        name=cells.text("displayname") or cells.text("name") or cells.text("identity"),
        kind=values.mailbox_kind(cells.raw("recipienttypedetails")),
        type_name=cells.text("recipienttypedetails"),
        is_enabled=enabled,
        lists=lists,
        followed=followed,
        age_limit_days=cells.read("auditlogagelimit", values.days),
        has_blank_truth=values.is_blank(cells.raw("auditenabled")),
        blanks=blanks,
    )


@dataclass(frozen=True, slots=True)
class Account:
    """A user or computer account, and whether what it does in mailboxes is passed over; None where that is not told.

    Attributes:
        ids: What tells it for sure, see ``Cells.ids``.
        name: Its name, which is not unique.
    """

    file: str
    line: int
    ids: tuple[str, ...]
    name: str
    is_passed_over: bool | None


def account(cells: Cells) -> Account:
    """Returns what a row of ``Get-MailboxAuditBypassAssociation`` tells."""
    name = cells.text("name") or cells.text("identity") or cells.text("displayname")
    return Account(cells.file, cells.line, cells.ids(), name, cells.truth("auditbypassenabled"))
