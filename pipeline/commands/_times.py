"""Times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.options import parse_duration


def parse_time(option: str, text: str, now: datetime) -> datetime:
    """Returns the instant that an option names.

    Args:
        option: Name of the option, for errors.
        text: A date or date with time (ISO 8601; UTC where it names no zone), or a duration before now (``7d``).
        now: The present, with zone.

    Raises:
        ConfigError: The text has another form.
    """
    try:
        return now - timedelta(seconds=parse_duration(text))
    except OverflowError:
        raise ConfigError(f"{option}: {text} ago is before all calendars") from None
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        example = "write 2026-11-20, 2026-11-20T08:00:00Z, or 7d for 7 days ago"
        raise ConfigError(f"{option}: {text!r} is not a time: {example}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ago(seconds: float | None) -> str:
    """Returns how long ago something was: ``5 s ago``, ``3 min ago``, ``2 h ago``, ``4 days ago``; ``never`` for None."""
    if seconds is None:
        return "never"
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s ago"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min ago"
    hours = round(seconds / 3600)
    return f"{hours} h ago" if hours < 48 else f"{round(seconds / 86400)} days ago"
