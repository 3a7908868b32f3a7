"""What builders of records draw from: the organisation, the time, the vocabulary, and chance."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from ualpipe.simulator.data import read_yaml
from ualpipe.simulator.records.organisation import Organisation, Person, guid

T = TypeVar("T")
Record = dict[str, Any]

_GUEST_SHARE = 0.02


class Maker:
    """Draws what a record is made of. All chance comes from one seeded source.

    Attributes:
        org: The organisation: who and what exists.
        rng: The source of chance.
        at: Time of the record, UTC.
        words: The vocabulary.
    """

    def __init__(self, org: Organisation, rng: random.Random, at: datetime) -> None:
        self.org = org
        self.rng = rng
        self.at = at
        self.words: dict[str, Any] = read_yaml("vocabulary.yaml")
        self._weighted: dict[str, tuple[list[Any], list[float]]] = {}

    @property
    def time(self) -> str:
        """The time as audit records write it: UTC without a zone."""
        return self.at.strftime("%Y-%m-%dT%H:%M:%S")

    def base(self, record_type: int, operation: str, workload: str, person: Person) -> Record:
        """Returns the fields that all records have."""
        return {
            "CreationTime": self.time,
            "Id": self.guid(),
            "Operation": operation,
            "OrganizationId": self.org.tenant_id,
            "RecordType": record_type,
            "UserKey": person.puid,
            "UserType": 2 if person.is_admin else 0,
            "Version": 1,
            "Workload": workload,
            "UserId": person.upn,
        }

    def person(self) -> Person:
        """Returns one of the people, now and then a guest."""
        return self.pick(self.org.guests if self.rng.random() < _GUEST_SHARE else self.org.people)

    def member(self) -> Person:
        return self.pick(self.org.people)

    def pick(self, choices: Sequence[T]) -> T:
        """Returns one of the choices, each as likely as the others."""
        return choices[int(self.rng.random() * len(choices))]

    def word(self, table: str) -> Any:
        """Returns an entry of one of the vocabulary's lists."""
        return self.pick(self.words[table])

    def weighted(self, table: str) -> Any:
        """Returns a key of one of the vocabulary's mappings, or an entry of its lists, by weight."""
        if table not in self._weighted:
            self._weighted[table] = _weights(self.words[table])
        choices, cumulated = self._weighted[table]
        return self.rng.choices(choices, cum_weights=cumulated)[0]

    def guid(self) -> str:
        return guid(self.rng)

    def token(self, length: int) -> str:
        """Returns letters, digits, ``-`` and ``_``, as in item ids."""
        return base64.urlsafe_b64encode(self.rng.randbytes(length)).decode()[:length]

    def phrase(self) -> str:
        """Returns two to five words."""
        return " ".join(self.rng.choices(self.words["stems"], k=self.rng.randrange(2, 6))).capitalize()

    def address(self, person: Person) -> str:
        """Returns the person's address, sometimes with a port, as some workloads write it."""
        chance = self.rng.random()
        if chance < 0.9:
            return person.address
        host = f"[{person.address}]" if ":" in person.address else person.address
        return f"{host}:{self.rng.randrange(1024, 65536)}"


def _weights(table: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[float]]:
    """Returns what can be drawn, and the running sums of its weights."""
    if isinstance(table, Mapping):
        weights = [entry["weight"] if isinstance(entry, Mapping) else entry for entry in table.values()]
    else:
        weights = [entry["weight"] for entry in table]
    return [*table], list(itertools.accumulate(weights))
