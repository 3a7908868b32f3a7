"""The outcome of a bulk write as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from ualpipe.pipeline.errors import SinkError, SinkRejected


def raise_if_all_failed(errors: Mapping[int, SinkError], count: int) -> None:
    """Raises the first error when no event is delivered and all failed for the same reason, which is then not the events' own.

    Args:
        errors: What went wrong, by position.
        count: How many events were written.

    Raises:
        SinkError: One of ``errors``; never a ``SinkRejected``, which concerns one event.
    """
    kinds = {type(error) for error in errors.values()}
    if len(errors) == count and len(kinds) == 1 and SinkRejected not in kinds:
        raise next(iter(errors.values()))
