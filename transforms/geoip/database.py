"""A MaxMind database file: opened, asked, and read anew when it is replaced on disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.files import FileStamp, stamp
from ualpipe.pipeline.stages import Env
from ualpipe.transforms.geoip.fields import Fields, as_fields, geo_fields

DAY_S = 86_400

# What the reader raises on a damaged file; InvalidDatabaseError, the library's own, is a RuntimeError.
_DAMAGED = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, struct.error)


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """A kind of database.

    Attributes:
        option: The option that names the file.
        types: Words of which one stands in the type of such a database (``GeoLite2-City``, ``DBIP-ASN-Lite``).
        read: Makes ECS fields of a record of the database.
    """

    option: str
    types: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Fields]


GEO = DatabaseKind("city_database", ("City", "Country", "Enterprise"), geo_fields)
AS = DatabaseKind("asn_database", ("ASN", "ISP", "Enterprise"), as_fields)


class _Reader(Protocol):
    def get(self, ip_address: str, /) -> Any: ...

    def metadata(self) -> Any: ...


@dataclass(slots=True)
class _Opened:
    """A database in use.

    Attributes:
        stamp: State of the file when it was read.
        built: When its maker made the database.
        said: The subjects that were warned of already.
    """

    reader: _Reader
    stamp: FileStamp
    built: datetime
    said: set[str] = field(default_factory=set)


class GeoDatabase:
    """One database, in its last good state on disk.

    Args:
        path: Its file.
        kind: The kind that it has to be.
        env: For the clock, the log, and the name of the stage in messages.
        warn_after_s: Age from which a database is warned of, in seconds.
    """

    def __init__(self, path: Path, kind: DatabaseKind, env: Env, warn_after_s: float) -> None:
        self._path = path
        self._kind = kind
        self._env = env
        self._warn_after_s = warn_after_s
        self._opened: _Opened | None = None
        self._refused: str | None = None

    def open(self) -> None:
        """Reads the file. Idempotent.

        Raises:
            ConfigError: The file is missing, unreadable, no MaxMind database, or one of another kind.
        """
        if self._opened is None:
            self._opened = self._read()
            self._warn_if_old(self._opened)

    def renew(self) -> bool:
        """Reads the file again if it has changed; returns whether it has.

        A file that has gone, or is not whole yet, changes nothing: the open database stays, one warning says so, and the next
        call may find a good file.
        """
        assert self._opened is not None, "renew before open"
        try:
            renewed = None if stamp(self._path.stat()) == self._opened.stamp else self._read()
        except (OSError, ConfigError) as exc:
            self._keep(exc)
            return False
        self._refused = None
        if renewed:
            self._opened = renewed
            self._env.log.info("%s: took up the database of %s", self._path, f"{renewed.built:%Y-%m-%d}")
        self._warn_if_old(self._opened)
        return renewed is not None

    def find(self, ip: str) -> Fields:
        """Returns what is known of an address; empty for an unknown address and for text that is none."""
        assert self._opened is not None, "find before open"
        opened = self._opened
        try:
            record = opened.reader.get(ip)
        except ValueError:  # no address, or one of IPv6 where the database has only IPv4
            return {}
        except _DAMAGED as exc:
            self._warn_once(opened, "damaged", f"the database is damaged; some addresses stay without its fields ({exc})")
            return {}
        return self._kind.read(record) if isinstance(record, dict) else {}

    def _read(self) -> _Opened:
        try:
            with self._path.open("rb") as file:
                read_from = stamp(os.fstat(file.fileno()))
                reader = in_memory(file)
            metadata = reader.metadata()
            built = datetime.fromtimestamp(metadata.build_epoch, UTC)
        except OSError as exc:
            raise self._wrong(f"can't be read: {exc.strerror}") from exc
        except (*_DAMAGED, OverflowError) as exc:
            raise self._wrong("is not a whole MaxMind database (.mmdb)") from exc
        if not any(word in str(metadata.database_type) for word in self._kind.types):
            *others, last = self._kind.types
            raise self._wrong(f"is a database of the type {metadata.database_type!r}; give one of {', '.join(others)} or {last}")
        return _Opened(reader, read_from, built)

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._env.name}.{self._kind.option}: {self._path}: {what}")

    def _keep(self, error: Exception) -> None:
        reason = str(error)
        if reason != self._refused:
            self._refused = reason
            self._env.log.warning("going on with the database that is open: %s", reason)

    def _warn_if_old(self, opened: _Opened) -> None:
        age_s = (self._env.clock.now() - opened.built).total_seconds()
        if age_s > self._warn_after_s:
            self._warn_once(opened, "old", f"the database is of {opened.built:%Y-%m-%d}, {age_s / DAY_S:.0f} days old; renew it")

    def _warn_once(self, opened: _Opened, subject: str, text: str) -> None:
        if subject not in opened.said:
            opened.said.add(subject)
            self._env.log.warning("%s: %s", self._path, text)


def in_memory(file: BinaryIO) -> _Reader:
    """Returns a reader of a private copy of a file.

    The library would map the file itself, and a mapped file that is overwritten in place (``cp`` does so) ends the process with
    SIGBUS. The fast reader (13 µs a look-up, plain Python takes 130) insists on a path; Linux has one for memory.

    Raises:
        ConfigError: The library is not installed.
        RuntimeError, ValueError, …: The file is no database.
    """
    try:
        import maxminddb  # noqa: PLC0415 - in the extra `geoip`
    except ImportError as exc:
        raise ConfigError("geoip needs the extra `geoip`: pip install 'ualpipe[geoip]'") from exc
    if not hasattr(os, "memfd_create") or importlib.util.find_spec("maxminddb.extension") is None:
        return maxminddb.open_database(file, maxminddb.MODE_FD)
    with open(os.memfd_create("geoip"), "wb") as copy:  # noqa: PTH123 - a descriptor, not a path
        shutil.copyfileobj(file, copy)
        copy.flush()
        return maxminddb.open_database(f"/proc/self/fd/{copy.fileno()}", maxminddb.MODE_MMAP_EXT)
