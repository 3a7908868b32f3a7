"""What the sink needs in Azure: table, data collection rule and role as a template, and functions for queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ualpipe.sinks.sentinel.tables import ProfileName
from ualpipe.sinks.sentinel.template import arm, bicep, kql

Format = Literal["arm", "bicep", "kql"]

_WRITERS: dict[Format, Callable[[ProfileName], str]] = {"arm": arm.template, "bicep": bicep.template, "kql": kql.functions}


def template(profile: ProfileName, form: Format) -> str:
    """Returns the text of a template."""
    return _WRITERS[form](profile)
