"""The command line: parses arguments, imports the one command that is asked for, turns errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ualpipe.pipeline.errors import ConfigError, JournalError, PipelineError
from ualpipe.pipeline.observe import hooks
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.runtime import core_dumps
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_USAGE

Parsers = Callable[..., argparse.ArgumentParser]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0 fine, 1 incomplete, 2 wrong config or usage, 3 refused for good."""
    if argv is None:
        code = main(sys.argv[1:])
        _leave_threads_behind(code)
        return code
    arguments = list(argv)
    args = _parser(arguments[:1] == ["tenant"]).parse_args(arguments)
    hooks.install()
    core_dumps.switch_off()
    try:
        return int(importlib.import_module(args.module).run(args))
    except PipelineError as exc:
        from ualpipe.pipeline.wording import visible  # noqa: PLC0415 - `--help` has no time for what it brings

        print(visible(blanked(str(exc)), keeps_lines=True), file=sys.stderr)
        return EXIT_USAGE if isinstance(exc, ConfigError | JournalError) else EXIT_INCOMPLETE
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FINE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - a bug: what Python would print may hold what must not be seen
        print(f"ualpipe {hooks.unexpected(exc)}", file=sys.stderr)
        return EXIT_INCOMPLETE


def _leave_threads_behind(code: int) -> None:
    """Ends the process where threads are left that wait for another system: they would hold up its end, or die in it noisily."""
    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _parser(is_tenant: bool) -> argparse.ArgumentParser:  # noqa: FBT001 - see _add_tools
    parser = argparse.ArgumentParser(
        prog="ualpipe",
        description="Forwards Microsoft 365 audit records to SIEMs as ECS documents, and can show that nothing was lost.",
        epilog="Exit codes: 0 fine, 1 something is dead-lettered or could not be mapped, or a gap opened, 2 wrong config or "
        "usage, 3 refused for good.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which release this is")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _add_pipeline_commands(commands.add_parser)
    _add_dead_letters(commands.add_parser)
    _add_reconcile(commands.add_parser)
    _add_journal_commands(commands.add_parser)
    _add_tools(commands.add_parser, is_tenant=is_tenant)
    return parser


class _Version(argparse.Action):
    """Says the version, which is looked up only then: other commands start faster without."""

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> None:
        print("ualpipe", importlib.import_module("importlib.metadata").version("ualpipe"))
        parser.exit()


def _command(add: Parsers, name: str, text: str, module: str) -> argparse.ArgumentParser:
    parser = add(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(module=module)
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="pipeline file (YAML)")


def _logging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--no-progress", action="store_true", help="log lines instead of the live view, on a terminal too")


def _add_pipeline_commands(add: Parsers) -> None:
    run = _command(add, "run", "run a pipeline until it is stopped", "ualpipe.pipeline.commands.run")
    _config(run)
    run.add_argument("--once", action="store_true", help="end when every listed item is settled or has failed a few times")
    _logging(run)

    check = _command(add, "check", "check a pipeline file", "ualpipe.pipeline.commands.check")
    _config(check)
    check.add_argument("--live", action="store_true", help="also test login, permissions and each destination; sends no events")

    map_ = _command(add, "map", "map records on stdin to documents on stdout", "ualpipe.pipeline.commands.map")
    map_.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="whose transforms; validate and ecs without it")

    _add_mapping_commands(add)

    status = _command(add, "status", "show what was fetched, delivered and set aside", "ualpipe.pipeline.commands.status")
    _config(status)
    status.add_argument("--json", action="store_true", help="for programs")


def _add_mapping_commands(add: Parsers) -> None:
    explain = _command(add, "explain", "say which rule made which field of a record", "ualpipe.pipeline.commands.explain")
    explain.add_argument("record", metavar="RECORD_FILE", help="a record, an array of them, or one a line; - for stdin")
    explain.add_argument("--config", type=Path, metavar="CONFIG", help="whose transforms; validate and ecs without it")
    which = explain.add_mutually_exclusive_group()
    which.add_argument("--id", metavar="ID", help="the record with this Id; the first without it")
    which.add_argument("--line", type=int, metavar="N", help="the record on this line, or at this place in an array")
    explain.add_argument(
        "--field", action="append", default=[], metavar="FIELD", help="only this field, with every rule that was tried for it"
    )
    explain.add_argument("--json", action="store_true", help="for programs")

    test = _command(add, "test", "check documents against the ones you expect", "ualpipe.pipeline.commands.test")
    test.add_argument(
        "cases", type=Path, metavar="CASES", help="file of cases, or folder of NAME.record.json, NAME.document.json"
    )
    whose = test.add_mutually_exclusive_group()
    whose.add_argument("--config", type=Path, metavar="CONFIG", help="whose transforms; validate and ecs without it")
    whose.add_argument(
        "--mapping", type=Path, action="append", default=[], metavar="FILE", help="mapping file of yours; may be repeated"
    )
    test.add_argument("--update", action="store_true", help="overwrite expected values in CASES with the actual ones")
    test.add_argument("--all-rows", action="store_true", help="name the rows of ours that no case reaches, too")
    test.add_argument("--json", action="store_true", help="for programs")


def _add_dead_letters(add: Parsers) -> None:
    parser = _command(add, "dead-letters", "look at what could not go on", "ualpipe.pipeline.commands.dead_letters")
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    for name, text in (
        ("list", "list them, a line each"),
        ("show", "show some in full"),
        ("retry", "send them on their way again"),
        ("export", "write the original records to stdout, one a line"),
        ("discard", "let go of their bytes for good; that they were there stays in the journal"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        _config(action)
        action.add_argument("ids", type=int, nargs="*", metavar="ID", help="only these (right behind CONFIG)")
        action.add_argument("--sink", help="only what this sink refused")
        action.add_argument("--code", help="only this kind of error (SchemaMismatch)")
        if name in ("list", "retry"):
            for_programs = "for programs" if name == "list" else "with --dry-run: for programs"
            action.add_argument("--json", action="store_true", help=for_programs)
        if name in ("retry", "discard"):
            action.add_argument("--all", action="store_true", help="all of them")
        if name == "retry":
            action.add_argument(
                "--dry-run", action="store_true", help="send nothing; say what today's transforms would make of them, and why"
            )


def _add_reconcile(add: Parsers) -> None:
    reconcile = _command(
        add, "reconcile", "list again, compare with the journal, fetch what is missing", "ualpipe.pipeline.commands.reconcile"
    )
    _config(reconcile)
    reconcile.add_argument(
        "--since", default="7d", metavar="TIME", help="how far back: 7d, the default, or 2026-11-20T08:00Z (UTC)"
    )
    reconcile.add_argument("--dry-run", action="store_true", help="only compare; also beside a running pipeline")
    reconcile.add_argument("--hours", action="store_true", help="a row for every hour, also where nothing is missing")
    reconcile.add_argument("--json", action="store_true", help="for programs: every hour, and each item that is missing")
    _logging(reconcile)


def _add_journal_commands(add: Parsers) -> None:
    replay = _command(
        add, "replay", "send stored records to a sink once more, through today's transforms", "ualpipe.pipeline.commands.replay"
    )
    _config(replay)
    replay.add_argument("--sink", required=True, metavar="NAME", help="where to; an old or a new sink of CONFIG")
    replay.add_argument("--since", metavar="TIME", help="received at or after: 2026-11-20T08:00:00Z (UTC), or 7d for 7 days ago")
    replay.add_argument("--until", metavar="TIME", help="received before")
    replay.add_argument("--source", metavar="NAME", help="only records of this source")
    replay.add_argument("--dry-run", action="store_true", help="only say how many would go")
    _logging(replay)
    backup = _command(
        add, "backup", "copy the journal, also while a pipeline runs, and check the copy", "ualpipe.pipeline.commands.backup"
    )
    _config(backup)
    backup.add_argument("to", type=Path, metavar="TO_FILE", help="the copy; nothing is overwritten")


def _add_tools(add: Parsers, *, is_tenant: bool) -> None:
    plugins = _command(add, "plugins", "list the stages that are installed", "ualpipe.pipeline.commands.plugins")
    plugins.add_argument("--json", action="store_true", help="for programs")
    schema = _command(add, "schema", "print the JSON Schema of pipeline files, for editors", "ualpipe.pipeline.commands.schema")
    form = schema.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="the config reference, for people")
    form.add_argument("--fields", action="store_true", help="what becomes of the fields of records, for people")
    sentinel = _command(add, "sentinel", "print what Microsoft Sentinel needs for the sink", "ualpipe.pipeline.commands.sentinel")
    actions = sentinel.add_subparsers(required=True, metavar="ACTION", dest="action")
    text = "print a template of table, data collection rule and role, or functions for queries"
    template = actions.add_parser("template", help=text, description=text)
    template.add_argument("--profile", default="office_activity", choices=("office_activity", "asim", "raw"))
    template.add_argument("--format", default="arm", choices=("arm", "bicep", "kql"))
    tenant = _command(add, "tenant", "serve a simulated Microsoft 365 tenant on loopback", "ualpipe.simulator.cli")
    if is_tenant:  # its options need the module; other commands start faster without
        importlib.import_module("ualpipe.simulator.cli").add_arguments(tenant)
    demo = _command(add, "demo", "run the main job on a simulated tenant and show what arrived", "ualpipe.simulator.demo")
    demo.add_argument("--keep", type=Path, metavar="DIR", help="keep config, journal and output in this folder")


if __name__ == "__main__":
    sys.exit(main())
