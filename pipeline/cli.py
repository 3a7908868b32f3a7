"""The command line: parses arguments, imports the one command that is asked for, turns errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ualpipe.pipeline.commands._store_arguments import add_mailbox_audit, add_report, add_search
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
        epilog="Exit codes: 0 fine, 1 something is dead-lettered, could not be mapped or stands still, or a gap opened, 2 wrong "
        "config or usage, 3 refused for good.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which release this is")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _add_pipeline_commands(commands.add_parser)
    _add_dead_letters(commands.add_parser)
    add_mailbox_audit(partial(_command, commands.add_parser))
    _add_reconcile(commands.add_parser)
    add_search(partial(_command, commands.add_parser))
    add_report(partial(_command, commands.add_parser))
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
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="least severe lines to log (default info)",
    )
    parser.add_argument("--no-progress", action="store_true", help="log lines in place of the live view on a terminal")


_WHOSE_TRANSFORMS = "pipeline file whose transforms are used; without it, validate and ecs with their defaults"


def _add_pipeline_commands(add: Parsers) -> None:
    run = _command(add, "run", "run a pipeline until it is stopped", "ualpipe.pipeline.commands.run")
    _config(run)
    run.add_argument("--once", action="store_true", help="end when everything listed is delivered, or has failed several times")
    _logging(run)

    check = _command(add, "check", "check a pipeline file and the files it names", "ualpipe.pipeline.commands.check")
    _config(check)
    check.add_argument("--live", action="store_true", help="also test login, permissions and each destination; send no events")

    map_ = _command(add, "map", "map audit records on stdin to ECS documents on stdout", "ualpipe.pipeline.commands.map")
    map_.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help=_WHOSE_TRANSFORMS)

    _add_explain(add)
    _add_test(add)

    status = _command(
        add, "status", "show what was fetched, delivered, dead-lettered and missed", "ualpipe.pipeline.commands.status"
    )
    _config(status)
    status.add_argument("--problems", action="store_true", help="only what is wrong, a line each, and what to do about it")
    status.add_argument("--streams", action="store_true", help="a row for every stream, also where there are many")
    status.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_explain(add: Parsers) -> None:
    explain = _command(
        add, "explain", "say which mapping rule filled which field of a document", "ualpipe.pipeline.commands.explain"
    )
    explain.add_argument(
        "record", metavar="RECORD_FILE", help="file with a record, an array of records, or one record a line; - for stdin"
    )
    explain.add_argument("--config", type=Path, metavar="CONFIG", help=_WHOSE_TRANSFORMS)
    which = explain.add_mutually_exclusive_group()
    which.add_argument("--id", metavar="ID", help="explain the record with this Id (default: the first record)")
    which.add_argument(
        "--line", type=int, metavar="N", help="explain the record on this line, or at this position of an array; counts from 1"
    )
    explain.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="FIELD",
        help="show this field only, with every rule that was tried for it; may be repeated",
    )
    explain.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_test(add: Parsers) -> None:
    test = _command(add, "test", "compare the documents of test records with expected ones", "ualpipe.pipeline.commands.test")
    test.add_argument(
        "cases",
        type=Path,
        metavar="CASES",
        help="file of test cases, or folder with pairs NAME.record.json and NAME.document.json",
    )
    whose = test.add_mutually_exclusive_group()
    whose.add_argument("--config", type=Path, metavar="CONFIG", help=_WHOSE_TRANSFORMS)
    whose.add_argument(
        "--mapping",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="mapping file that adds to the shipped one; may be repeated",
    )
    test.add_argument("--update", action="store_true", help="overwrite expected values in CASES with the actual ones")
    test.add_argument("--all-rows", action="store_true", help="also list the rows of the shipped mapping that no case covers")
    test.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_dead_letters(add: Parsers) -> None:
    parser = _command(
        add, "dead-letters", "list, show, retry, export or discard dead letters", "ualpipe.pipeline.commands.dead_letters"
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    for name, text in (
        ("list", "list dead letters, one a line"),
        ("show", "show dead letters in full"),
        ("retry", "process and deliver dead letters again"),
        ("export", "write the original records of dead letters to stdout, one a line"),
        ("discard", "delete the bytes of dead letters for good; the journal keeps that they existed"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        _config(action)
        action.add_argument(
            "ids",
            type=int,
            nargs="*",
            metavar="ID",
            help="number of a dead letter, as `list` shows it; must follow CONFIG directly",
        )
        action.add_argument("--sink", help="dead letters of this sink only")
        action.add_argument("--code", help="dead letters with this error code only (SchemaMismatch)")
        if name in ("list", "retry"):
            for_programs = "print JSON, for programs" if name == "list" else "with --dry-run: print JSON, for programs"
            action.add_argument("--json", action="store_true", help=for_programs)
        if name in ("retry", "discard"):
            action.add_argument("--all", action="store_true", help="all dead letters that the other options select")
        if name == "retry":
            action.add_argument(
                "--dry-run",
                action="store_true",
                help="send nothing; say which dead letters would pass the present transforms, and why others would not",
            )


def _add_reconcile(add: Parsers) -> None:
    reconcile = _command(
        add,
        "reconcile",
        "list content again, compare it with the journal, fetch what is missing",
        "ualpipe.pipeline.commands.reconcile",
    )
    _config(reconcile)
    reconcile.add_argument(
        "--since",
        default="7d",
        metavar="TIME",
        help="start of the period: 7d for 7 days ago (default), or 2026-11-20T08:00Z (UTC)",
    )
    reconcile.add_argument("--dry-run", action="store_true", help="compare only, fetch nothing; works while a pipeline runs")
    reconcile.add_argument(
        "--hours", action="store_true", help="print a row for every hour, not only for those with something missing"
    )
    reconcile.add_argument("--json", action="store_true", help="print JSON, for programs: every hour, and each missing work item")
    _logging(reconcile)


def _add_journal_commands(add: Parsers) -> None:
    replay = _command(
        add, "replay", "send stored records to a sink again, through the present transforms", "ualpipe.pipeline.commands.replay"
    )
    _config(replay)
    replay.add_argument("--sink", required=True, metavar="NAME", help="sink to send to, one of CONFIG's")
    replay.add_argument(
        "--since", metavar="TIME", help="records received at or after this time: 2026-11-20T08:00:00Z (UTC), or 7d for 7 days ago"
    )
    replay.add_argument("--until", metavar="TIME", help="records received before this time")
    replay.add_argument("--source", metavar="NAME", help="records of this source only")
    replay.add_argument("--dry-run", action="store_true", help="send nothing; say how many records would be sent")
    _logging(replay)
    backup = _command(
        add, "backup", "copy the journal and verify the copy; works while a pipeline runs", "ualpipe.pipeline.commands.backup"
    )
    _config(backup)
    backup.add_argument("to", type=Path, metavar="TO_FILE", help="file for the copy; an existing one is not overwritten")


def _add_tools(add: Parsers, *, is_tenant: bool) -> None:
    plugins = _command(add, "plugins", "list the installed sources, transforms and sinks", "ualpipe.pipeline.commands.plugins")
    plugins.add_argument("--json", action="store_true", help="print JSON, for programs")
    schema = _command(add, "schema", "print the JSON Schema of pipeline files, for editors", "ualpipe.pipeline.commands.schema")
    form = schema.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print the reference of all options as Markdown instead")
    form.add_argument("--fields", action="store_true", help="print the reference of mapped fields as Markdown instead")
    sentinel = _command(add, "sentinel", "print what Microsoft Sentinel needs for the sink", "ualpipe.pipeline.commands.sentinel")
    actions = sentinel.add_subparsers(required=True, metavar="ACTION", dest="action")
    text = "print a template of table, data collection rule and role, or functions for queries"
    template = actions.add_parser("template", help=text, description=text)
    template.add_argument("--profile", default="office_activity", choices=("office_activity", "asim", "raw"))
    template.add_argument("--format", default="arm", choices=("arm", "bicep", "kql"))
    archive = _command(add, "archive", "remove a tenant from an archive", "ualpipe.pipeline.commands.archive")
    actions = archive.add_subparsers(required=True, metavar="ACTION", dest="action")
    text = "remove all events of one tenant from an archive, also beside a running pipeline"
    erase = actions.add_parser("erase", help=text, description=text)
    erase.add_argument("place", type=Path, metavar="STORE", help="the folder of an archive, or the config of a pipeline with one")
    erase.add_argument("--tenant", required=True, metavar="ID", help="the tenant's id, as the archive's folders name it")
    erase.add_argument("--yes", action="store_true", help="do not ask before")
    sql = _command(add, "sql", "print what PostgreSQL needs for the sink", "ualpipe.pipeline.commands.sql")
    actions = sql.add_subparsers(required=True, metavar="ACTION", dest="action")
    text = "print the tables, functions and roles as SQL, or what brings older tables up to date"
    tables = actions.add_parser("schema", help=text, description=text)
    tables.add_argument(
        "--from", type=int, default=0, dest="since", metavar="VERSION", help="version of the tables that are there"
    )
    tables.add_argument("--name", default="ualpipe", help="the schema (default: ualpipe)")
    tenant = _command(add, "tenant", "serve a simulated Microsoft 365 tenant on loopback", "ualpipe.simulator.cli")
    if is_tenant:  # its options need the module; other commands start faster without
        importlib.import_module("ualpipe.simulator.cli").add_arguments(tenant)
    demo = _command(add, "demo", "run the main job on a simulated tenant and show what arrived", "ualpipe.simulator.demo")
    demo.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep config, journal and output in this folder (default: delete them at the end)",
    )


if __name__ == "__main__":
    sys.exit(main())
