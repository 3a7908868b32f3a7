"""``ualpipe search``: finds events in a store, the newest first; explains one of them."""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import orjson

from ualpipe.pipeline import registry
from ualpipe.pipeline.clock import SystemClock
from ualpipe.pipeline.commands import _search_output as output
from ualpipe.pipeline.commands._open_transforms import open_stages, with_explainers
from ualpipe.pipeline.commands._search_conditions import compiled, needles, read_conditions
from ualpipe.pipeline.commands._stores import Opened, open_store, warn_of_unreadable
from ualpipe.pipeline.commands._tables import Printer
from ualpipe.pipeline.commands.explain import print_explained
from ualpipe.pipeline.conditions.known_fields import KnownFields
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Condition, Event, Origin, event_of
from ualpipe.pipeline.explain.trace import explain
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.pipeline.records.json_reader import UnreadableJson, read_object
from ualpipe.pipeline.report.contract import Search, Selection
from ualpipe.pipeline.report.period import parse_period, timezone_of
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE, EXIT_INCOMPLETE
from ualpipe.pipeline.wording import counted

_LEAST_OF_ID = 8
_MOST_ALIKE = 20  # events whose Id begins alike
_STORED = (
    "event_id",
    "id",
    "time",
    "received",
    "tenant",
    "source",
    "stream",
    "item",
    "conflict",
    "sentence",
    "document",
    "record",
)


def run(args: argparse.Namespace) -> int:
    """Runs the command: 0 when all of the store was looked at, 1 when parts can't be read or no event has the Id asked for."""
    conditions = read_conditions(args.conditions)
    with closing(open_store(args.store, args.sink)) as opened:
        if args.explain:
            return _explain(opened, args.explain)
        condition = compiled(conditions, _known_fields(opened))
        selection, search = _wanted(args, conditions)
        network = _network(args.ip)
        found = _fitting(opened, selection, search, condition, network)
        limit = args.limit or None
        rows = itertools.islice(found, limit)
        shown = output.write(rows, args.format or output.usual_format())
        is_more = limit is not None and shown == limit and next(found, None) is not None
        _say_what_is_left(opened, selection, shown, is_more=is_more)
        return EXIT_INCOMPLETE if warn_of_unreadable(opened.store) else EXIT_FINE


def _wanted(args: argparse.Namespace, conditions: Mapping[str, Any]) -> tuple[Selection, Search]:
    period = parse_period(args.since, args.until, timezone_of(args.timezone), SystemClock().now())
    workloads = [one.strip() for one in (args.workload or "").split(",") if one.strip()]
    selection = Selection(period.since, period.until, [tenant.lower() for tenant in args.tenant], args.user or "", workloads)
    address = args.ip if args.ip and "/" not in args.ip else ""
    return selection, Search("", args.operation or "", address, args.text, needles(conditions))


def _network(text: str | None) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Returns the network that ``--ip`` names; None for a single address, which the store looks for.

    Raises:
        ConfigError: It is neither.
    """
    if not text:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise ConfigError(f"--ip: {exc}: write 192.0.2.7 or 192.0.2.0/24") from None
    return network if "/" in text else None


def _fitting(
    opened: Opened,
    selection: Selection,
    search: Search,
    condition: Condition | None,
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None,
) -> Iterator[Mapping[str, Any]]:
    """Yields the events that fit; conditions look at the document, or at the record where there is none."""
    for row in opened.store.search(selection, search, output.COLUMNS):
        if network is not None and not _is_in(row["ip"], network):
            continue
        if condition is None or condition(body_of(row)):
            yield row


def _is_in(address: str | None, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address) in network
    except ValueError:
        return False


def body_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what conditions look at: the document, or the record where there is none; nothing where it can't be read."""
    try:
        return read_object((row["document"] or row["record"] or "").encode())
    except UnreadableJson:
        return {}


def _known_fields(opened: Opened) -> KnownFields | None:
    """Returns the fields that documents have behind the transforms of the config, or behind ``ecs``; None where nobody knows."""
    known: KnownFields | None = KnownFields()
    classes = [spec.cls for spec in opened.config.transforms] if opened.config else [registry.load("transforms", "ecs")]
    for cls in classes:
        fields_behind = getattr(cls, "fields_behind", None)
        known = fields_behind(known) if fields_behind and known else None
    return known


def _say_what_is_left(opened: Opened, selection: Selection, shown: int, *, is_more: bool) -> None:
    if is_more:
        print(f"the newest {shown:,}; there are more: --limit 0 shows all", file=sys.stderr)
        return
    coverage = opened.store.coverage(selection)
    if coverage.first is None or coverage.last is None:
        print("the store has no events" + (" of this tenant" if selection.tenants else ""), file=sys.stderr)
        return
    reach = f"{coverage.first:%Y-%m-%d %H:%M} to {coverage.last:%Y-%m-%d %H:%M} UTC"
    print(f"{counted(shown, 'event')} of {coverage.events:,} in the store, which are from {reach}", file=sys.stderr)


def _explain(opened: Opened, wanted: str) -> int:
    """Shows one event as it was received and as it was mapped, with the rules.

    Raises:
        ConfigError: Several events have an Id that begins so.
    """
    if len(wanted) < _LEAST_OF_ID:
        raise ConfigError(
            f"--explain: {wanted} is too short: write an Id, or at least {_LEAST_OF_ID} characters of its beginning"
        )
    found = list(itertools.islice(opened.store.search(Selection(), Search(id=wanted), _STORED), _MOST_ALIKE))
    exact = [row for row in found if wanted.lower() in (row["event_id"].lower(), (row["id"] or "").lower())]
    found = exact or found
    if not found:
        print(f"no event in the store has the Id {wanted}", file=sys.stderr)
        warn_of_unreadable(opened.store)
        return EXIT_INCOMPLETE
    if len({row["event_id"] for row in found}) > 1:
        alike = "".join(f"\n  {row['event_id']}" for row in found)
        raise ConfigError(
            f"--explain: {counted(len(found), 'event')} with an Id that begins with {wanted}; write one in full:{alike}"
        )
    _show(opened, found[0])
    return EXIT_INCOMPLETE if warn_of_unreadable(opened.store) else EXIT_FINE


def _show(opened: Opened, row: Mapping[str, Any]) -> None:
    out = Printer()
    output.write_head(out, row)
    event = _event(row)
    stages = with_explainers(open_stages(opened.config.path if opened.config else None))
    now = explain(event, stages)
    if row["document"] and now.document is not None and orjson.dumps(now.document) != row["document"].encode():
        out.line("note: these transforms make another document of the record than the one that is stored", "yellow")
    print_explained(out, event, now, stages)


def _event(row: Mapping[str, Any]) -> Event:
    """Returns an event as it came to the transforms."""
    body = (row["record"] or "").encode()
    chunk = Chunk(b"[" + body + b"]", "array") if b"\n" in body else Chunk(body, "lines")
    received = row["received"].isoformat() if row["received"] else ""
    origin = Origin(row["source"] or "", row["tenant"], row["stream"] or "", row["item"] or "", chunk, received)
    return event_of(chunk.decode(0), 0, origin, row["conflict"] or "")
