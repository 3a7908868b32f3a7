"""Drift: what records hold that ualpipe does not know. Counted in memory, kept in the journal, named once in the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

RECORD_TYPE = "record_type"
OPERATION = "operation"
FIELD = "field"
OTHERS = "others"

MAX_THINGS = 1000
"""New things that are told apart; further ones are counted together, as ``others``."""
MAX_NAME = 120
"""Characters of a name that are kept."""
MAX_LINES = 20
"""Log lines at a time: a new service may bring a hundred names at once."""

_log = logging.getLogger("ualpipe.drift")


class Thing(NamedTuple):
    """Something that ualpipe does not know.

    Attributes:
        kind: ``record_type``, ``operation`` or ``field``; ``others`` for all beyond ``MAX_THINGS``.
        record_type: Number of the record type that it was seen in.
        name: Name of the operation or field; empty for a record type.
    """

    kind: str
    record_type: str
    name: str


Counts = Mapping[tuple[Thing, str], int]
"""How often each thing was seen, by thing and source."""


class Drift:
    """Counts new things from one ``keep`` to the next. Thread-safe; it takes a lock, so only odd records come here."""

    def __init__(self, known: Iterable[Thing] = ()) -> None:
        """Starts without counts.

        Args:
            known: Things that were seen in earlier runs; the log does not name them again.
        """
        self._lock = threading.Lock()
        self._known = set(known)
        self._told = set(self._known)
        self._counts: dict[tuple[Thing, str], int] = {}

    def remember(self, known: Iterable[Thing]) -> None:
        """Adds things that were seen in earlier runs; the log does not name them again."""
        with self._lock:
            self._known.update(known)
            self._told |= self._known

    def note(self, thing: Thing, source: str, count: int = 1) -> None:
        """Counts how often a thing was seen. Never raises, whatever the names are."""
        with self._lock:
            key = (thing, source)
            if key not in self._counts:  # most often it is: a new field stands in every record that follows
                key = (self._entered(thing), source)
            self._counts[key] = self._counts.get(key, 0) + count

    def take(self) -> Counts:
        """Returns the counts since the last ``take``, and starts from zero."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts

    def add(self, counts: Counts) -> None:
        """Adds the counts of another process."""
        for (thing, source), count in counts.items():
            self.note(thing, source, count)

    def keep(self, add: Callable[[Counts], None]) -> None:
        """Adds the counts to those that are kept for good, and names in the log each thing that is seen for the first time.

        Args:
            add: Adds counts to those that are kept.

        Raises:
            JournalError: The counts can't be stored now; memory keeps them for the next time.
        """
        if not (counts := self.take()):
            return
        try:
            add(counts)
        except BaseException:
            self._put_back(counts)
            raise
        sources: dict[Thing, str] = {}
        for thing, source in counts:
            sources.setdefault(thing, source)
        _tell({thing: source for thing, source in sources.items() if thing not in self._told})
        self._told.update(sources)

    def _entered(self, thing: Thing) -> Thing:
        """Returns the thing that is counted: with legible names, or ``others`` when there is no room for one more."""
        thing = Thing(thing.kind, _legible(thing.record_type), _legible(thing.name))
        if thing not in self._known:
            if len(self._known) >= MAX_THINGS:
                thing = Thing(OTHERS, "", "")
            self._known.add(thing)
        return thing

    def _put_back(self, counts: Counts) -> None:
        with self._lock:
            for key, count in counts.items():
                self._counts[key] = self._counts.get(key, 0) + count


def _legible(name: str) -> str:
    """Returns a name that can be stored and printed: cut, with escapes for control characters and what is not Unicode."""
    name = name[:MAX_NAME]
    if name.isprintable():
        return name
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)[:MAX_NAME]


def described(thing: Thing) -> str:
    """Returns ``field ListColor of record type 36``, ``record type 480``."""
    if thing.kind == RECORD_TYPE:
        return f"record type {thing.record_type}"
    if thing.kind == OTHERS:
        return f"more than {MAX_THINGS:,} names; the rest is counted together"
    return f"{thing.kind} {thing.name} of record type {thing.record_type}"


def _tell(new: Mapping[Thing, str]) -> None:
    """Writes a line for each thing, record types first: of such records only the common fields are mapped."""
    ordered = sorted(new.items(), key=lambda item: (item[0].kind != RECORD_TYPE, item[0]))
    for thing, source in ordered[:MAX_LINES]:
        level = logging.WARNING if thing.kind in (RECORD_TYPE, OTHERS) else logging.INFO
        _log.log(level, "new in audit records: %s", described(thing), extra={"source": source})
    if len(ordered) > MAX_LINES:
        _log.warning("new in audit records: %d more; `ualpipe status` lists them", len(ordered) - MAX_LINES)
