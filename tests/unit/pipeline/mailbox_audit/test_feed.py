"""Crossing with a store: an archive of records, made by the transforms and the sink themselves."""

from __future__ import annotations

import json

import pytest

from archives.scene import NOW, fill, store_of
from fakes import record
from mailboxes.corpus import PLANTED, Planted, as_csv, passed_over
from ualpipe.pipeline.cli import main
from ualpipe.pipeline.commands._mailbox_feed import seen_in
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.mailbox_audit.feed import Seen

pytestmark = pytest.mark.usefixtures("quiet_logs")
OTHER_TENANT = "99999999-2222-4333-8444-555555555555"


def planted(state: str, at: int = 0) -> Planted:
    return [plant for plant in PLANTED if plant.state == state][at]


def act(number: int, plant: Planted, operation: str, logon_type: int = 0, **more: object) -> dict[str, object]:
    members = {
        "Operation": operation,
        "RecordType": 2,
        "Workload": "Exchange",
        "MailboxGuid": plant.exchange_guid.upper(),
        "MailboxOwnerUPN": plant.address,
        "LogonType": logon_type,
        "CreationTime": f"2026-11-{10 + number % 15:02}T08:00:00",
    }
    return record(number, **(members | more))


OFF, COMPLETE, DEFAULT = planted("auditing off"), planted("complete"), planted("missing actions")
RECORDS = [
    act(1, OFF, "Update"),
    act(2, OFF, "SoftDelete", 2),
    act(3, COMPLETE, "Update"),
    act(4, COMPLETE, "MailItemsAccessed", RecordType=50),
    act(5, COMPLETE, "UpdateFolderPermissions", 2),
    act(6, COMPLETE, "AddFolderPermissions", 2),
    act(7, DEFAULT, "SendAs", 0, MailboxGuid=None, MailboxOwnerUPN=DEFAULT.address.upper()),
    act(8, DEFAULT, "Create", 1),
    act(9, COMPLETE, "HardDelete", MailboxGuid="00000000-1111-4222-8333-444444444444", MailboxOwnerUPN="nobody@contoso.com"),
    act(10, planted("complete", 1), "New-InboxRule", RecordType=1),
]


@pytest.fixture
def crossed(tmp_path, capsys):
    def run(*options: str, records=RECORDS) -> dict:
        fill(tmp_path / "archive", records)
        (tmp_path / "boxes.csv").write_text(as_csv())
        (tmp_path / "bypass.csv").write_text(passed_over())
        paths = [str(tmp_path / "boxes.csv"), str(tmp_path / "bypass.csv")]
        main(
            ["mailbox-audit", *paths, "--profile", "asd-2024", "--format", "json", "--store", str(tmp_path / "archive"), *options]
        )
        return json.loads(capsys.readouterr().out)

    return run


def findings(found: dict, plant: Planted) -> list[str]:
    return next(box["findings"] for box in found["mailboxes"] if box["mailbox"] == plant.address)


def test_a_mailbox_that_talks_though_off_is_named_with_how_often_and_when(crossed):
    found = crossed()
    assert "talks though off: 2 records in the store, the last of 2026-11-12" in findings(found, OFF)
    assert found["store"]["talking_though_off"] == 1


def test_silent_mailboxes_are_named_and_others_are_not(crossed):
    found = crossed()
    assert not [one for one in findings(found, COMPLETE) if one.startswith("silent")]
    assert not [one for one in findings(found, DEFAULT) if one.startswith("silent")]
    silent = [
        one for one in findings(found, planted("complete", 1)) if one.startswith("silent: no record in the store from 2026-11-")
    ]
    assert silent  # a new rule is no record of the mailbox
    assert found["store"]["silent"] == 60 - 5 - 4 - 2  # of auditing off, not supported, with records


def test_what_was_seen_though_no_list_has_it_is_named(crossed):
    assert "seen though not listed: owner: MailItemsAccessed" in findings(crossed(), COMPLETE)


def test_folder_permissions_are_seen_as_the_action_that_covers_them(crossed):
    assert not [one for one in findings(crossed(), COMPLETE) if "FolderPermissions" in one]


def test_records_without_a_mailbox_id_are_found_by_the_owners_address(crossed):
    found = crossed()
    assert not [one for one in findings(found, DEFAULT) if "SendAs" in one]  # of a delegate, though the log-on says owner
    assert "SendAs" not in found["store"]["never_seen"]["delegate"]


def test_actions_that_were_never_seen_are_listed_by_log_on(crossed):
    never = crossed()["store"]["never_seen"]
    assert "Update" not in never["owner"]
    assert "MoveToDeletedItems" in never["owner"]
    assert "Create" not in never["admin"]
    assert "UpdateFolderPermissions" not in never["delegate"]


def test_mailboxes_that_no_export_names_are_counted(crossed):
    assert crossed()["store"]["not_exported"] == 1


def test_the_period_is_said_and_that_nobody_knows_of_gaps(crossed):
    found = crossed("--since", "2026-11-14")
    assert found["store"]["first"] == "2026-11-14T00:00:00Z"
    assert not found["store"]["coverage_known"]
    assert any("silence may be a gap" in one for one in found["remarks"])
    assert not [one for one in findings(found, OFF) if one.startswith("talks")]  # before that


def test_of_several_tenants_the_one_of_the_exports_is_to_be_named(tmp_path, capsys):
    records = [*RECORDS, act(20, OFF, "Update", OrganizationId=OTHER_TENANT)]
    store = store_of(tmp_path, records)
    with pytest.raises(ConfigError, match=r"events of several tenants .* with --tenant"):
        seen_in(store, None, None, NOW)
    store.close()


def test_a_tenant_is_asked_for_without_case_and_refused_where_it_is_not_there(tmp_path):
    store = store_of(tmp_path, [act(20, OFF, "Update", OrganizationId=OTHER_TENANT)])
    seen, period = seen_in(store, OTHER_TENANT.upper(), None, NOW)
    assert [(one.mailbox_id, one.operation, one.events) for one in seen] == [(OFF.exchange_guid, "Update", 1)]
    assert isinstance(seen[0], Seen)
    assert period.first == period.last
    with pytest.raises(ConfigError, match="has no events of nobody"):
        seen_in(store, "nobody", None, NOW)
    store.close()


def test_an_empty_store_says_so_and_calls_nobody_silent(crossed):
    found = crossed(records=[act(1, OFF, "Update")])
    empty = crossed("--since", "2026-11-29", records=[act(1, OFF, "Update")])
    assert found["store"]["records"] == 1
    assert (empty["store"]["records"], empty["store"]["silent"], empty["store"]["first"]) == (0, 0, None)
