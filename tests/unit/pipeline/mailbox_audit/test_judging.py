"""Joining by ids, and verdicts on single mailboxes."""

from __future__ import annotations

import csv
import io

import pytest

from mailboxes.corpus import ADMIN, DEFAULT_ADMIN, DELEGATE, GROUP, OWNER
from ualpipe.pipeline.mailbox_audit.actions import LOGONS
from ualpipe.pipeline.mailbox_audit.exports import read_exports
from ualpipe.pipeline.mailbox_audit.judging import STATES, Verdict, judge
from ualpipe.pipeline.mailbox_audit.mailboxes import Tenant, tenant_of
from ualpipe.pipeline.mailbox_audit.profiles import load_profile

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
COMPLETE = {
    "Guid": ONE,
    "UserPrincipalName": "alice@contoso.com",
    "RecipientTypeDetails": "UserMailbox",
    "AuditEnabled": "True",
    "AuditLogAgeLimit": "90.00:00:00",
    "DefaultAuditSet": "",
    "AuditAdmin": ",".join(ADMIN),
    "AuditDelegate": ",".join(DELEGATE),
    "AuditOwner": ",".join(OWNER),
}


@pytest.fixture
def tenant(tmp_path):
    def of(*exports: list[dict[str, str]]) -> Tenant:
        for number, rows in enumerate(exports):
            buffer = io.StringIO()
            writer = csv.DictWriter(buffer, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
            (tmp_path / f"{number}.csv").write_text(buffer.getvalue())
        return tenant_of(read_exports(sorted(tmp_path.iterdir())))

    return of


def verdict(tenant: Tenant, profile: str = "asd-2024", licence: str = "e5") -> Verdict:
    (found,) = judge(tenant, load_profile(profile), licence)
    return found


def missing(found: Verdict) -> list[list[str]]:
    return [list(found.missing[logon]) for logon in LOGONS]


def findings(found: Verdict) -> str:
    return "\n".join(map(str, found.findings))


def without(*columns: str, **changed: str) -> dict[str, str]:
    return {name: value for name, value in (COMPLETE | changed).items() if name not in columns}


# --- joining ---------------------------------------------------------------------------------------------------------


def test_a_bypass_is_joined_by_id_and_never_by_name(tenant):
    boxes = [
        COMPLETE | {"DisplayName": "Alice"},
        COMPLETE | {"Guid": TWO, "UserPrincipalName": "bob@contoso.com", "DisplayName": "Alice"},
    ]
    found = tenant(boxes, [{"Name": "Alice", "Guid": TWO, "AuditBypassEnabled": "True"}])
    assert [mailbox.is_passed_over for mailbox in found.mailboxes] == [None, True]


def test_a_bypass_that_is_known_by_name_alone_is_listed_and_joined_with_no_mailbox(tenant):
    found = tenant([COMPLETE | {"DisplayName": "Alice"}], [{"Name": "Alice", "AuditBypassEnabled": "True"}])
    assert found.mailboxes[0].is_passed_over is None
    assert [account.name for account in found.passed_over] == ["Alice"]
    assert not found.has_accounts
    assert "names are not unique" in next(iter(found.notes)).text


@pytest.mark.parametrize("column", ["Guid", "ExchangeObjectId", "ExternalDirectoryObjectId"])
def test_a_bypass_is_joined_by_each_id_that_both_exports_have(tenant, column):
    box = without("Guid") | {column: ONE}
    found = tenant([box], [{"Name": "x", column: ONE, "AuditBypassEnabled": "True"}])
    assert found.mailboxes[0].is_passed_over is True


def test_an_id_of_one_sort_is_none_of_another(tenant):
    found = tenant([COMPLETE], [{"Name": "x", "ExternalDirectoryObjectId": ONE, "AuditBypassEnabled": "True"}])
    assert found.mailboxes[0].is_passed_over is None


def test_a_mailbox_twice_in_an_export_is_one_and_said_to_be(tenant):
    found = tenant([COMPLETE, COMPLETE])
    assert len(found.mailboxes) == 1
    assert [note.text for note in found.notes] == ["alice@contoso.com is also in line 2"]


def test_of_two_rows_that_differ_the_narrower_setting_counts(tenant):
    narrow = COMPLETE | {"AuditOwner": "Update", "AuditEnabled": "False", "AuditLogAgeLimit": "10.00:00:00"}
    found = verdict(tenant([COMPLETE, narrow]))
    assert found.state == "auditing off"
    assert missing(found)[2] == sorted(set(OWNER) - {"Update"})
    assert "differing rows: AuditOwner, AuditEnabled, AuditLogAgeLimit" in findings(found)


def test_exports_complete_one_another(tenant):
    found = verdict(
        tenant([without("AuditOwner", "DefaultAuditSet")], [{"Guid": ONE, "AuditOwner": ",".join(OWNER), "DefaultAuditSet": ""}])
    )
    assert found.state == "complete"


def test_a_list_that_is_whole_counts_before_one_that_is_cut(tenant):
    found = verdict(tenant([COMPLETE | {"AuditAdmin": "{ApplyRecord…}"}, COMPLETE]))
    assert found.state == "complete"


def test_two_mailboxes_with_one_sign_in_name_and_two_ids_are_two(tenant):
    assert len(tenant([COMPLETE, COMPLETE | {"Guid": TWO}]).mailboxes) == 2


def test_rows_without_ids_are_joined_by_sign_in_name(tenant):
    assert len(tenant([without("Guid")], [COMPLETE]).mailboxes) == 1


# --- lists -----------------------------------------------------------------------------------------------------------


def test_what_is_not_exported_is_never_missing(tenant):
    found = verdict(tenant([without("AuditOwner", "DefaultAuditSet")]))
    assert (found.state, missing(found)) == ("not exported", [[], [], []])
    assert "owner: whether ApplyRecord, Create, HardDelete and 9 more are audited" in findings(found)


def test_no_audit_columns_at_all_is_not_exported(tenant):
    found = verdict(tenant([{"Guid": ONE, "UserPrincipalName": "a@contoso.com", "RecipientTypeDetails": "UserMailbox"}]))
    assert (found.state, missing(found)) == ("not exported", [[], [], []])


def test_of_a_list_that_is_cut_nothing_is_missing(tenant):
    found = verdict(tenant([COMPLETE | {"AuditAdmin": "{ApplyRecord, Copy…}"}]))
    assert (found.state, missing(found)) == ("not exported", [[], [], []])


def test_a_default_set_without_its_list_has_microsofts_actions_and_no_other(tenant):
    found = verdict(tenant([without("AuditAdmin", DefaultAuditSet="Admin")]))
    assert missing(found)[0] == ["Copy", "FolderBind", "Move", "RecordDelete"]


def test_with_e3_a_default_set_tells_of_mail_items_accessed_only_where_its_list_is_exported(tenant):
    rows = [without("AuditAdmin", DefaultAuditSet="Admin")]
    assert "MailItemsAccessed" not in verdict(tenant(rows), "cis-e5").missing["admin"]
    found = verdict(tenant(rows), "cis-e5", "e3")
    assert "MailItemsAccessed" not in found.missing["admin"]
    assert list(found.unknown["admin"]) == ["MailItemsAccessed", "Send"]
    shown = [COMPLETE | {"AuditAdmin": ",".join(set(DEFAULT_ADMIN) - {"Send"}), "DefaultAuditSet": "Admin"}]
    assert "Send" in verdict(tenant(shown), "cis-e5", "e3").missing["admin"]
    assert "Send" not in verdict(tenant(shown), "cis-e5").missing["admin"]


def test_a_frozen_list_below_microsofts_default_is_said_although_the_profile_does_not_ask(tenant):
    found = verdict(tenant([COMPLETE]))
    assert found.state == "complete"
    assert "by default: admin: MailItemsAccessed, Send; delegate: MailItemsAccessed; owner: MailItemsAccessed, Send" in findings(
        found
    )


def test_a_group_has_its_fixed_lists_whatever_is_exported(tenant):
    found = verdict(tenant([{"Guid": ONE, "UserPrincipalName": "g@contoso.com", "RecipientTypeDetails": "GroupMailbox"}]))
    assert (found.state, missing(found)) == ("complete", [[], [], []])
    assert found.audited["admin"] == frozenset(GROUP)


def test_a_type_that_is_not_exported_is_judged_as_a_user_and_said_to_be(tenant):
    found = verdict(tenant([without("RecipientTypeDetails")]))
    assert found.state == "complete"
    assert "RecipientTypeDetails: judged as the mailbox of a user" in findings(found)


def test_a_resource_is_held_to_a_profile_that_speaks_of_it(tenant):
    room = COMPLETE | {"RecipientTypeDetails": "RoomMailbox", "AuditAdmin": "Update", "AuditDelegate": "Update"}
    assert verdict(tenant([room])).state == "not supported"
    found = verdict(tenant([room]), "netwrix")
    assert found.state == "missing actions"
    assert "Copy" in found.missing["admin"]
    assert "not supported" in findings(found)


@pytest.mark.parametrize(("licence", "said"), [("e3", "do not reach the unified log"), ("e5", "passes over")])
def test_what_auditing_off_means_depends_on_the_licence(tenant, licence, said):
    found = verdict(tenant([COMPLETE | {"AuditEnabled": "False"}]), licence=licence)
    assert found.state == "auditing off"
    assert said in findings(found)


@pytest.mark.parametrize(
    ("profile", "age", "state"),
    [
        ("asd-2024", "89.23:00:00", "age limit"),
        ("asd-2024", "90.00:00:00", "complete"),
        ("cis-e3", "90.00:00:00", "complete"),
        ("netwrix", "1.00:00:00", "complete"),
        ("netwrix", "00:00:00", "age limit"),
    ],
)
def test_the_age_limit_is_held_to_that_of_the_profile(tenant, profile, age, state):
    assert verdict(tenant([COMPLETE | {"AuditLogAgeLimit": age}]), profile).state == state


def test_the_worst_that_is_true_is_the_state(tenant):
    box = COMPLETE | {"AuditEnabled": "False", "AuditOwner": "", "AuditLogAgeLimit": "0"}
    bypass = [{"Guid": ONE, "Name": "a", "AuditBypassEnabled": "True"}]
    found = verdict(tenant([box], bypass))
    assert (found.state, missing(found)[2]) == ("auditing off", sorted(OWNER))
    assert {one.name for one in found.findings} >= {"auditing off", "bypass", "age limit"}
    assert STATES.index("organisation switch") == 0
    assert verdict(tenant([box], bypass, [{"AuditDisabled": "True"}])).state == "organisation switch"


def test_an_account_that_the_export_of_accounts_leaves_out_is_not_exported(tenant):
    found = verdict(tenant([COMPLETE], [{"Guid": TWO, "Name": "b", "AuditBypassEnabled": "False"}]))
    assert found.state == "complete"
    assert "AuditBypassEnabled: no export of accounts has this one" in findings(found)
