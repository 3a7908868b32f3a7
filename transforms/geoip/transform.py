"""The ``geoip`` transform: adds place and network of the source address, from MaxMind databases on this machine."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from ualpipe.pipeline.conditions.known_fields import same_fields
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.stages import Env
from ualpipe.transforms.geoip.database import AS, GEO, GeoDatabase
from ualpipe.transforms.geoip.fields import Fields
from ualpipe.transforms.geoip.options import GeoipTransformConfig
from ualpipe.transforms.memo import Memo

LOOK_EVERY_S = 60.0


class GeoipTransform:
    """Adds `source.geo` and `source.as` to documents with a `source.ip`. Stands behind `ecs`, which makes the document.

    Fields that are there stay as they are. An event without document or address, or with an address that the databases do not
    know, passes untouched. Once a minute ``apply`` looks whether a file was replaced; else it looks at nothing but the event.
    """

    Config: ClassVar[type] = GeoipTransformConfig
    after: ClassVar[tuple[str, ...]] = ("ecs",)
    fields_behind = staticmethod(same_fields)  # fields of ECS, which are known behind `ecs`

    def __init__(self, config: GeoipTransformConfig, env: Env) -> None:
        files = (("geo", config.city_database, GEO), ("as", config.asn_database, AS))
        self._databases = {
            name: GeoDatabase(path, kind, env, config.warn_after) for name, path, kind in files if path is not None
        }
        self._monotonic = env.clock.monotonic
        self._known = Memo(self._find)
        self._look_at_s = 0.0
        self._looking = threading.Lock()

    def open(self) -> None:
        """Reads the databases.

        Raises:
            ConfigError: A database is missing or wrong, or the library that reads them is not installed.
        """
        for database in self._databases.values():
            database.open()
        self._look_at_s = self._monotonic() + LOOK_EVERY_S

    def apply(self, event: Event) -> Event:
        """Adds what is known of the source address. Never filters and never fails."""
        if self._monotonic() >= self._look_at_s:
            self._look_for_new_files()
        document = event.document
        source = document.get("source") if document else None
        if document and isinstance(source, dict) and type(ip := source.get("ip")) is str and (found := self._known[ip]):
            # `source` is not changed in place: the mapping may share it with other documents.
            document["source"] = _added(source, found) if "geo" in source or "as" in source else {**source, **found}
        return event

    def _find(self, ip: str) -> Fields:
        """Returns the members of ``source`` that an address gives."""
        found = {name: database.find(ip) for name, database in self._databases.items()}
        return {name: fields for name, fields in found.items() if fields}

    def _look_for_new_files(self) -> None:
        with self._looking:
            now_s = self._monotonic()
            if now_s < self._look_at_s:
                return  # another thread has looked meanwhile
            self._look_at_s = now_s + LOOK_EVERY_S
            renewed = [database.renew() for database in self._databases.values()]
            if any(renewed):
                # A new memo: what a thread finds in the old database at this moment goes to the old memo.
                self._known = Memo(self._find)


def _added(there: dict[str, Any], found: Fields) -> dict[str, Any]:
    """Returns an object with fields added; those that are there win, object by object."""
    both = {**found, **there}
    for name in found.keys() & there.keys():
        if type(there[name]) is dict and type(found[name]) is dict:
            both[name] = _added(there[name], found[name])
    return both
