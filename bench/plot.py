"""Draws how cost and memory grow, from what ``growth`` measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.pipeline_run import Figures

PICTURE = Path(__file__).parents[1] / "docs/growth.svg"


def draw(growth: Mapping[str, Mapping[int, Figures]], path: Path = PICTURE) -> None:
    """Writes a picture with a panel for each thing that grows: µs of CPU a record, and MB of memory."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second, and most measurements draw nothing

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "growth"  # the same figures make the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, len(growth), figsize=(3.2 * len(growth), 3), sharey=True, layout="constrained")
    for panel, (what, rows) in zip(panels, growth.items(), strict=True):
        amounts = list(rows)
        panel.plot(amounts, [row["net_us"] for row in rows.values()], "o-", label="µs of CPU a record")
        panel.plot(amounts, [row["peak_rss_mb"] for row in rows.values()], "s--", label="MB of memory")
        panel.set_xlabel(what)
        if amounts[-1] > 10 * amounts[0]:
            panel.set_xscale("log")
        else:
            panel.set_xticks(amounts)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
