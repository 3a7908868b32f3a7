"""The picture of an answer: when its rows took place, and where the answer is blind, as SVG within a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from html import escape

from ualpipe.pipeline.report.running import Answer
from ualpipe.pipeline.report.values import instant
from ualpipe.pipeline.stages import Instant
from ualpipe.pipeline.wording import counted

_BARS = 72
_WIDTH, _HEIGHT = 720, 90
_STEPS = tuple(
    timedelta(seconds=seconds) for seconds in (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400)
)
_LONGEST_STEP = timedelta(days=30)
Stretch = tuple[Instant, Instant]


def timeline(answer: Answer, zone: tzinfo) -> str:
    """Returns a figure; an empty text where the report has no column of instants, or nothing to be shown."""
    names = [column.name for column in answer.report.columns]
    if not answer.report.timeline:
        return ""
    at = names.index(answer.report.timeline)
    times = [value for row in answer.rows if isinstance(value := row.values[at], datetime) and value.tzinfo]
    bounds = _bounds(answer, times)
    if bounds is None:
        return ""
    begin, step, count = _division(*bounds)
    bars = [0] * count
    for time in times:
        if 0 <= (place := (time - begin) // step) < count:
            bars[place] += 1
    end = begin + count * step
    blind = list(_blind(answer, begin, end))
    title = f"Rows by {answer.report.columns[at].title}, {instant(begin, zone)} to {instant(end, zone)}"
    return _figure(
        title, _description(bars, begin, step, zone, is_blind=bool(blind)), bars, _shares(blind, begin, end), begin, end, zone
    )


def _bounds(answer: Answer, times: Sequence[Instant]) -> Stretch | None:
    """Returns the period asked for, where it has bounds; else that of the rows, or of what is covered."""
    selection, covered = answer.asked.selection, answer.covered
    begin = selection.since or min(times, default=covered.first)
    end = min(selection.until or answer.asked.now, answer.asked.now)
    if not selection.since and not selection.until and times:
        end = max(times) + timedelta(seconds=1)
    return (begin, end) if begin and begin < end else None


def _division(begin: Instant, end: Instant) -> tuple[Instant, timedelta, int]:
    """Returns where bars begin, how long each is, and how many there are."""
    step = next((one for one in _STEPS if (end - begin) / one <= _BARS), _LONGEST_STEP)
    while (end - begin) / step > _BARS:
        step *= 2
    return begin, step, max(1, -(-(end - begin) // step))


def _blind(answer: Answer, begin: Instant, end: Instant) -> Iterator[Stretch]:
    """Yields the stretches of the picture that the answer does not cover; all of it where nobody knows."""
    covered = answer.covered
    until = min(end, answer.asked.now)
    if covered.state != "unknown" and covered.since and covered.until:
        yield begin, covered.since
        yield covered.until, until
        yield from ((gap.since, gap.until) for gap in covered.gaps)
    elif covered.state != "unknown":
        yield begin, until


def _shares(stretches: Iterable[Stretch], begin: Instant, end: Instant) -> list[tuple[float, float]]:
    """Returns where stretches begin in the picture and how wide they are."""
    whole = end - begin
    clipped = ((max(since, begin), min(until, end)) for since, until in stretches)
    return [((since - begin) / whole * _WIDTH, (until - since) / whole * _WIDTH) for since, until in clipped if since < until]


def _description(bars: Sequence[int], begin: Instant, step: timedelta, zone: tzinfo, *, is_blind: bool) -> str:
    most = max(bars)
    peak = f"; most, {counted(most, 'row')}, from {instant(begin + bars.index(most) * step, zone)}" if most else ""
    blind = "; grey stretches are not covered" if is_blind else ""
    return f"{counted(sum(bars), 'row')}, a bar for each {_length(step)}{peak}{blind}"


def _length(step: timedelta) -> str:
    for unit, noun in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if step >= unit:
            return noun if step == unit else f"{step // unit} {noun}s"
    return f"{step.seconds} seconds" if step.seconds > 1 else "second"


def _figure(
    title: str,
    description: str,
    bars: Sequence[int],
    blind: Sequence[tuple[float, float]],
    begin: Instant,
    end: Instant,
    zone: tzinfo,
) -> str:
    most, width = max(bars) or 1, _WIDTH / len(bars)
    grey = "".join(f'<rect class="blind" x="{x:.1f}" y="0" width="{max(wide, 1):.1f}" height="{_HEIGHT}"/>' for x, wide in blind)
    drawn = "".join(
        f'<rect class="bar" x="{at * width + 0.5:.1f}" y="{_HEIGHT - high:.1f}" width="{max(width - 1, 1):.1f}" '
        f'height="{high:.1f}"/>'
        for at, count in enumerate(bars)
        if count and (high := max(3, count / most * (_HEIGHT - 6)))
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{grey}{drawn}"
        f'<line class="base" x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/></svg>'
        f'<div class="ends"><span>{instant(begin, zone)}</span><span>{instant(end, zone)}</span></div>'
        f"<figcaption>{escape(description)}</figcaption></figure>"
    )
