"""Planted incidents: a few records that belong together, so that one can ask afterwards whether all of them arrived."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ualpipe.simulator.records import entra, exchange, sharepoint
from ualpipe.simulator.records.generator import DEFAULT_SEED
from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import DEFAULT_DOMAIN, DEFAULT_TENANT_ID, Person, make_organisation, outside_address

_SPRAYED_PEOPLE = 30


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that an analyst should find.

    Attributes:
        name: Short, stable.
        description: What happened, with names and addresses.
        records: The records of the incident, in order of time.
    """

    name: str
    description: str
    records: tuple[Record, ...]

    @property
    def ids(self) -> frozenset[str]:
        """The records' Ids."""
        return frozenset(record["Id"] for record in self.records)


def planted_incidents(
    seed: int = DEFAULT_SEED, *, start: datetime, tenant_id: str = DEFAULT_TENANT_ID, domain: str = DEFAULT_DOMAIN
) -> list[Incident]:
    """Returns incidents among the people of ``generate`` with the same seed, tenant and domain.

    Args:
        seed: As for ``generate``; the incidents' Ids are their own.
        start: Time of the first record, UTC; the last is less than an hour later.
        tenant_id: Their OrganizationId.
        domain: Domain of the organisation.
    """
    org = make_organisation(seed, tenant_id, domain)
    plots: list[Callable[[Maker], Incident]] = [
        _delegate_reads_mailbox,
        _mail_is_forwarded,
        _passwords_are_sprayed,
        _link_is_used,
    ]
    times = [start + timedelta(minutes=10 * at) for at in range(len(plots))]
    rngs = [random.Random(f"{seed}/incident/{at.isoformat()}") for at in times]  # noqa: S311 - plausible, not secret
    return [plot(Maker(org, rng, at)) for plot, rng, at in zip(plots, rngs, times, strict=True)]


def _delegate_reads_mailbox(m: Maker) -> Incident:
    admin, (owner, delegate) = m.org.admins[0], _two(m)
    grant = {"Identity": owner.upn, "User": delegate.upn, "AccessRights": "FullAccess", "InheritanceType": "All"}
    records = [exchange.cmdlet(m, "Add-MailboxPermission", admin, owner, grant)]
    for access in ("Sync", "Bind", "Bind", "Bind", "Bind"):
        _later(m, 40)
        records.append(exchange.mail_access(m, delegate, owner, access))
    text = (
        f"{admin.upn} gives {delegate.upn} full access to the mailbox of {owner.upn}, whose mail is then read folder by folder."
    )
    return Incident("mailbox read by a delegate", text, tuple(records))


def _mail_is_forwarded(m: Maker) -> Incident:
    victim, address = _two(m)[0], outside_address(m.rng)
    target = f"{victim.mail.partition('@')[0]}@mail.example"
    rule = {"Name": ".", "ForwardTo": target, "DeleteMessage": "True", "StopProcessingRules": "True"}
    records = [entra.logon(m, victim, address)]
    _later(m, 90)
    records.append(exchange.cmdlet(m, "New-InboxRule", victim, victim, rule, address))
    _later(m, 2)
    records.append(exchange.inbox_rule_update(m, victim, ".", address))
    text = f"After a logon from {address}, a rule forwards all mail of {victim.upn} to {target} and deletes it."
    return Incident("inbox rule forwards mail outside", text, tuple(records))


def _passwords_are_sprayed(m: Maker) -> Incident:
    address = outside_address(m.rng)
    targets = m.rng.sample(m.org.people, _SPRAYED_PEOPLE)
    records = []
    for person in targets:
        records.append(entra.failed_logon(m, person, address, "50126"))
        _later(m, 7)
    records.append(entra.logon(m, targets[-1], address))
    text = f"{address} tries a password on {len(targets)} people within minutes and gets in as {targets[-1].upn}."
    return Incident("password spray", text, tuple(records))


def _link_is_used(m: Maker) -> Incident:
    sharer, address = _two(m)[0], outside_address(m.rng)
    file = sharepoint.file_operation(m)
    created = sharepoint.shared_file(m, 14, "AnonymousLinkCreated", sharer, file, sharer.address)
    created["EventData"] = "<Type>Edit</Type>"
    records = [created]
    for record_type, operation in ((14, "AnonymousLinkUsed"), (6, "FileDownloaded")):
        _later(m, 120)
        used = sharepoint.shared_file(m, record_type, operation, sharer, file, address)
        who = f"{sharepoint.ANONYMOUS}#{m.token(24).lower()}"
        records.append(used | {"UserId": who, "UserKey": who, "UserType": 10})
    text = f"{sharer.upn} makes an anonymous link to {file['SourceFileName']}, and somebody downloads the file from {address}."
    return Incident("anonymous link created and used", text, tuple(records))


def _two(m: Maker) -> tuple[Person, Person]:
    """Returns two people without administrative roles."""
    first, second = m.rng.sample([person for person in m.org.people if not person.is_admin], 2)
    return first, second


def _later(m: Maker, seconds: int) -> None:
    m.at += timedelta(seconds=seconds)
