"""Which period an archive covers: what pipelines wrote beside their events, a file each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import orjson

from ualpipe.pipeline.clock import format_instant
from ualpipe.pipeline.files import make_folder, replace_file
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.stages import Gap, Instant, StreamCoverage
from ualpipe.sinks.archive import layout
from ualpipe.sinks.event_fields import parse_instant

MOST_BYTES = 4 * 1024 * 1024
"""Of a file: that of ten thousand streams."""
_NAMES = re.compile(r"[^./][^/]{0,250}\.json").fullmatch
_LONGEST_NAME = 200
_UNNAMED = "pipeline"


class BadCoverage(ValueError):
    """A file of coverage does not hold what it should; the message says what is wrong."""


def write_coverage(root: Path, pipeline: str, streams: Sequence[StreamCoverage], now: Instant) -> None:
    """Writes how far the streams of a pipeline have come, in the place of what it said before.

    Raises:
        OSError: The disk refuses it.
    """
    folder = root / layout.COVERAGE
    make_folder(folder)
    said = {"format": 1, "pipeline": pipeline, "said_at": format_instant(now), "streams": [_written(one) for one in streams]}
    name = quote(pipeline or _UNNAMED, safe=" -_")[:_LONGEST_NAME]
    replace_file(folder / f"{name}.json", orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _written(stream: StreamCoverage) -> dict[str, Any]:
    return {
        "source": stream.source,
        "tenant": stream.tenant,
        "stream": stream.stream,
        "begin": _text(stream.begin),
        "until": _text(stream.until),
        "fetching": stream.fetching,
        "delivering": stream.delivering,
        "dead": stream.dead,
        "waiting_since": _text(stream.waiting_since),
        "gaps": [{"start": _text(gap.start), "end": _text(gap.end), "reason": gap.reason} for gap in stream.gaps],
    }


def _text(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def read_coverage(
    root: Path, note_damage: Callable[[Path, str], None] | None = None
) -> tuple[Sequence[StreamCoverage], Mapping[str, Instant]]:
    """Returns what each pipeline said last, and when it did.

    Args:
        root: Folder of the archive.
        note_damage: Told of each file that can't be read, and why: what it says is missing then.
    """
    streams: list[StreamCoverage] = []
    said_at: dict[str, Instant] = {}
    for path in _files(root / layout.COVERAGE):
        try:
            pipeline, instant, found = parse_coverage(_bounded(path), path.stem)
        except (OSError, BadCoverage) as exc:
            if note_damage is not None:
                note_damage(path, str(exc))
            continue
        streams += found
        said_at[pipeline] = instant
    return streams, said_at


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _NAMES(path.name) and path.is_file())
    except OSError:
        return []


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def parse_coverage(content: bytes, name: str = "") -> tuple[str, Instant, list[StreamCoverage]]:
    """Returns what a file of coverage says: the pipeline, when it said so, and its streams.

    Args:
        content: Of the file.
        name: Of the file, for a pipeline that has none.

    Raises:
        BadCoverage: It is no such file.
    """
    try:
        said = read_object(content, most_bytes=MOST_BYTES)
    except UnreadableJson as exc:
        raise BadCoverage(str(exc)) from None
    streams = said.get("streams")
    if said.get("format") != 1 or type(streams) is not list:
        raise BadCoverage("no coverage of format 1: `format` or `streams` is missing or another")
    found = [_read(_object(one)) for one in streams]
    return _word(said, "pipeline") or unquote(name), _instant(said, "said_at"), found


def _read(one: Mapping[str, Any]) -> StreamCoverage:
    gaps = one.get("gaps", [])
    if type(gaps) is not list:
        raise BadCoverage("`gaps` is no list")
    return StreamCoverage(
        source=_word(one, "source"),
        tenant=_word(one, "tenant"),
        stream=_word(one, "stream"),
        begin=_optional(one, "begin"),
        until=_optional(one, "until"),
        fetching=_count(one, "fetching"),
        delivering=_count(one, "delivering"),
        dead=_count(one, "dead"),
        waiting_since=_optional(one, "waiting_since"),
        gaps=tuple(Gap(_instant(gap, "start"), _instant(gap, "end"), _word(gap, "reason")) for gap in map(_object, gaps)),
    )


def _object(value: Any) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise BadCoverage("an object was expected, and is none")
    return value


def _word(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if type(value) is not str:
        raise BadCoverage(f"`{name}` is no text")
    return value


def _count(holder: Mapping[str, Any], name: str) -> int:
    value = holder.get(name)
    if type(value) is not int or value < 0:
        raise BadCoverage(f"`{name}` is no count")
    return value


def _optional(holder: Mapping[str, Any], name: str) -> datetime | None:
    return None if holder.get(name) is None else _instant(holder, name)


def _instant(holder: Mapping[str, Any], name: str) -> datetime:
    found = parse_instant(_word(holder, name))
    if found is None:
        raise BadCoverage(f"`{name}` is no instant")
    return found
