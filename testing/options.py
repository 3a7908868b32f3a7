"""What the engine and the docs rely on in a stage's ``Config``."""

from __future__ import annotations

import dataclasses
from typing import Any

from ualpipe.pipeline.options import schema_of


def check_options(stage: Any) -> None:
    """Checks that each option of a stage is described, and that its config can't be changed.

    Args:
        stage: A stage class.

    Raises:
        AssertionError: One of these does not hold.
    """
    config: Any = stage.Config
    assert dataclasses.is_dataclass(config), f"{stage.__name__}.Config is not a dataclass"
    assert stage.Config.__dataclass_params__.frozen, f"{stage.Config.__name__} is not frozen"
    for name, option in schema_of(stage.Config)["properties"].items():
        assert option["description"].strip(), f"{stage.Config.__name__}.{name} has no description"
    assert (stage.__doc__ or "").strip(), f"{stage.__name__} has no docstring: the reference begins with it"
