"""Reads audit records from files: collections of other tools, exports of an audit search, archives."""

from __future__ import annotations

import errno
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
from ualpipe.pipeline.wording import counted
from ualpipe.sources.files.byte_stream import READ_BYTES, fingerprint, read_listed
from ualpipe.sources.files.walk import Found, files_at, told

MAX_TOLD = 10_000
"""Things that were left out and named in the log; further ones are not remembered, and so not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesConfig:
    """Options of the ``files`` source."""

    paths: list[Path] = option(
        "Files, folders (the files directly in them) or patterns such as `in/**/*.json`; relative ones start at the config's "
        "folder. Names do not matter: content tells JSON of any layout and CSV exports of an audit search apart, plain or "
        "compressed ([what is read](reading.md)). Hidden files in folders and patterns are left out, links are followed; "
        "the log says once what was left out. A file "
        "that changes is read again as a whole, and records that were stored before are skipped; so write elsewhere and move "
        "files in when they are complete.",
        minItems=1,
        examples=[["./export/AuditLog_2026-11-20.csv", "./archive/**/*.json.gz"]],
    )
    envelopes: list[str] = option(
        "Paths to records inside other JSON objects, in addition to the envelopes that ualpipe knows "
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
        self._log = env.log
        self._told: set[tuple[Path, str]] = set()
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
                    found = files_at(path)
            except SourceError as exc:
                yield Finding("error", stream, str(exc), "correct `paths`, or the permissions")
                continue
            problems = [finding for file in found.files for finding in _problem_of(file, self._envelopes)]
            yield from problems
            if not found.files:
                yield Finding("warning", stream, "there are no files yet", "put files there, or correct `paths`")
            elif not problems:
                yield Finding("ok", stream, counted(len(found.files), "file"))
            if left_out := told(found.left_out.items(), found.uncounted):
                yield Finding("ok", stream, f"left out: {left_out}")

    def discover(self, stream: str, since: Instant | None) -> Iterator[WorkItem | Listed]:  # noqa: ARG002 - files have no order in time
        """Lists the files of a path. One that can't be read is reported after all others are listed."""
        until = self._clock.now()
        path = self._paths[stream]
        with _reading(path):
            found = files_at(path)
        self._tell(stream, found)
        errors: list[SourceError] = []
        before, self._known[stream] = self._known.get(stream, {}), {}
        for file in found.files:
            try:
                yield self._item(stream, file, before)
            except FileNotFoundError:
                continue  # taken away since the folder was read
            except SourceError as exc:
                errors.append(exc)
        if errors:
            raise type(errors[0])(f"{errors[0]}{f' (and {len(errors) - 1:,} more)' if len(errors) > 1 else ''}") from errors[0]
        yield Listed(until)

    def fetch(self, item: WorkItem) -> Iterator[Chunk]:
        """Reads the content that was listed, even when more was appended since."""
        path = Path(item.locator["path"])
        blocks = read_listed(path, int(item.locator["size"]), item.locator["digest"])
        with _reading(path):
            try:
                is_blank = True
                for chunk in chunks_of(blocks, self._envelopes):
                    is_blank = False
                    yield chunk
                if is_blank and item.locator["size"] != "0":  # that one is empty was said when it was listed
                    self._log.info("%s holds no record: it is blank", path)
            except ContentRefused as exc:
                deque(blocks, maxlen=0)  # says whether the file was changed meanwhile
                raise ContentRefused(f"{path}: {exc}", exc.body) from exc
            except FileNotFoundError as exc:
                if path.parent.is_dir():
                    raise ContentGone(f"{path}: taken away before it was read") from exc
                raise

    def _tell(self, stream: str, found: Found) -> None:
        """Names in the log what is left out at a path, each thing once."""
        new = [one for one in found.left_out.items() if one not in self._told]
        new = new[: MAX_TOLD - len(self._told)]
        self._told.update(new)
        if new:
            self._log.info("left out: %s", told(new, found.uncounted), extra={"stream": stream})

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
