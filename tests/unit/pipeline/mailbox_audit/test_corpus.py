"""Exports of sixty mailboxes in every shape: each planted state is named rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailboxes.corpus import PLANTED, SHAPES, passed_over
from ualpipe.pipeline.mailbox_audit.actions import LOGONS
from ualpipe.pipeline.mailbox_audit.exports import read_exports
from ualpipe.pipeline.mailbox_audit.judging import Verdict, judge
from ualpipe.pipeline.mailbox_audit.mailboxes import Tenant, tenant_of
from ualpipe.pipeline.mailbox_audit.profiles import load_profile

EXPECTED = {plant.address: (plant.state, dict(zip(LOGONS, map(list, plant.missing), strict=True))) for plant in PLANTED}


def tenant_in(folder: Path, content: bytes, *others: str) -> Tenant:
    (folder / "mailboxes").write_bytes(content)
    paths = [folder / "mailboxes"]
    for number, text in enumerate((passed_over(), *others)):
        (folder / f"other{number}").write_text(text, encoding="utf-8")
        paths.append(folder / f"other{number}")
    return tenant_of(read_exports(paths))


def verdicts_in(tenant: Tenant) -> dict[str, Verdict]:
    found = judge(tenant, load_profile("asd-2024"), "e5")
    assert len({verdict.mailbox.name for verdict in found}) == len(found)
    return {verdict.mailbox.name: verdict for verdict in found}


def test_there_are_sixty_planted_mailboxes_of_every_state():
    assert len(PLANTED) == 60
    assert {plant.state for plant in PLANTED} == {
        *("complete", "missing actions", "auditing off", "bypass", "age limit", "not supported", "not exported")
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_every_planted_state_is_named_rightly_in_every_shape(shape, tmp_path):
    tenant = tenant_in(tmp_path, SHAPES[shape]())
    verdicts = verdicts_in(tenant)
    found = {name: (one.state, {logon: list(one.missing[logon]) for logon in LOGONS}) for name, one in verdicts.items()}
    assert found == EXPECTED
    assert not tenant.notes.has_loss


@pytest.mark.parametrize("shape", SHAPES)
def test_every_planted_finding_is_there(shape, tmp_path):
    verdicts = verdicts_in(tenant_in(tmp_path, SHAPES[shape]()))
    assert [
        plant.address for plant in PLANTED if plant.finding not in {one.name for one in verdicts[plant.address].findings} | {""}
    ] == []


@pytest.mark.parametrize(
    "other",
    [
        '"AuditDisabled"\r\n"True"\r\n',
        '{"AuditDisabled": true}',
        "AuditDisabled : True\n",
        '{"UnifiedAuditLogIngestionEnabled": false}',
    ],
)
def test_a_switch_of_the_organisation_is_the_state_of_every_mailbox(other, tmp_path):
    verdicts = verdicts_in(tenant_in(tmp_path, SHAPES["JSON"](), other))
    assert {verdict.state for verdict in verdicts.values()} == {"organisation switch"}


def test_the_same_mailboxes_in_two_shapes_are_sixty(tmp_path):
    (tmp_path / "second.xml").write_bytes(SHAPES["CLIXML"]())
    (tmp_path / "first.csv").write_bytes(SHAPES["comma"]())
    tenant = tenant_of(read_exports([tmp_path / "first.csv", tmp_path / "second.xml"]))
    assert len(tenant.mailboxes) == 60
    assert [mailbox.name for mailbox in tenant.mailboxes if mailbox.differing] == []


def test_localised_booleans_are_named_with_file_and_line(tmp_path):
    notes = list(tenant_in(tmp_path, SHAPES["German spreadsheet"]()).notes)
    assert any(note.line == 2 and "'WAHR' is taken for True" in note.text for note in notes)
    assert not any(note.is_loss for note in notes)
