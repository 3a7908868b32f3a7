"""``ualpipe demo``: the main job from end to end on this machine, on a simulated tenant; all else is real."""

from __future__ import annotations

import argparse
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.json import JSON
from rich.table import Table

from ualpipe.pipeline.config.loader import load_config
from ualpipe.pipeline.files import make_folder, replace_file
from ualpipe.pipeline.observe import log
from ualpipe.pipeline.supervisor.runner import Runner
from ualpipe.simulator.receiver import SyslogReceiver
from ualpipe.simulator.records.generator import generate
from ualpipe.simulator.records.incidents import Incident, planted_incidents
from ualpipe.simulator.service.service import SimulatedService
from ualpipe.simulator.service.tenant import SimulatedTenant

ORDINARY_RECORDS = 5000
CLIENT_ID = "11111111-1111-1111-1111-111111111111"
TENANT_ID = "22222222-2222-2222-2222-222222222222"
_AGE = timedelta(hours=6)
_SHOWN_FIELDS = 16
_SHOWN_WORKLOADS = 5
"""Rows of the last table that have a name; with more of them a terminal of 24 lines would not show it whole."""
_NEXT_STEPS = """
[bold]To run it on your tenant[/]
  1. Entra admin centre → App registrations: register an app with the application
     permission [bold]ActivityFeed.Read[/] of “Office 365 Management APIs” (for DLP.All
     also ActivityFeed.ReadDlp), grant admin consent, make a client secret.
  2. In the config: your [bold]tenant_id[/], [bold]client_id[/], secret and sinks;
     [bold]cloud: commercial[/]; no ca_file.
  3. [bold]{ualpipe} check --live CONFIG[/], then [bold]{ualpipe} run CONFIG[/].
Config, journal and documents of this demo are kept {where}."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    """What arrived: the documents in the file, by Id, and the Ids at the syslog receiver."""

    documents: dict[str, dict[str, Any]]
    at_syslog: list[str]


def run(args: argparse.Namespace) -> int:
    """Runs the demo; returns the pipeline's exit code, or 1 when something did not arrive."""
    console = Console(highlight=False)
    log.set_up("warning")
    console.print(f"Making {ORDINARY_RECORDS:,} audit records for a simulated tenant …")
    with _folder(args.keep) as name:
        folder = Path(name)
        records, incidents = _make_records()
        code, at_syslog, took_s = _run_pipeline(console, folder, records)
        documents = {document["event"]["id"]: document for document in _documents(folder)}
    _show_example(console, incidents[0].records[-1], documents)
    is_whole = _show_incidents(console, incidents, documents)
    _show_arrivals(console, records, _Arrived(documents, at_syslog), took_s)
    _show_next_steps(console, args.keep)
    return code if is_whole and len(documents) == len(set(at_syslog)) == len(records) else code or 1


def _folder(keep: Path | None) -> AbstractContextManager[str | Path]:
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="ualpipe-demo-")
    make_folder(keep)
    return nullcontext(keep)


def _make_records() -> tuple[list[dict[str, Any]], list[Incident]]:
    start = datetime.now(UTC).replace(microsecond=0) - _AGE
    incidents = planted_incidents(start=start + _AGE / 2, tenant_id=TENANT_ID)
    ordinary = generate(ORDINARY_RECORDS, start=start, rate=ORDINARY_RECORDS / _AGE.total_seconds(), tenant_id=TENANT_ID)
    planted = [record for incident in incidents for record in incident.records]
    return sorted([*ordinary, *planted], key=lambda record: record["CreationTime"]), incidents


def _run_pipeline(console: Console, folder: Path, records: Sequence[dict[str, Any]]) -> tuple[int, list[str], float]:
    """Serves the records and runs the pipeline once; returns its exit code, the Ids at the syslog receiver, and the seconds."""
    secret = secrets.token_urlsafe(24)
    tenant = SimulatedTenant(TENANT_ID, "contoso.com", CLIENT_ID, client_secret=secret)
    tenant.add_records(records)
    replace_file(folder / "client_secret", secret.encode())
    with SimulatedService(folder) as service, SyslogReceiver() as receiver:
        service.add_tenant(tenant)
        config = _write_config(folder, service.url, receiver.port)
        console.print(f"A simulated Microsoft 365 tenant serves {len(records):,} audit records at {service.url}.")
        console.print(
            f"[bold]ualpipe run --once {config.name}[/] takes them from the Management Activity API to a file and to syslog …\n"
        )
        started = time.monotonic()
        code = Runner(load_config(config), once=True).run()
        took_s = time.monotonic() - started
    return code, [orjson.loads(message[message.index(b"{") :])["event"]["id"] for message in receiver.messages], took_s


def _write_config(folder: Path, url: str, syslog_port: int) -> Path:
    text = (files("ualpipe.simulator") / "demo.yaml").read_text(encoding="utf-8")
    path = folder / "demo.yaml"
    replace_file(path, text.replace("https://localhost:8443", url).replace("5514", str(syslog_port)).encode())
    return path


def _documents(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / "out").glob("*.ndjson")):
        yield from map(orjson.loads, path.read_bytes().splitlines())


def _show_arrivals(console: Console, records: Sequence[dict[str, Any]], arrived: _Arrived, took_s: float) -> None:
    workload = {record["Id"]: record["Workload"] for record in records}
    served, in_file, at_syslog = (Counter(map(workload.get, ids)) for ids in (workload, arrived.documents, arrived.at_syslog))
    table = Table(title="What arrived", title_justify="left", box=None, padding=(0, 3, 0, 0))
    for title in ("workload", "served", "in the file", "at syslog"):
        table.add_column(title, justify="left" if title == "workload" else "right")
    ranked = [name for name, _count in served.most_common()]
    for name in ranked[:_SHOWN_WORKLOADS]:
        table.add_row(name, *(f"{counter[name]:,}" for counter in (served, in_file, at_syslog)))
    if others := ranked[_SHOWN_WORKLOADS:]:
        sums = (sum(counter[name] for name in others) for counter in (served, in_file, at_syslog))
        table.add_row(f"{len(others)} others", *(f"{total:,}" for total in sums))
    table.add_row("[bold]all[/]", *(f"[bold]{counter.total():,}[/]" for counter in (served, in_file, at_syslog)))
    console.print(table)
    console.print(f"[dim]{len(records) / took_s:,.0f} records a second, journal and all[/]\n")


def _show_incidents(console: Console, incidents: Sequence[Incident], documents: dict[str, Any]) -> bool:
    """Shows each planted incident and how much of it arrived; returns whether all of it did."""
    console.print("\n[bold]Incidents planted among them[/]")
    for incident in incidents:
        found = len(incident.ids & documents.keys())
        mark = "[green]all[/]" if found == len(incident.ids) else f"[red]{found} of[/]"
        console.print(f"  [bold]{incident.name}[/]: {mark} {len(incident.ids)} records arrived")
        console.print(f"  [dim]{incident.description}[/]")
    console.print()
    return all(incident.ids <= documents.keys() for incident in incidents)


def _show_example(console: Console, record: dict[str, Any], documents: dict[str, Any]) -> None:
    document = dict(documents.get(record["Id"], {}))
    document.pop("o365", None)
    console.print(f"[bold]One record as Microsoft delivers it[/] ({len(record)} fields)")
    console.print(JSON.from_data({name: record[name] for name in list(record)[:_SHOWN_FIELDS]}, indent=2))
    console.print("\n[bold]and as the sinks get it[/] (ECS; the original's fields follow below o365.audit)")
    console.print(JSON.from_data(document, indent=2))


def _show_next_steps(console: Console, keep: Path | None) -> None:
    ualpipe = _command()
    where = f"in {keep}" if keep else f"with [bold]{ualpipe} demo --keep DIR[/]"
    console.print(_NEXT_STEPS.format(where=where, ualpipe=ualpipe), soft_wrap=True)


def _command() -> str:
    """Returns what starts ualpipe when it is typed here: its name, or its path where that is not looked for."""
    return "ualpipe" if shutil.which("ualpipe") else shlex.quote(sys.argv[0])
