"""Values as PowerShell writes them, so that nothing foreign is run."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ualpipe.pipeline.wording import visible

_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")  # all of which end a text in single quotes
_LONGEST = 1000


def text(value: str) -> str:
    """Returns a text in single quotes, in which PowerShell expands nothing; what acts or can't be seen is a visible escape."""
    return f"'{_QUOTES.sub(lambda found: found[0] * 2, visible(value[:_LONGEST]))}'"


def texts(values: Iterable[str]) -> str:
    """Returns a list of texts."""
    return f"@({', '.join(map(text, values))})"


def truth(value: bool) -> str:  # noqa: FBT001 - it is what is written
    """Returns a boolean."""
    return "$true" if value else "$false"
