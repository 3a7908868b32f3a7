"""Content that turns up later than every listing looks back: once an hour all that the service still has is listed again."""

from __future__ import annotations

from ualpipe.pipeline.clock import Clock
from ualpipe.sources._windows import Window, earliest

EVERY_S = 3600.0


class LateContent:
    """Says when, and for what period, a content type is to be listed beyond its ``lookback``.

    After incidents of the service content has turned up days late. To look for it costs a few requests an hour. The first look is
    an hour after the start, so that a bounded run, or a single listing, is not burdened with it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked_at: dict[str, float] = {}

    def due(self, content_type: str, listed: Window) -> Window | None:
        """Returns the period before what was listed just now, where it is time to look there; notes that it is being done.

        Args:
            content_type: What was listed.
            listed: The period.
        """
        now = self._clock.monotonic()
        if now - self._looked_at.setdefault(content_type, now) < EVERY_S:
            return None
        self._looked_at[content_type] = now
        begin = earliest(self._clock.now()).replace(microsecond=0)
        return Window(begin, listed.start) if begin < listed.start else None
