"""What the journal must say when all is over: it explains every blob that was served, and every record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from chaos.crash_scene import Scene
from fakes import change, rows
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.journal.sqlite.file import FILE_NAME
from ualpipe.pipeline.journal.sqlite.reader import SqliteJournalReader
from ualpipe.pipeline.journal.status import Status

_ID = re.compile(r'"Id":\s*"([^"]+)"')


def unexplained(state_dir: Path, scene: Scene, sinks: Sequence[str], *, is_pruned: bool = False) -> list[str]:
    """Returns what the journal of a finished run does not explain; nothing where all is well.

    Args:
        state_dir: Of the journal.
        scene: What was served.
        sinks: Names of the sinks.
        is_pruned: Settled batches were removed meanwhile, so the sums of sinks are lower.
    """
    aside = set_aside(state_dir, scene)
    status = _status(state_dir, sinks)
    complaints = [*_of_items(state_dir, scene), *_of_status(status, scene, aside), *_of_letters(state_dir, scene)]
    return complaints + ([] if is_pruned else _of_batches(state_dir, scene, aside))


def set_aside(state_dir: Path, scene: Scene) -> frozenset[str]:
    """Returns the records that stand in dead letters of whole items: those behind the place where a body broke off."""
    with closing(SqliteJournalReader(state_dir, SystemClock())) as reader:
        bodies = [stored.dead_letter.body.decode() for stored in reader.dead_letters(code="ContentUndecodable")]
    return frozenset(found for body in bodies for found in _ID.findall(body)) & scene.ids


def left(state_dir: Path, sinks: Sequence[str]) -> int:
    """Returns how many items are to be fetched and records to be delivered yet; -1 where there is no journal."""
    if not (state_dir / FILE_NAME).exists():
        return -1
    status = _status(state_dir, sinks)
    if not status.streams:
        return -1
    return sum(stream.waiting for stream in status.streams) + sum(sink.backlog for sink in status.sinks)


def end_pauses(state_dir: Path) -> None:
    """Makes items that failed in runs that were killed due at once, as if the pauses before their next attempts were over."""
    if (state_dir / FILE_NAME).exists():
        change(state_dir, "UPDATE item SET attempts = 0, next_attempt = 0 WHERE state = 'listed'")


def forgotten(state_dir: Path) -> int:
    """Returns how many work items the ledger has forgotten, and only knows the sums of."""
    return int(rows(state_dir, "SELECT coalesce(sum(fetched), 0) FROM item_past")[0][0])


def _status(state_dir: Path, sinks: Sequence[str]) -> Status:
    with closing(SqliteJournalReader(state_dir, SystemClock())) as reader:
        return reader.status(sinks)


def _of_items(state_dir: Path, scene: Scene) -> list[str]:
    """Each blob stands in the ledger, once, as what became of it."""
    found = rows(state_dir, "SELECT stream, key, state FROM item WHERE state != 'notice'")
    states = {(stream, key): state for stream, key, state in found}
    wanted = {blob: "dead" if blob[1] in scene.no_json else "fetched" for blob in scene.listed}
    return [f"ledger: {blob}: {states.get(blob)}, not {state}" for blob, state in wanted.items() if states.get(blob) != state] + [
        f"ledger: {blob} was never served" for blob in states.keys() - wanted.keys()
    ]


def _of_status(status: Status, scene: Scene, aside: frozenset[str]) -> list[str]:
    pending = {stream.stream: stream.waiting for stream in status.streams if stream.waiting}
    behind = {sink.sink: sink.backlog for sink in status.sinks if sink.backlog}
    wanted = {"ContentUndecodable": len(scene.no_json | scene.cut_off), "SinkRejected": len(scene.oversized - aside)}
    return [
        *([f"status: still to be fetched: {pending}"] if pending else []),
        *([f"status: still to be delivered: {behind}"] if behind else []),
        *_of_flaws(status, scene, aside),
        *([f"status: dead letters {status.dead_letters}, not {wanted}"] if status.dead_letters != wanted else []),
    ]


def _of_flaws(status: Status, scene: Scene, aside: frozenset[str]) -> list[str]:
    """Each flawed record is counted once, and once at each sink that has it."""
    sinks = [sink.sink for sink in status.sinks]
    found = {sink: sum(flaw.sinks.get(sink, 0) for flaw in status.flaws) for sink in sinks}
    found["(all)"] = sum(flaw.records for flaw in status.flaws)
    wanted = {sink: len(scene.flawed & scene.wanted(sink, aside)) for sink in sinks} | {"(all)": len(scene.flawed - aside)}
    return [] if found == wanted else [f"status: flawed records {found}, not {wanted}"]


def _of_letters(state_dir: Path, scene: Scene) -> list[str]:
    items = {key for (key,) in rows(state_dir, "SELECT item FROM dead_letter WHERE state = 'dead' AND stage = 'fetch'")}
    return [] if items == scene.no_json | scene.cut_off else [f"dead letters of items: {items}"]


def _of_batches(state_dir: Path, scene: Scene, aside: frozenset[str]) -> list[str]:
    """Every record is in one batch, a duplicate or not, and every sink has accounted for every batch, once."""
    stored = "SELECT coalesce(sum(b.records - length(b.duplicates) / 4), 0) FROM batch b JOIN item i ON i.id = b.item"
    (fresh,) = rows(state_dir, f"{stored} WHERE b.ready AND b.only_sink IS NULL AND i.state != 'notice'")[0]
    wanted = len(scene.ids - aside)
    complaints = [] if fresh == wanted else [f"journal: {fresh} records, {wanted} were served"]
    unready: int = rows(state_dir, "SELECT count(*) FROM batch WHERE NOT ready")[0][0]
    complaints += [f"journal: {unready} chunks of items that were never finished"] if unready else []
    miscounted: list[Any] = rows(
        state_dir,
        "SELECT s.sink, b.id, b.records - length(b.duplicates) / 4, s.delivered, s.filtered, s.dead"
        " FROM batch b JOIN settlement s ON s.batch = b.id"
        " WHERE s.delivered + s.filtered + s.dead != b.records - length(b.duplicates) / 4",
    )
    return complaints + [f"settlement: {row}" for row in miscounted]
