"""Reads audit records from files: collections of other tools, exports of an audit search, archives."""

from __future__ import annotations

import errno
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from ualpipe.pipeline.errors import ContentGone, ContentRefused, SourceDenied, SourceError, SourceUnavailable
from ualpipe.pipeline.files import FileStamp, stamp
from ualpipe.pipeline.options import option
from ualpipe.pipeline.reading import Envelopes, chunks_of, first_defect, known_envelopes
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.stages import Env, Finding, Instant, Listed, WorkItem
from ualpipe.sources.files.byte_stream import READ_BYTES, fingerprint, read_listed

_GLOB = "*?["


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesConfig:
    """Options of the ``files`` source."""

    paths: list[Path] = option(
        "Files, folders (the files directly in them) or patterns such as `in/**/*.json`; relative ones start at the config's "
        "folder. Names do not matter: content tells JSON of any layout and CSV exports of an audit search apart, plain or "
        "compressed ([what is read](reading.md)). Hidden files in folders and patterns are left out, links are followed. A file "
        "that changes is read again as a whole, and records that were stored before are skipped; so write elsewhere and move "
        "files in when they are complete.",
        minItems=1,
        examples=[["./export/AuditLog_2026-11-20.csv", "./archive/**/*.json.gz"]],
    )
    envelopes: list[str] = option(
        "Where records stand in objects that are none themselves, besides the places that ualpipe knows "
        "([the list](reading.md#envelopes)): keys from the outside in, with dots. What is there may be the record, text that "
        "holds it as JSON, or a list. The last key is also looked for among the columns of CSV exports.",
        default=[],
        examples=[["payload.audit", "Export.Rows"]],
    )


class FilesSource:
    """Each configured path is a stream, each content of a file a work item: a file that changes becomes a new one."""

    Config: ClassVar[type] = FilesConfig
    tenant = ""

    def __init__(self, config: FilesConfig, env: Env) -> None:
        self._paths = {str(path): path for path in config.paths}
        self._own_envelopes = config.envelopes
        self._clock = env.clock
        self._known: dict[str, dict[Path, tuple[FileStamp, WorkItem]]] = {}

    def open(self) -> None:
        """Does nothing: files are opened one by one."""

    def close(self) -> None:
        """Does nothing."""

    def streams(self) -> Sequence[str]:
        return list(self._paths)

    def check(self) -> Iterable[Finding]:
        """Looks for the files, and reads the beginning of each."""
        for stream, path in self._paths.items():
            try:
                with _reading(path):
                    files = _files_at(path)
            except SourceError as exc:
                yield Finding("error", stream, str(exc), "correct `paths`, or the permissions")
                continue
            problems = [finding for file in files for finding in _problem_of(file, self._envelopes)]
            yield from problems
            if not files:
                yield Finding("warning", stream, "there are no files yet", "put files there, or correct `paths`")
            elif not problems:
                yield Finding("ok", stream, f"{len(files)} file{'s' if len(files) > 1 else ''}")

    def discover(self, stream: str, since: Instant | None) -> Iterator[WorkItem | Listed]:  # noqa: ARG002 - files have no order in time
        """Lists the files of a path. One that can't be read is reported after all others are listed."""
        until = self._clock.now()
        path = self._paths[stream]
        with _reading(path):
            files = _files_at(path)
        errors: list[SourceError] = []
        before, self._known[stream] = self._known.get(stream, {}), {}
        for file in files:
            try:
                yield self._item(stream, file, before)
            except FileNotFoundError:
                continue  # taken away since the folder was read
            except SourceError as exc:
                errors.append(exc)
        if errors:
            raise errors[0]
        yield Listed(until)

    def fetch(self, item: WorkItem) -> Iterator[Chunk]:
        """Reads the content that was listed, even when more was appended since."""
        path = Path(item.locator["path"])
        blocks = read_listed(path, int(item.locator["size"]), item.locator["digest"])
        with _reading(path):
            try:
                yield from chunks_of(blocks, self._envelopes)
            except ContentRefused as exc:
                deque(blocks, maxlen=0)  # says whether the file was changed meanwhile
                raise ContentRefused(f"{path}: {exc}", exc.body) from exc
            except FileNotFoundError as exc:
                if path.parent.is_dir():
                    raise ContentGone(f"{path}: taken away before it was read") from exc
                raise

    @property
    def _envelopes(self) -> Envelopes:
        return known_envelopes().with_paths(self._own_envelopes)

    def _item(self, stream: str, path: Path, before: dict[Path, tuple[FileStamp, WorkItem]]) -> WorkItem:
        """Makes the work item of a file; a file that looks unchanged is not read again."""
        with _reading(path, is_listing=True):
            status = path.stat()
            now = stamp(status)
            known = before.get(path)
            item = known[1] if known and known[0] == now else _new_item(stream, path, status.st_mtime)
        self._known[stream][path] = (now, item)
        return item


def _new_item(stream: str, path: Path, modified: float) -> WorkItem:
    try:
        str(path).encode()
    except UnicodeEncodeError as exc:
        raise SourceDenied(f"{str(path)!a}: the name is not UTF-8; rename the file") from exc
    size, digest = fingerprint(path)
    locator = {"path": str(path), "size": str(size), "digest": digest}
    return WorkItem(stream, f"{path}#{size}-{digest}", locator, datetime.fromtimestamp(modified, UTC))


def _files_at(path: Path) -> list[Path]:
    """Returns the files of a configured path, sorted.

    Raises:
        OSError: Nothing is there, and the path is no pattern; or the path can't be read.
    """
    if path.is_dir():
        return _shown_files(path, path.iterdir())
    if path.exists() or not any(mark in str(path) for mark in _GLOB):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "is no file")  # reading a pipe or a device may never end
        return [path]
    fixed = next(parent for parent in path.parents if not any(mark in str(parent) for mark in _GLOB))
    return _shown_files(fixed, fixed.glob(str(path.relative_to(fixed))))


def _shown_files(folder: Path, found: Iterable[Path]) -> list[Path]:
    return sorted(
        path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts) and path.is_file()
    )


def _problem_of(path: Path, envelopes: Envelopes) -> Iterator[Finding]:
    try:
        with _reading(path), path.open("rb") as file:
            defect = first_defect(iter(lambda: file.read(READ_BYTES), b""), envelopes)
    except SourceError as exc:
        defect = str(exc)
    if defect:
        yield Finding("error", str(path), defect, "take it away, or correct `paths`")


@contextmanager
def _reading(path: Path, *, is_listing: bool = False) -> Iterator[None]:
    """Turns errors of the file system into those of a source."""
    try:
        yield
    except FileNotFoundError as exc:
        if is_listing:
            raise
        raise SourceUnavailable(f"{path}: there is no such file or folder") from exc
    except PermissionError as exc:
        raise SourceDenied(f"{path}: may not be read ({exc.strerror}); give the pipeline's user the right to") from exc
    except OSError as exc:
        raise SourceUnavailable(f"{path}: can't be read: {exc.strerror or errno.errorcode.get(exc.errno or 0, exc)}") from exc
