"""The sink `sql` against a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from sql_databases import Server, ids_in, make_sink
from ualpipe.testing import SINK_CHECKS, SinkCase


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_the_sink_keeps_the_contract(check: Any, postgres: Server, schema: str) -> None:
    check(SinkCase(lambda: make_sink(postgres, schema), lambda: ids_in(postgres, schema)))
