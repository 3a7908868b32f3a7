"""Counts how many events each transform let pass: in metrics, a few calls for the batches of a write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ualpipe.pipeline import metrics as m
from ualpipe.pipeline.metrics import Metrics


def count_steps(steps: Iterable[Sequence[int]], sink: str, metrics: Metrics) -> None:
    """Adds what came to each transform, passed it, and was left out.

    Args:
        steps: Of each batch: how many events came to the first transform, and how many passed each of them.
        sink: For which the batches are.
        metrics: Gets the sums.
    """
    sums = [sum(column) for column in zip(*filter(None, steps), strict=False)]
    for at, (came, passed) in enumerate(pairwise(sums)):
        labels = {"sink": sink, "transform": str(at)}
        metrics.add(m.TRANSFORM_IN, came, **labels)
        metrics.add(m.TRANSFORM_PASSED, passed, **labels)
        metrics.add(m.TRANSFORM_LEFT_OUT, came - passed, **labels)
