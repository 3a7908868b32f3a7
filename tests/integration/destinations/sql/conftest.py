"""Fixtures of the tests on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archives.databases import Server, own_schema


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    """A schema of the test's own, which is not there yet."""
    with own_schema(postgres) as name:
        yield name
