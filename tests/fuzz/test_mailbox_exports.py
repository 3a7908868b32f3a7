"""Exports of mailbox settings: whatever comes, they are mailboxes, accounts and notes, within bounds."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fuzz.odd_bytes import acting, anything, objects, spoilt
from fuzz.targets import reads
from mailboxes.corpus import SHAPES
from mailboxes.powershell import commands, errors
from ualpipe.pipeline.mailbox_audit.exports.clixml import rows_of_clixml
from ualpipe.pipeline.mailbox_audit.exports.csv_table import rows_of_csv
from ualpipe.pipeline.mailbox_audit.exports.json_rows import rows_of_json
from ualpipe.pipeline.mailbox_audit.exports.model import RawRow, UnreadableExport
from ualpipe.pipeline.mailbox_audit.exports.reader import Exports, read_member
from ualpipe.pipeline.mailbox_audit.exports.text_list import rows_of_text_list
from ualpipe.pipeline.mailbox_audit.judging import STATES, judge
from ualpipe.pipeline.mailbox_audit.mailboxes import tenant_of
from ualpipe.pipeline.mailbox_audit.output import csv_text, json_text, page
from ualpipe.pipeline.mailbox_audit.profiles import load_profile
from ualpipe.pipeline.mailbox_audit.report import Report, by_severity
from ualpipe.pipeline.mailbox_audit.scripts import fix_script
from ualpipe.pipeline.reading.lines import lines_of
from ualpipe.pipeline.reading.unpacking import unpacked

_NOW = datetime(2026, 12, 1, tzinfo=UTC)
_NAMES = (
    "Guid",
    "UserPrincipalName",
    "DisplayName",
    "RecipientTypeDetails",
    "AuditEnabled",
    "AuditOwner",
    "AuditLogAgeLimit",
    "value",
)


def exported() -> st.SearchStrategy[bytes]:
    """Makes exports in every shape, of which a few objects are left."""

    def some(shape: str, size: int) -> bytes:
        return SHAPES[shape]()[: 200 + size]

    return st.builds(some, st.sampled_from(sorted(SHAPES)), st.integers(0, 20_000))


def contents() -> st.SearchStrategy[bytes]:
    objects_of_ours = st.lists(objects(*_NAMES), max_size=4).map(lambda found: b"[" + b",\n".join(found) + b"]")
    return spoilt(exported() | objects_of_ours) | anything()


def drained(rows: object) -> None:
    """Reads rows to their end, or to the error that says why not."""
    try:
        for row in rows:
            assert isinstance(row, RawRow)
            assert row.line >= 0
    except UnreadableExport:
        pass


@reads(
    "ualpipe.pipeline.mailbox_audit.exports.clixml:rows_of_clixml",
    "ualpipe.pipeline.mailbox_audit.exports.csv_table:rows_of_csv",
    "ualpipe.pipeline.mailbox_audit.exports.json_rows:rows_of_json",
    "ualpipe.pipeline.mailbox_audit.exports.text_list:rows_of_text_list",
)
@given(contents())
def test_each_reader_yields_rows_or_says_why_not(content: bytes) -> None:
    drained(rows_of_clixml(iter([content])))
    drained(rows_of_json(content))
    drained(rows_of_text_list(lines_of([content])))
    drained(rows_of_csv(lines_of([content])))


@reads("ualpipe.pipeline.mailbox_audit.exports.reader:read_member")
@given(st.lists(contents(), min_size=1, max_size=3))
def test_whatever_is_exported_is_judged_written_and_nothing_in_it_acts(bodies: list[bytes]) -> None:
    exports = Exports()
    for number, body in enumerate(bodies):
        for member in unpacked([body]):
            read_member(member, f"file{number}", exports)
    tenant, profile = tenant_of(exports), load_profile("asd-2024")
    verdicts = judge(tenant, profile, "e5")
    assert {verdict.state for verdict in verdicts} <= set(STATES)
    report = Report(tenant, profile, "e5", by_severity(verdicts), None, _NOW, "1")
    assert len(json.loads(json_text(report))["mailboxes"]) == len(verdicts)
    assert not acting(json_text(report).replace("\n", "")) | acting(page(report).replace("\n", ""))
    assert csv_text(report)
    script = fix_script(tenant, verdicts, profile).content
    assert errors(script) == []
    assert {name for name, _, _ in commands(script)} == _COMMANDS


_COMMANDS = {name for name, _, _ in commands(fix_script(tenant_of(Exports()), [], load_profile("asd-2024")).content)}
