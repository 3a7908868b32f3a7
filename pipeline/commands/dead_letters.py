"""``ualpipe dead-letters``: lists, shows, exports, retries and discards what could not go on."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from typing import Any

from ualpipe.pipeline.clock import SystemClock, format_instant
from ualpipe.pipeline.commands._retry_preview import RetryPreviewer, obstacle
from ualpipe.pipeline.commands._retry_report import all_go_on, print_json, print_preview
from ualpipe.pipeline.config.loader import load_for_use
from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.journal.opening import open_changes, open_reader
from ualpipe.pipeline.journal.reading import JournalReader
from ualpipe.pipeline.journal.types import StoredDeadLetter
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.supervisor.stages import StageMaker
from ualpipe.pipeline.wording import counted, visible

_LIST_LIMIT = 1000


def run(args: argparse.Namespace) -> int:
    """Runs the command; ``retry`` gives 1 when something could not be sent again, or would fail again."""
    actions: dict[str, Callable[[argparse.Namespace, JournalReader, PipelineConfig], int]] = {
        "list": _list,
        "show": _show,
        "export": _export,
        "retry": _preview if getattr(args, "dry_run", False) else _retry,
        "discard": _discard,
    }
    config = load_for_use(args.config)
    with closing(open_reader(config, SystemClock())) as reader:
        return actions[args.action](args, reader, config)


def _found(args: argparse.Namespace, reader: JournalReader) -> list[StoredDeadLetter]:
    found = list(reader.dead_letters(args.ids, sink=args.sink, code=args.code))
    if missing := set(args.ids) - {stored.id for stored in found}:
        raise ConfigError(f"there is no dead letter {', '.join(map(str, sorted(missing)))} (see `ualpipe dead-letters list`)")
    return found


def _chosen(args: argparse.Namespace, reader: JournalReader) -> list[StoredDeadLetter]:
    """Returns the dead letters that an action is to change; all of them only when asked for."""
    if not (args.ids or args.all or args.sink or args.code):
        raise ConfigError("say which: ids, --sink, --code or --all")
    return _found(args, reader)


def _list(args: argparse.Namespace, reader: JournalReader, config: PipelineConfig) -> int:
    found = _found(args, reader)
    for stored in found[:_LIST_LIMIT]:
        dead = stored.dead_letter
        if args.json:
            print(json.dumps(_as_dict(stored)))
        else:
            time, where = format_instant(stored.noticed_at), dead.sink or dead.stage
            made = f"{counted(dead.attempts, 'attempt')}, {_config_of(stored, config)}"
            text = f"{stored.id}  {time}  {stored.source} {stored.stream}  {where}  {dead.code}  {dead.reason}  ({made})"
            print(visible(text))
    if not args.json:
        shown = f", the first {_LIST_LIMIT:,} are shown" if len(found) > _LIST_LIMIT else ""
        print(f"{counted(len(found), 'dead letter')}{shown}", file=sys.stderr)
    return EXIT_FINE


def _show(args: argparse.Namespace, reader: JournalReader, config: PipelineConfig) -> int:
    for stored in _found(args, reader):
        shown = _as_dict(stored) | {"config": _config_of(stored, config).removeprefix("config ")}
        for name, value in shown.items():
            print(f"{name + ':':12s} {visible(str(value))}")
        if stored.dead_letter.trace:
            print(f"{_inset(stored.dead_letter.trace.rstrip())}\n")
        print(f"{_inset(stored.dead_letter.body.decode('utf-8', 'backslashreplace'))}\n")
    return EXIT_FINE


def _inset(text: str) -> str:
    """Returns text of several lines, none of which can pass for one of ours."""
    return textwrap.indent(visible(text, keeps_lines=True), "  ")


def _export(args: argparse.Namespace, reader: JournalReader, _config: PipelineConfig) -> int:
    for stored in _found(args, reader):
        sys.stdout.buffer.write(b" ".join(stored.dead_letter.body.splitlines()) + b"\n")
    return EXIT_FINE


def _preview(args: argparse.Namespace, reader: JournalReader, config: PipelineConfig) -> int:
    log.set_up("warning", config.secrets)
    transforms = StageMaker.for_command(config).open_transforms()
    previewer = RetryPreviewer(config, reader, [transform.apply for transform in transforms])
    previews = [previewer.preview(stored) for stored in _chosen(args, reader)]
    (print_json if args.json else print_preview)(previews, config.version)
    return EXIT_FINE if all_go_on(previews) else EXIT_INCOMPLETE


def _retry(args: argparse.Namespace, reader: JournalReader, config: PipelineConfig) -> int:
    if args.json:
        raise ConfigError("--json goes with --dry-run")
    found = _chosen(args, reader)
    failed = 0
    with closing(open_changes(config, SystemClock())) as changes:
        for stored in found:
            if (reason := obstacle(stored, config, reader)) or not changes.requeue(stored):
                print(visible(f"{stored.id}: {reason}"), file=sys.stderr)
                failed += 1
    print(f"{len(found) - failed} sent on their way: a running pipeline takes them within seconds, else the next run does")
    return EXIT_INCOMPLETE if failed else EXIT_FINE


def _discard(args: argparse.Namespace, reader: JournalReader, config: PipelineConfig) -> int:
    found = _chosen(args, reader)
    with closing(open_changes(config, SystemClock())) as changes:
        for stored in found:
            changes.discard(stored)
    print(f"{counted(len(found), 'dead letter')} discarded")
    return EXIT_FINE


def _config_of(stored: StoredDeadLetter, config: PipelineConfig) -> str:
    return f"config {stored.config}{' (as of now)' if stored.config == config.version else ''}"


def _as_dict(stored: StoredDeadLetter) -> dict[str, Any]:
    dead = stored.dead_letter
    return {
        "id": stored.id,
        "noticed_at": format_instant(stored.noticed_at),
        "source": stored.source,
        "tenant": stored.tenant,
        "stream": stored.stream,
        "item": stored.item,
        "stage": dead.stage,
        "sink": dead.sink,
        "code": dead.code,
        "reason": dead.reason,
        "pointer": dead.pointer,
        "attempts": dead.attempts,
        "config": stored.config,
        "bytes": len(dead.body),
    }
