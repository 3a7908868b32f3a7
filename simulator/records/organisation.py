"""An invented organisation: its people, guests, teams and sites. The same seed always makes the same organisation."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import Any

from ualpipe.simulator.data import read_yaml

DEFAULT_TENANT_ID = "22222222-2222-2222-2222-222222222222"
DEFAULT_DOMAIN = "contoso.com"

_PEOPLE = 240
_GUESTS = 12
_ADMINS = 4


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who acts.

    Attributes:
        name: Display name.
        upn: User principal name; for a guest the ``#EXT#`` form.
        mail: E-mail address.
        object_id: GUID in the directory.
        puid: Passport id, 16 hexadecimal digits.
        sid: Security identifier.
        mailbox: GUID of the mailbox.
        address: IP address, from the ranges for documentation.
        agent: One of the vocabulary's ``agents``.
        is_admin: Holds an administrative role.
        is_guest: Belongs to another organisation.
    """

    name: str
    upn: str
    mail: str
    object_id: str
    puid: str
    sid: str
    mailbox: str
    address: str
    agent: dict[str, str]
    is_admin: bool = False
    is_guest: bool = False


@dataclass(frozen=True, slots=True)
class Team:
    """A team with its site."""

    name: str
    group_id: str
    thread: str
    site: str
    site_id: str


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who and what exists in the tenant.

    Attributes:
        tenant_id: GUID; ``OrganizationId`` of all records.
        domain: ``contoso.com``.
        label: First part of the domain.
        people: Members, administrators first.
        guests: Users of other organisations.
        teams: Teams, each with a site.
    """

    tenant_id: str
    domain: str
    label: str
    people: tuple[Person, ...]
    guests: tuple[Person, ...]
    teams: tuple[Team, ...]

    @property
    def admins(self) -> tuple[Person, ...]:
        """People with an administrative role."""
        return self.people[:_ADMINS]


def make_organisation(seed: int, tenant_id: str = DEFAULT_TENANT_ID, domain: str = DEFAULT_DOMAIN) -> Organisation:
    """Returns the organisation of a seed."""
    rng = random.Random(f"{seed}/organisation/{domain}")  # noqa: S311 - plausible, not secret
    words = read_yaml("vocabulary.yaml")
    label = domain.partition(".")[0]
    names = [f"{first} {last}" for first in words["first_names"] for last in words["last_names"]]
    chosen = rng.sample(names, _PEOPLE + _GUESTS)
    base_sid = "-".join(str(rng.randrange(10**8, 2**32)) for _ in range(3))
    people = tuple(_member(rng, name, domain, f"{base_sid}-{1100 + at}", at) for at, name in enumerate(chosen[:_PEOPLE]))
    guests = tuple(_guest(rng, name, label, f"{base_sid}-{9100 + at}") for at, name in enumerate(chosen[_PEOPLE:]))
    teams = tuple(_team(rng, name, label) for name in words["teams"])
    return Organisation(tenant_id.lower(), domain, label, people, guests, teams)


def guid(rng: random.Random) -> str:
    """Returns a random GUID, lower case."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def outside_address(rng: random.Random) -> str:
    """Returns an address outside the organisation's own ranges."""
    return f"192.0.2.{rng.randrange(1, 255)}"


def _member(rng: random.Random, name: str, domain: str, sid: str, number: int) -> Person:
    mail = f"{name.lower().replace(' ', '.')}@{domain}"
    return Person(name, mail, mail, **_identity(rng, sid), address=_address(rng), is_admin=number < _ADMINS)


def _guest(rng: random.Random, name: str, label: str, sid: str) -> Person:
    mail = f"{name.lower().replace(' ', '.')}@{rng.choice(read_yaml('vocabulary.yaml')['guest_domains'])}"
    upn = f"{mail.replace('@', '_')}#EXT#@{label}.onmicrosoft.com"
    return Person(name, upn, mail, **_identity(rng, sid), address=outside_address(rng), is_guest=True)


def _identity(rng: random.Random, sid: str) -> dict[str, Any]:
    return {
        "object_id": guid(rng),
        "puid": f"1003{rng.getrandbits(48):012X}",
        "sid": f"S-1-5-21-{sid}",
        "mailbox": guid(rng),
        "agent": rng.choice(read_yaml("vocabulary.yaml")["agents"]),
    }


def _address(rng: random.Random) -> str:
    """Returns the IP address of a person: most share those of the offices, some have one of IPv6."""
    chance = rng.random()
    if chance < 0.6:
        return f"198.51.100.{rng.randrange(1, 20)}"
    if chance < 0.85:
        return f"203.0.113.{rng.randrange(1, 255)}"
    return f"2001:db8:{rng.randrange(1, 0xFFFF):x}:{rng.randrange(1, 0xFFFF):x}::{rng.randrange(1, 0xFFFF):x}"


def _team(rng: random.Random, name: str, label: str) -> Team:
    site = f"https://{label}.sharepoint.com/sites/{name.replace(' ', '')}/"
    return Team(name, guid(rng), f"19:{rng.getrandbits(128):032x}@thread.tacv2", site, str(uuid.UUID(int=rng.getrandbits(128))))
