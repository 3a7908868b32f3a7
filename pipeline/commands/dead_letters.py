"""``ualpipe dead-letters``: lists, shows, exports and retries what could not go on."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from ualpipe.pipeline._journal_file import JournalFile
from ualpipe.pipeline.clock import SystemClock, format_instant
from ualpipe.pipeline.commands import counted
from ualpipe.pipeline.config import load_config
from ualpipe.pipeline.dead_letters import DeadLetters, StoredLetter
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.runner import EXIT_FINE, EXIT_INCOMPLETE

_LIST_LIMIT = 1000


def run(args: argparse.Namespace) -> int:
    """Runs the command; ``retry`` gives 1 when something could not be sent again."""
    actions: dict[str, Callable[[argparse.Namespace, DeadLetters], int]] = {
        "list": _list,
        "show": _show,
        "export": _export,
        "retry": _retry,
    }
    config = load_config(args.config)
    file = JournalFile(config.state_dir, SystemClock(), exclusive=False)
    try:
        return actions[args.action](args, DeadLetters(file, config.version))
    finally:
        file.close()


def _found(args: argparse.Namespace, letters: DeadLetters) -> list[StoredLetter]:
    found = list(letters.find(args.ids, sink=args.sink, code=args.code))
    if missing := set(args.ids) - {stored.id for stored in found}:
        raise ConfigError(f"there is no dead letter {', '.join(map(str, sorted(missing)))} (see `ualpipe dead-letters list`)")
    return found


def _list(args: argparse.Namespace, letters: DeadLetters) -> int:
    found = _found(args, letters)
    for stored in found[:_LIST_LIMIT]:
        letter = stored.letter
        if args.json:
            print(json.dumps(_as_dict(stored)))
        else:
            time, where = format_instant(stored.noticed_at), letter.sink or letter.stage
            print(f"{stored.id}  {time}  {stored.source} {stored.stream}  {where}  {letter.code}  {letter.reason}")
    if not args.json:
        shown = f", the first {_LIST_LIMIT:,} are shown" if len(found) > _LIST_LIMIT else ""
        print(f"{counted(len(found), 'dead letter')}{shown}", file=sys.stderr)
    return EXIT_FINE


def _show(args: argparse.Namespace, letters: DeadLetters) -> int:
    for stored in _found(args, letters):
        for name, value in _as_dict(stored).items():
            print(f"{name + ':':12s} {value}")
        print(stored.letter.body.decode("utf-8", "backslashreplace") + "\n")
    return EXIT_FINE


def _export(args: argparse.Namespace, letters: DeadLetters) -> int:
    for stored in _found(args, letters):
        sys.stdout.buffer.write(b" ".join(stored.letter.body.splitlines()) + b"\n")
    return EXIT_FINE


def _retry(args: argparse.Namespace, letters: DeadLetters) -> int:
    if not (args.ids or args.all or args.sink or args.code):
        raise ConfigError("say which: ids, --sink, --code or --all")
    found = _found(args, letters)
    failed = [stored for stored in found if not letters.requeue(stored)]
    for stored in failed:
        print(f"{stored.id}: the service no longer has {stored.item}, and there are no bytes to send", file=sys.stderr)
    print(f"{len(found) - len(failed)} sent on their way: a running pipeline takes them within seconds, else the next run does")
    return EXIT_INCOMPLETE if failed else EXIT_FINE


def _as_dict(stored: StoredLetter) -> dict[str, Any]:
    letter = stored.letter
    return {
        "id": stored.id,
        "noticed_at": format_instant(stored.noticed_at),
        "source": stored.source,
        "tenant": stored.tenant,
        "stream": stored.stream,
        "item": stored.item,
        "stage": letter.stage,
        "sink": letter.sink,
        "code": letter.code,
        "reason": letter.reason,
        "pointer": letter.pointer,
        "attempts": letter.attempts,
        "config": stored.config,
        "bytes": len(letter.body),
    }
