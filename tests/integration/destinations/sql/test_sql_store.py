"""The store over a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from archives.databases import Server, opened, opened_store
from archives.scene import written
from archives.store_suite import *  # noqa: F403 - what every store answers
from archives.store_suite import StoreWith
from ualpipe.pipeline.report.contract import Store


@pytest.fixture
def store_with(postgres: Server, schema: str) -> Iterator[StoreWith]:
    with ExitStack() as stack:

        def filled(records: Any) -> Store:
            with opened(postgres, schema) as sink:
                written(sink, records)
            return stack.enter_context(opened_store(postgres, schema))

        yield filled
