"""What reports and searches ask of a store of events, and what they get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ualpipe.pipeline.stages import Instant, StreamCoverage


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are asked for. What is empty or None selects all.

    Attributes:
        since: First instant, by the time of the act.
        until: End, itself no longer in it.
        tenants: Tenant ids, lower case.
        user: One person, as address, name or id: all spellings of the same one are found.
        workloads: Names of workloads, without case.
    """

    since: Instant | None = None
    until: Instant | None = None
    tenants: Sequence[str] = ()
    user: str = ""
    workloads: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """What a search wants of events, beside the selection; all of it must hold. What is empty is not asked for.

    Attributes:
        id: An ``Id`` or ``event_id``, or the beginning of one.
        operation: An operation, without case; ``*`` and ``?`` stand for others.
        ip: An address.
        texts: Each stands somewhere in the record, or in the sentence of the event, without case.
        needles: Of each group one stands somewhere in the document (the record, where there is none), without case: what
            conditions need at least, so that most events need not be decoded for them.
    """

    id: str = ""
    operation: str = ""
    ip: str = ""
    texts: Sequence[str] = ()
    needles: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Own:
    """One thing that the config's ``reports`` section says is one's own: a domain, an account, a pair that is expected.

    Attributes:
        kind: ``domain``, ``service_account``, ``break_glass``, ``admin``, ``vip``, ``partner_tenant``, ``app`` or ``delegate``.
        value: In lower case; of a delegate the mailbox.
        other: In lower case; of a delegate who may be in that mailbox; empty for all other kinds.
    """

    kind: str
    value: str
    other: str = ""


@dataclass(frozen=True, slots=True)
class ExportedMailbox:
    """A mailbox as exports of Exchange Online tell of it; None stands for what they do not tell.

    Attributes:
        name: Its address, else another name.
        spellings: Addresses and ids by which records may name it, in lower case.
        kind: ``user``, ``shared``, ``group`` and others.
        is_audited: Whether auditing is on for it.
        is_passed_over: Whether what its account does is recorded in no mailbox.
    """

    name: str
    spellings: Sequence[str]
    kind: str
    is_audited: bool | None = None
    is_passed_over: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report's SQL reads in the relations ``asked`` and ``own``, beside the events.

    Attributes:
        selection: Which events the relation ``events`` holds.
        timezone: IANA name, for days and hours.
        day_begins: Hour at which business begins, local time.
        day_ends: Hour at which it ends.
        workdays: Days of the week on which there is business, 1 for Monday to 7 for Sunday.
        now: The instant of asking.
        own: What is one's own.
        mailboxes: What exports tell of mailboxes, where some are given.
    """

    selection: Selection
    now: Instant
    timezone: str = "UTC"
    day_begins: int = 7
    day_ends: int = 19
    workdays: Sequence[int] = (1, 2, 3, 4, 5)
    own: Sequence[Own] = ()
    mailboxes: Sequence[ExportedMailbox] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The rows that a query gave.

    Attributes:
        columns: Their names, in order.
        rows: Values: text, int, float, bool, ``datetime`` in UTC, list of those, or None.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a store that could not be read, and is missing in each answer."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which period a store covers.

    Attributes:
        first: Time of the first event; None in an empty store.
        last: Time of the last event.
        events: How many there are.
        streams: What the pipelines that fill the store said of their streams last; empty where none did: then nobody knows.
        said_at: When they did, by pipeline.
    """

    first: Instant | None = None
    last: Instant | None = None
    events: int = 0
    streams: Sequence[StreamCoverage] = ()
    said_at: Mapping[str, Instant] = field(default_factory=dict)


class Store(Protocol):
    """Events as rows, to be read only. Made as ``Store.of(options)``, with those of the sink that fills it; that does no I/O.

    One whose class has ``is_folder = True`` is made as ``Store(folder)``, too.

    A query is one SELECT, in the SQL that DuckDB and PostgreSQL share, over these relations:

    ``events``       those that are asked for, with the columns of ``sinks.table.columns`` and ``date`` (that of ``time``, in UTC)
    ``history``      those of the same tenants up to the end of what is asked for, by whomever and however old
    ``changes``      ``event_id, record_type, operation, position, name, old, new`` of ``events``
    ``parameters``   ``event_id, record_type, operation, position, name, value`` of ``events``
    ``items``        ``event_id, record_type, operation, position, folder, subject, message_id, size`` of ``events``
    ``targets``      ``event_id, record_type, operation, position, id, type`` of ``events``
    ``asked``        one row: ``since, until, now`` (instants), ``timezone, day_begins, day_ends, workdays`` (text ``12345``),
                     ``user``
    ``own``          ``kind, value, other``
    ``mailboxes``    ``mailbox, spelling, kind, audited, passed_over``: of exports, a row for each spelling of a mailbox

    Who asks those four for some record types or operations says so of them, too: others are not taken apart then.
    """

    def open(self) -> None:
        """Opens the store.

        Raises:
            ConfigError: There is no store at this place, it is of another kind, or a library is missing.
        """

    def tenants(self) -> Sequence[str]:
        """Returns the tenants that have events, sorted."""

    def coverage(self, selection: Selection) -> Coverage:
        """Returns which period the store covers, of the tenants that are selected."""

    def query(self, sql: str, asked: Asked) -> Result:
        """Returns what a SELECT gives.

        Raises:
            QueryError: It is no single SELECT, or fails.
        """

    def search(self, selection: Selection, search: Search, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yields the given columns of events, the newest first; those without a time come last."""

    def unreadable(self) -> Sequence[Unreadable]:
        """Returns what could not be read so far."""

    def close(self) -> None:
        """Closes the store. Safe twice."""
