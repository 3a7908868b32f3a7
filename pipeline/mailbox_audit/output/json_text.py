"""A report as JSON."""

from __future__ import annotations

import orjson

from ualpipe.pipeline.mailbox_audit.report import Report, document
from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.wording import visible_json


def json_text(report: Report) -> str:
    """Returns JSON over several lines."""
    return visible_json(blanked(orjson.dumps(document(report), option=orjson.OPT_INDENT_2).decode()), keeps_lines=True) + "\n"
