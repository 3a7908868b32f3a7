"""Platforms on which jsonschema-rs can't be imported, for tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ualpipe.pipeline.json_schema import accelerator

WITHOUT_JSONSCHEMA_RS = "import sys; sys.modules['jsonschema_rs'] = None\n"
"""What a program begins with on such a platform."""


@contextmanager
def without_jsonschema_rs() -> Iterator[None]:
    """Lets schemas be compiled as on such a platform; they stay so."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "jsonschema_rs", None)
        accelerator.load.cache_clear()
        yield
    accelerator.load.cache_clear()
