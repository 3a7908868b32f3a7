"""``ualpipe plugins``: lists the stages that are installed, and which optional libraries are in use."""

from __future__ import annotations

import argparse
import importlib.util
import json

from ualpipe.pipeline import registry
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.supervisor.exit_codes import EXIT_FINE

_FAST_LIBRARIES = {
    "confluent_kafka": "kafka sink: producing costs a tenth of the CPU",
    "isal": "gzip: a fifth of the CPU",
    "numpy": "record Ids seen before: looked up in half the time",
}


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    rows = [_row(kind, name) for kind in registry.KINDS for name in registry.installed(kind)]
    fast = {name: importlib.util.find_spec(name) is not None for name in _FAST_LIBRARIES}
    if args.json:
        print(json.dumps({"plugins": rows, "fast": fast}, indent=2))
        return EXIT_FINE
    for row in rows:
        print(f"{row['kind']:10s}  {row['name']:20s}  {row['summary']}")
    print("\noptional libraries (pip install 'ualpipe[fast]'):")
    for name, meaning in _FAST_LIBRARIES.items():
        print(f"  {name:16s}  {'in use' if fast[name] else 'not installed':13s}  {meaning}")
    return EXIT_FINE


def _row(kind: str, name: str) -> dict[str, str]:
    try:
        summary = (registry.load(kind, name).__doc__ or "").strip().splitlines()[0]
    except ConfigError as exc:
        summary = f"can't be used: {exc}"
    return {"kind": kind.removesuffix("s"), "name": name, "from": registry.installed(kind)[name].value, "summary": summary}
