"""Names of the files of answers: ``REPORT-TENANT-PERIOD.html``. Pure."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ualpipe.pipeline.report.contract import Asked
from ualpipe.pipeline.report.formats.all_formats import ENDINGS
from ualpipe.pipeline.report.running import Answer

_ODD = re.compile(r"[^A-Za-z0-9._@-]+")
_LONGEST = 100  # characters of a tenant in a name
_DAY = timedelta(days=1)
_INSTANT = "%Y%m%dT%H%M%S"


def file_name(answer: Answer, form: str) -> str:
    """Returns the name of the file of an answer in a format."""
    tenants = answer.asked.selection.tenants
    tenant = _ODD.sub("_", tenants[0])[:_LONGEST].lstrip(".") if len(tenants) == 1 else "all"
    return f"{answer.report.name}-{tenant}-{period_text(answer.asked)}{ENDINGS[form]}"


def period_text(asked: Asked) -> str:
    """Returns a period for a name: a month, a day, days from to, instants, or ``all``; local time."""
    zone = ZoneInfo(asked.timezone)
    since, until = (one.astimezone(zone) if one else None for one in (asked.selection.since, asked.selection.until))
    if since and until and _is_midnight(since) and _is_midnight(until):
        first, last = since.date(), until.date() - _DAY
        if first.day == 1 and (last + _DAY).day == 1 and (first.year, first.month) == (last.year, last.month):
            return f"{first:%Y-%m}"
        return first.isoformat() if first == last else f"{first.isoformat()}_{last.isoformat()}"
    if not since and not until:
        return "all"
    return f"{_text(since, 'begin')}_{_text(until or asked.now.astimezone(zone), '')}"


def _is_midnight(moment: datetime) -> bool:
    return moment.time() == time()


def _text(moment: datetime | None, otherwise: str) -> str:
    return f"{moment:{_INSTANT}}" if moment else otherwise
