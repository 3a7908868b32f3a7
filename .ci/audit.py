"""Looks the locked dependencies up in the public vulnerability lists: ``audit.py LOCK_FILE``.

Exit codes: 0 all were looked up and none is listed; 1 one is listed; 3 the lists could not be asked, or not about all of them.
pip-audit alone leaves out what a registry's mirror does not know, and calls that success.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CLEAN, LISTED, NOT_ASKED = 0, 1, 3
TIMEOUT_S = 120
SERVICES = ("pypi", "osv")
"""Asked in turn, until one answers."""


def main(lock_file: str) -> int:
    verdict = NOT_ASKED
    for service in SERVICES:
        report, trouble = ask(service, lock_file)
        verdict, text = judge(report, trouble)
        sys.stderr.write(f"audit: {service}: {text}\n")
        if verdict != NOT_ASKED:
            return verdict
    sys.stderr.write("audit: NOT DONE: no vulnerability list could be asked. Run `make audit` where the internet is reached.\n")
    return verdict


def ask(service: str, lock_file: str) -> tuple[list[dict[str, Any]], str]:
    """Returns what pip-audit found out about each package, and what it said where it found out nothing."""
    tool = [str(Path(sys.executable).with_name("pip-audit")), "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command = [*tool, "--timeout=10", "--vulnerability-service", service, "--format=json", "-r", lock_file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)  # noqa: S603 - all ours
    except subprocess.TimeoutExpired:
        return [], f"no answer within {TIMEOUT_S} s"
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (ValueError, KeyError):
        return [], (done.stderr.strip().splitlines() or ["no report"])[-1][:200]


def judge(report: list[dict[str, Any]], trouble: str) -> tuple[int, str]:
    """Returns what a report means, as exit code and in words."""
    listed = [f"{one['name']} {one['version']}: {found['id']}" for one in report for found in one.get("vulns", [])]
    skipped = [one["name"] for one in report if "skip_reason" in one]
    if listed:
        return LISTED, f"{len(listed)} known vulnerabilities: {'; '.join(listed)}"
    if not report or skipped:
        return NOT_ASKED, trouble or f"{len(skipped)} of {len(report)} packages could not be looked up"
    return CLEAN, f"{len(report)} packages, none with a known vulnerability"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
