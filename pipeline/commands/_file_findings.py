"""What ``ualpipe check`` finds about files before a run does: missing or unreadable ones."""

from __future__ import annotations

from collections.abc import Iterator

from ualpipe.pipeline.config.model import PipelineConfig
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.journal.opening import look_at_state_dir
from ualpipe.pipeline.options import FileRead, files_read
from ualpipe.pipeline.report.catalog import Catalog
from ualpipe.pipeline.report.stores import sink_with_store
from ualpipe.pipeline.stages import Finding

Place = str
"""Where in the config: ``state_dir``, ``sinks.siem.tls.ca_file``."""


def file_findings(config: PipelineConfig) -> Iterator[tuple[Place, Finding]]:
    """Yields what is wrong with the files that a pipeline needs; nothing where all is fine. Nothing is changed, nobody asked."""
    for finding in look_at_state_dir(config):
        yield "state_dir", finding
    for read in _named(config):
        yield from _about_named(read)
    yield from _about_reports(config)


def _about_reports(config: PipelineConfig) -> Iterator[tuple[Place, Finding]]:
    """Yields what is wrong with the user's own reports, and with those of the schedule."""
    try:
        catalog = Catalog(config.reports.folder)
    except ConfigError as exc:
        yield "reports.folder", Finding("error", str(config.reports.folder), str(exc), "check the path")
        return
    places = dict.fromkeys(catalog.own_names, "reports.folder")
    places |= {entry.report: f"reports.schedule[{at}].report" for at, entry in enumerate(config.reports.schedule)}
    for at, entry in enumerate(config.reports.schedule):
        try:
            sink_with_store(config, entry.sink)
        except ConfigError as exc:
            yield f"reports.schedule[{at}]", Finding("error", f"report {entry.report}", str(exc), "add or name such a sink")
    for name, place in places.items():
        try:
            catalog.report(name)
        except ConfigError as exc:
            yield place, Finding("error", f"report {name}", str(exc), "mend its files, or the name")


def _named(config: PipelineConfig) -> Iterator[FileRead]:
    for name, credential in config.credentials.items():
        yield from files_read(credential, f"credentials.{name}.")
    for kind, specs in (("sources", config.sources), ("sinks", config.sinks)):
        for name, spec in specs.items():
            yield from files_read(spec.options, f"{kind}.{name}.")


def _about_named(read: FileRead) -> Iterator[tuple[Place, Finding]]:
    try:
        with read.path.open("rb"):
            return
    except IsADirectoryError:
        yield read.option, Finding("error", str(read.path), "is no file", "check the path")
    except FileNotFoundError as exc:
        yield read.option, Finding("error", str(read.path), f"can't be read: {exc.strerror}", "check the path")
    except OSError as exc:
        action = "check the path, and owner and permissions of the file"
        yield read.option, Finding("error", str(read.path), f"can't be read: {exc.strerror}", action)
