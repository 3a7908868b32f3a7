"""Options of the ``validate`` transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ualpipe.pipeline.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateTransformConfig:
    """Options of the ``validate`` transform."""

    on_invalid: Literal["forward", "dead_letter"] = option(
        "What becomes of a record that does not fit its schema, or is not JSON: `forward` passes it on, marked as "
        "`event.kind: pipeline_error` with the findings in `error.message`; `dead_letter` sets it aside with the findings.",
        default="forward",
    )
    drift: bool = option(
        "Note record types, operations and fields that ualpipe does not know, for `ualpipe status` and the log. The records "
        "are passed on as they are.",
        default=True,
    )
