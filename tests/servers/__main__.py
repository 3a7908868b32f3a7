"""``PYTHONPATH=tests python -m servers install``: installs the real servers of the tests."""

from __future__ import annotations

import argparse
import sys

from servers.install import install
from servers.installed import NotInstalled


def main() -> int:
    parser = argparse.ArgumentParser(prog="servers", description="The real servers of the tests.")
    parser.add_argument("command", choices=["install"], help="install what is missing")
    parser.parse_args()
    try:
        install()
    except NotInstalled as exc:
        print(f"servers: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
