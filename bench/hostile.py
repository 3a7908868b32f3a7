"""How much good tenants feel of one that does harm, for each way to do it."""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent / "tests"
HEAD = f"{'':36s} {'late p95 s':>10s} {'RSS MB':>7s} {'stop s':>7s} {'missing':>8s}"


def measure(kinds: list[str], runs: int) -> dict[str, Any]:
    """Runs 20 good tenants alone, then beside one that does harm, so many times for each way; the median counts."""
    sys.path.append(str(TESTS))
    from chaos.neighbours import MOST_RSS_MB, MOST_STOP_S, limit_of_lateness  # noqa: PLC0415
    from servers.peers.hostile_tenant import HARMS  # noqa: PLC0415

    print(f"\n20 good tenants beside one that does harm, median of {runs}\n{HEAD}")
    found = {"nobody": _median(None, runs)}
    most_late_s = limit_of_lateness(found["nobody"]["late_s"])
    for harm in HARMS:
        if not kinds or any(kind in harm for kind in kinds):
            found[harm] = _median(harm, runs)
            found[harm]["is_held"] = (
                found[harm]["late_s"] <= most_late_s
                and found[harm]["rss_mb"] <= MOST_RSS_MB
                and found[harm]["stop_s"] <= MOST_STOP_S
                and not found[harm]["missing"]
            )
    broken = [harm for harm, row in found.items() if not row.get("is_held", True)]
    limits = f"late {most_late_s:.2f} s, RSS {MOST_RSS_MB} MB, stop {MOST_STOP_S:g} s"
    print(f"limits: {limits}; broken by: {', '.join(broken) or 'none'}", flush=True)
    return found


def _median(harm: str | None, runs: int) -> dict[str, Any]:
    from chaos.neighbours import measured  # noqa: PLC0415

    rows = []
    for _run in range(runs):
        with tempfile.TemporaryDirectory(prefix="ualpipe-hostile-") as folder:
            rows.append(asdict(measured(Path(folder), harm)))
    row = {name: statistics.median(one[name] for one in rows) for name in rows[0]}
    print(
        f"{harm or 'nobody':36s} {row['late_s']:10.2f} {row['rss_mb']:7,.0f} {row['stop_s']:7.1f} {row['missing']:8.0f}",
        flush=True,
    )
    return row
