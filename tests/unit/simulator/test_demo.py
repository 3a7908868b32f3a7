"""What ``ualpipe demo`` shows last stands on a terminal of 80 columns and 24 lines as a whole."""

from __future__ import annotations

import io

from rich.console import Console

from ualpipe.simulator import demo


def test_the_table_and_what_to_do_next_fit_a_small_terminal() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=80, highlight=False)
    records = [{"Id": str(number), "Workload": f"Workload{number % 17}"} for number in range(1000)]
    documents = {record["Id"]: record for record in records}
    demo._show_arrivals(console, records, demo._Arrived(documents, list(documents)), 1.0)
    demo._show_next_steps(console, None)
    lines = shown.getvalue().splitlines()
    assert lines[0].strip() == "What arrived"
    assert sum(max(1, -(-len(line) // 80)) for line in lines) < 24, "one is the prompt's"
    rows = [line.split() for line in lines[2:9]]
    assert rows[5][:2] == ["12", "others"]
    assert rows[6] == ["all", "1,000", "1,000", "1,000"]
    assert sum(int(row[-1]) for row in rows[:6]) == 1000
