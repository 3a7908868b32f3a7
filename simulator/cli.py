"""``ualpipe tenant``: serves a simulated tenant until it is told to stop."""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import secrets
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ualpipe.pipeline.errors import ConfigError, ContentUndecodable

# The simulator's other modules bring cryptography with them: they are imported when the command runs, not for its help.
if TYPE_CHECKING:
    from ualpipe.simulator.records.incidents import Incident
    from ualpipe.simulator.service.service import SimulatedService
    from ualpipe.simulator.service.tenant import SimulatedTenant

CLIENT_ID = "11111111-1111-1111-1111-111111111111"
DEFAULT_COUNT = 1000
ARRIVAL_S = 5.0
"""How often new records arrive with ``--rate``, in seconds."""

_SPREAD = timedelta(hours=6)
_SECRET_FILE = "client_secret"  # noqa: S105 - a file's name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    content = parser.add_mutually_exclusive_group()
    content.add_argument(
        "--records", type=Path, metavar="FILE", help="serve the records of this file: one record a line, or a JSON array"
    )
    content.add_argument(
        "--count", type=int, metavar="N", help=f"serve N generated records of the last hours (default {DEFAULT_COUNT})"
    )
    parser.add_argument("--rate", type=float, metavar="N", help="generate N further records a second")
    parser.add_argument(
        "--tenants", type=int, default=1, metavar="N", help="serve N tenants, among which --count and --rate are divided"
    )
    parser.add_argument("--incidents", action="store_true", help="add attack scenarios to the records, and print which")
    parser.add_argument(
        "--seed",
        type=int,
        default=365,
        metavar="S",
        help="seed of the generator: the same seed gives the same records (default 365)",
    )
    parser.add_argument(
        "--records-per-blob", type=int, default=300, metavar="N", help="records in a content blob at most (default 300)"
    )
    parser.add_argument(
        "--page-size", type=int, default=200, metavar="N", help="content blobs on each page of a listing (default 200)"
    )
    parser.add_argument("--faults", metavar="FILE|NAME", help="play a fault script: a YAML file, or a ready-made one (throttled)")
    parser.add_argument(
        "--roles",
        metavar="ROLE,ROLE",
        help="application permissions in the tokens (default ActivityFeed.Read,ActivityFeed.ReadDlp); without the "
        "second, DLP.All is refused",
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: loopback only)")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="folder for certificates and client secret, kept for the next start (default: a temporary one)",
    )


def run(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT; prints once what to paste into a pipeline file.

    Returns:
        0.

    Raises:
        ConfigError: An option, the records or the fault script can't be used.
    """
    from ualpipe.simulator.service.service import SimulatedService  # noqa: PLC0415

    _check(args)
    with _stop_signals() as stop, _folder(args.folder) as folder, _defects_as_config_errors():
        secret_file = _secret_file(folder)
        tenants = _tenants(args, secret_file.read_text(encoding="utf-8"))
        with _naming_the_port(args.host, args.port):
            service = SimulatedService(folder, port=args.port, host=args.host)
        with service:
            incidents = _incidents(args, tenants[0]) if args.incidents else []
            _fill(service, tenants, args, incidents)
            _announce(service, tenants, secret_file, args.host, incidents)
            _serve(tenants, args, stop)
    return 0


def config_snippet(service: SimulatedService, tenants: Sequence[SimulatedTenant], secret_file: Path) -> dict[str, Any]:
    """Returns the parts of a pipeline file that make it collect from these tenants."""
    sources = {
        _source_name(at): {
            "type": "management_activity",
            "tenant_id": tenant.tenant_id,
            "credential": "simulated-app",
            "cloud": {"authority": service.url, "api": service.url},
            "ca_file": str(service.ca_file.resolve()),
            "poll_interval": "5s",
        }
        for at, tenant in enumerate(tenants)
    }
    credential = {"client_id": CLIENT_ID, "client_secret": f"${{file:{secret_file.resolve()}}}"}
    return {"credentials": {"simulated-app": credential}, "sources": sources}


def _source_name(at: int) -> str:
    return f"simulated{at + 1}" if at else "simulated"


def _check(args: argparse.Namespace) -> None:
    if args.tenants < 1:
        raise ConfigError("tenant: --tenants takes 1 or more")
    if args.tenants > 1 and args.records:
        raise ConfigError("tenant: --records are those of one tenant; leave out --tenants, or generate records (--count, --rate)")


def _tenants(args: argparse.Namespace, secret: str) -> list[SimulatedTenant]:
    from ualpipe.simulator.records.organisation import DEFAULT_DOMAIN, DEFAULT_TENANT_ID  # noqa: PLC0415
    from ualpipe.simulator.service.tenant import DEFAULT_ROLES, SimulatedTenant  # noqa: PLC0415

    roles = DEFAULT_ROLES if args.roles is None else tuple(filter(None, map(str.strip, args.roles.split(","))))
    first = uuid.UUID(DEFAULT_TENANT_ID).int
    return [
        SimulatedTenant(
            tenant_id=str(uuid.UUID(int=first + at)),
            name=f"branch{at + 1}.{DEFAULT_DOMAIN}" if at else DEFAULT_DOMAIN,
            client_id=CLIENT_ID,
            client_secret=secret,
            roles=roles,
            dlp_without_role="refuse",
            page_size=args.page_size,
        )
        for at in range(args.tenants)
    ]


def _fill(
    service: SimulatedService, tenants: Sequence[SimulatedTenant], args: argparse.Namespace, incidents: Sequence[Incident]
) -> None:
    from ualpipe.simulator.service.faults import load_rules  # noqa: PLC0415

    for at, tenant in enumerate(tenants):
        tenant.add_records(_initial_records(args, tenant, at), records_per_blob=args.records_per_blob, spread=_SPREAD)
        service.add_tenant(tenant)
    for incident in incidents:
        tenants[0].add_records(incident.records, spread=timedelta(0))
    service.play(load_rules(args.faults) if args.faults else [])


def _initial_records(args: argparse.Namespace, tenant: SimulatedTenant, at: int) -> Iterator[Mapping[str, Any] | bytes]:
    if args.records:
        return _read_records(args.records)
    count = args.count
    if count is None:
        count = 0 if args.rate else DEFAULT_COUNT
    own = count // args.tenants + (at < count % args.tenants)
    return _generated(args, tenant, at, own, max(own, 1) / _SPREAD.total_seconds(), _SPREAD)


def _generated(
    args: argparse.Namespace, tenant: SimulatedTenant, at: int, count: int | None, rate: float, ago: timedelta
) -> Iterator[dict[str, Any]]:
    """Yields generated records of a tenant; tenants at other positions get other records."""
    from ualpipe.simulator.records.generator import generate  # noqa: PLC0415

    start = tenant.clock.now() - ago
    return generate(count, seed=args.seed + at, start=start, rate=rate, tenant_id=tenant.tenant_id, domain=tenant.name)


def _incidents(args: argparse.Namespace, tenant: SimulatedTenant) -> list[Incident]:
    from ualpipe.simulator.records.incidents import planted_incidents  # noqa: PLC0415

    start = tenant.clock.now() - timedelta(hours=1)
    return planted_incidents(args.seed, start=start, tenant_id=tenant.tenant_id, domain=tenant.name)


def _read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file byte for byte."""
    from ualpipe.pipeline.records.cutting import chunks_of_array, chunks_of_lines  # noqa: PLC0415

    with path.open("rb") as file:
        is_array = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
        file.seek(0)
        for chunk in chunks_of_array(iter(lambda: file.read(1 << 20), b"")) if is_array else chunks_of_lines(file):
            yield from (chunk.raw(index) for index in range(len(chunk.records)))


def _announce(
    service: SimulatedService, tenants: Sequence[SimulatedTenant], secret_file: Path, host: str, incidents: Sequence[Incident]
) -> None:
    import yaml  # noqa: PLC0415

    if host not in ("127.0.0.1", "localhost", "::1"):
        print(f"warning: listening at {host}: everyone who reaches it can try to log in", file=sys.stderr)
    blobs = sum(len(tenant.blobs()) for tenant in tenants)
    what = "Simulated tenant" if len(tenants) == 1 else f"{len(tenants)} simulated tenants"
    print(f"# {what} at {service.url} with {blobs} content blobs. Paste this into a pipeline file; stop with Ctrl-C.")
    for incident in incidents:
        print(f"# planted: {incident.name}. {incident.description}")
    print(yaml.safe_dump(config_snippet(service, tenants, secret_file), sort_keys=False, width=200), flush=True)


def _serve(
    tenants: Sequence[SimulatedTenant], args: argparse.Namespace, stop: threading.Event, arrival_s: float = ARRIVAL_S
) -> None:
    """Adds new records at the rate that was asked for, until ``stop`` is set."""
    if not args.rate:
        stop.wait()
        return
    rate = args.rate / len(tenants)
    streams = [_generated(args, tenant, at, None, rate, timedelta(0)) for at, tenant in enumerate(tenants)]
    clock = tenants[0].clock
    began, arrived = clock.monotonic(), 0
    while not stop.wait(arrival_s):
        due = int((clock.monotonic() - began) * rate) - arrived
        for tenant, records in zip(tenants, streams, strict=True):
            piece = itertools.islice(records, due)
            tenant.add_records(piece, records_per_blob=args.records_per_blob, spread=timedelta(0))
        arrived += due


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Yields an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="ualpipe-tenant-") as made:
        yield Path(made)


@contextlib.contextmanager
def _defects_as_config_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, ContentUndecodable) as exc:
        raise ConfigError(f"tenant: {exc}") from exc


@contextlib.contextmanager
def _naming_the_port(host: str, port: int) -> Iterator[None]:
    """Says of an address that can't be listened at which one it is, and what to do."""
    try:
        yield
    except OSError as exc:
        remedies = {
            errno.EADDRINUSE: "another process listens there: end it, or choose another --port (none for a free one)",
            errno.EACCES: "a port below 1024 needs root: choose a higher --port",
            errno.EADDRNOTAVAIL: "this machine has no such address: correct --host",
        }
        remedy = remedies.get(exc.errno or 0, "correct --host or --port")
        raise ConfigError(f"tenant: can't listen at {host} port {port}: {exc.strerror or exc}; {remedy}") from exc


def _secret_file(folder: Path) -> Path:
    """Returns the file with the client secret; makes one at the first start."""
    from ualpipe.simulator.service.ca import write_private  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _SECRET_FILE
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24).encode())
    return path
