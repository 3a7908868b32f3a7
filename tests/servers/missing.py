"""What a test does when a server it needs is not to be had."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skips the test that asks; fails it where ``UALPIPE_REQUIRE_SERVERS=1``, as in CI."""
    if os.environ.get("UALPIPE_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
