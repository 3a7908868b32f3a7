"""Appends events to files, one JSON text a line."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.events import EncodedEvent
from ualpipe.pipeline.files import UnsafeFile, exposures, make_folder, open_ours
from ualpipe.pipeline.options import Size, option
from ualpipe.pipeline.stages import Batch, Env, Finding, SinkLimits
from ualpipe.sinks.disk import ADVICE, as_sink_error, look_at, reason_of
from ualpipe.sinks.encoding import encoded
from ualpipe.sinks.event_fields import instant_of, original_line
from ualpipe.sinks.file import names
from ualpipe.sinks.file.append_file import AppendFile, end_of
from ualpipe.sinks.file.gzip_members import member, members_end
from ualpipe.sinks.file.lines import lines_end
from ualpipe.sinks.outcome import raise_if_all_failed

MAX_OPEN_FILES = 16  # events of many days, as a back-fill brings them, would else use up the descriptors
MAX_SAID = 100  # warnings of one run, each of another file


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSinkConfig:
    """Options of the ``file`` sink."""

    path: Path = option(
        "File to append to. `%Y %m %d %H`, also `%j %G %V`, are pieces of the date in UTC; `%%` is a percent sign. Missing "
        "folders are made, readable by the owner only. A folder may be a symbolic link, the file not; a file that is there must "
        "be ours: of our user or root, and with JSON lines (or gzip data of ours) at its end.",
        pattern=rf"^(?:[^%]|{names.DATE_PIECES})+$",
        examples=["./out/audit-%Y-%m-%d.ndjson"],
    )
    dated_by: Literal["delivery", "event"] = option(
        "Date in the file name: that of writing, so that a past day's file never changes again, or the event's own "
        "(`@timestamp`), so that a day's events stand together however late they come.",
        default="delivery",
    )
    payload: Literal["ecs", "original"] = option("Content of a line: the ECS document, or the record as received.", default="ecs")
    rotate_size: Size | None = option(
        "File size at which the next file is begun: `audit.ndjson`, then `audit.1.ndjson`, and so on. Files keep their "
        "names, none "
        "is overwritten. A write is never split, so a file may be a little larger than one write.",
        default=None,
    )
    gzip: bool = option("Compresses files with gzip; `.gz` is appended to the name.", default=False)
    mode: str = option("Permissions of new files, octal, in quotes.", default="0600", pattern="^0[0-7]{3}$")


class FileSink:
    """Appends each event as a line of JSON (NDJSON).

    Events count as delivered when they are on the disk (``fsync``). When a file is opened after a crash, a torn last line or gzip
    member is cut off: what was not settled comes again. Files that were moved or deleted meanwhile are made anew. What is not
    ours (a link, another user's file, other content) is neither cut nor appended to: the sink pauses and says so.
    """

    Config = FileSinkConfig
    is_local = True  # `check` asks the disk alone
    limits = SinkLimits(max_events=10_000, max_bytes=8 * 1024 * 1024)

    def __init__(self, config: FileSinkConfig, env: Env) -> None:
        self._config = config
        self._clock = env.clock
        self._pattern = names.with_gzip_ending(str(config.path)) if config.gzip else str(config.path)
        self._mode = int(config.mode, 8)
        self._find_end = members_end if config.gzip else lines_end(any_text=config.payload == "original")
        self._log = env.log
        self._files: OrderedDict[Path, AppendFile] = OrderedDict()
        self._said: set[str] = set()

    def check(self) -> Iterable[Finding]:
        path = self._path(self._clock.now())
        try:
            folder = look_at(path.parent)
            return [folder] if folder.level == "error" else [folder, *self._look_at_newest(path)]
        except OSError as exc:
            return [Finding("error", f"folder {path.parent}", reason_of(exc), ADVICE)]

    def _look_at_newest(self, path: Path) -> Iterator[Finding]:
        """Yields what is wrong with the folder and the file that would be appended to now; nothing is changed."""
        for what, action in exposures(path.parent):
            yield Finding("warning", f"folder {path.parent}", what, action)
        newest = names.numbered(path, names.newest(path) if self._config.rotate_size else 0)
        if not os.path.lexists(newest):
            return
        try:
            with os.fdopen(open_ours(newest, os.O_RDONLY), "rb") as file:
                status = os.fstat(file.fileno())
                end_of(newest, file, self._find_end, 0, status.st_size)
        except OSError as exc:
            yield Finding("error", f"file {newest}", reason_of(exc), "" if isinstance(exc, UnsafeFile) else ADVICE)
            return
        if not os.access(newest, os.W_OK):
            yield Finding("error", f"file {newest}", "can't be written to", ADVICE)
        for what, action in _loose_modes(newest, status.st_mode, self._mode):
            yield Finding("warning", f"file {newest}", what, action)

    def open(self) -> None:
        folder = self._path(self._clock.now()).parent
        try:
            make_folder(folder)
        except OSError as exc:
            raise as_sink_error(exc, folder) from exc
        self._say(exposures(folder))

    def _say(self, found: Iterable[tuple[str, str]]) -> None:
        """Logs what was found, and what to do, unless that was said before."""
        for what, action in found:
            if what not in self._said and len(self._said) < MAX_SAID:
                self._said.add(what)
                self._log.warning("%s: %s", what, action)

    def write(self, batch: Batch) -> Mapping[int, SinkError]:
        lines, errors = encoded(batch.events, self._lines)
        for path, positions in self._by_file(batch.events, lines).items():
            try:
                self._append(path, self._encode([lines[at] for at in positions]))
            except SinkError as exc:
                errors |= dict.fromkeys(positions, exc)
        raise_if_all_failed(errors, len(batch.events))
        return errors

    def close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def _by_file(self, events: Sequence[EncodedEvent], wanted: Collection[int]) -> Mapping[Path, Sequence[int]]:
        """Returns which of the wanted events go to which file, in order."""
        now = self._clock.now()
        if self._config.dated_by == "delivery":
            return {self._path(now): list(wanted)} if wanted else {}
        groups: dict[Path, list[int]] = {}
        for at in wanted:
            groups.setdefault(self._path(instant_of(events[at]) or now), []).append(at)
        return groups

    def _path(self, instant: datetime) -> Path:
        return names.dated(self._pattern, names.hour_of(instant))

    def _lines(self, events: Sequence[EncodedEvent]) -> list[bytes]:
        return [event.encoded for event in events] if self._config.payload == "ecs" else [original_line(x) for x in events]

    def _encode(self, lines: Sequence[bytes]) -> bytes:
        data = b"\n".join([*lines, b""])
        return member(data) if self._config.gzip else data

    def _append(self, path: Path, data: bytes) -> None:
        try:
            self._file(path, len(data)).append(data)
        except OSError as exc:
            self._forget(path)
            raise as_sink_error(exc, path) from exc

    def _file(self, path: Path, size: int) -> AppendFile:
        """Returns an open file for a path, which has room and is in place, and marks it as the last used of all."""
        file = self._files.get(path)
        if file is None or not file.is_in_place():
            self._forget(path)
            file = self._opened(path)
        limit = self._config.rotate_size
        while limit and file.size and file.size + size > limit:
            self._forget(path)
            file = self._opened(path, after=file)
        self._files[path] = file
        self._files.move_to_end(path)
        while len(self._files) > MAX_OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return file

    def _opened(self, path: Path, after: AppendFile | None = None) -> AppendFile:
        """Opens the newest file of a path; the next one where ``after``, which is full, is the newest."""
        make_folder(path.parent)
        number = names.newest(path) if self._config.rotate_size else 0
        if after and after.path == names.numbered(path, number):
            number += 1
        file = AppendFile(names.numbered(path, number), self._mode, self._find_end)
        self._say(_loose_modes(file.path, file.mode, self._mode))
        return file

    def _forget(self, path: Path) -> None:
        if file := self._files.pop(path, None):
            file.close()


def _loose_modes(path: Path, found: int, wanted: int) -> Iterator[tuple[str, str]]:
    """Yields that others may do more with a file than the config wants, where they may, and what to do."""
    if stat.S_IMODE(found) & ~wanted:
        yield f"{path} has mode {stat.S_IMODE(found):04o}, and `mode` is {wanted:04o}", f"chmod {wanted:o} {path}"
