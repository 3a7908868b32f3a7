"""The script that mends: run by an interpreter of what it uses of PowerShell, on a model of the cmdlets that it calls."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.corpus import ALL, PLANTED, Planted, as_csv, passed_over
from mailboxes.exchange import LISTS, ExchangeModel, ModelMailbox
from mailboxes.powershell import Interpreter, PowerShellError, commands, errors
from ualpipe.pipeline.mailbox_audit.exports import read_exports
from ualpipe.pipeline.mailbox_audit.judging import judge
from ualpipe.pipeline.mailbox_audit.mailboxes import tenant_of
from ualpipe.pipeline.mailbox_audit.profiles import load_profile
from ualpipe.pipeline.mailbox_audit.scripts import collect_script, fix_script, literals

OFF = '"AuditDisabled"\r\n"True"\r\n'
NO_LOG = '"UnifiedAuditLogIngestionEnabled"\r\n"False"\r\n'
CHANGING = ("Set-Mailbox", "Set-MailboxAuditBypassAssociation", "Set-OrganizationConfig", "Set-AdminAuditLogConfig")


def actions(value: Sequence[str] | str) -> list[str]:
    """Returns the list behind what an export shows of it."""
    return [] if isinstance(value, str) else list(value)


def model(planted: Sequence[Planted] = PLANTED) -> ExchangeModel:
    boxes = {
        plant.guid: ModelMailbox(
            {
                "primarysmtpaddress": plant.address,
                "auditenabled": plant.is_enabled,
                "auditlogagelimit": plant.age_limit,
                "defaultauditset": list(plant.followed),
                "auditadmin": actions(plant.admin),
                "auditdelegate": actions(plant.delegate),
                "auditowner": actions(plant.owner),
            }
        )
        for plant in planted
    }
    return ExchangeModel(boxes, {plant.guid: plant.is_passed_over for plant in planted})


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    for name, text in (("boxes", as_csv()), ("bypass", passed_over()), ("off", OFF), ("log", NO_LOG)):
        (folder / name).write_text(text)
    tenant, profile = tenant_of(read_exports(sorted(folder.iterdir()))), load_profile("asd-2024")
    return fix_script(tenant, judge(tenant, profile, "e5"), profile)


def test_both_scripts_are_powershell(script):
    assert errors(script.content) == []
    assert errors(collect_script()) == []
    assert errors("foreach ($one in { 'open") != []  # the grammar can say no


def test_each_change_stands_behind_a_question_that_whatif_answers_with_no(script):
    changing = [one for one in commands(script.content) if one[0] in CHANGING]
    assert {name for name, _, _ in changing} == set(CHANGING)
    for _, text, inside in changing:
        assert "$PSCmdlet.ShouldProcess(" in inside or text.startswith("Set-Mailbox -Identity $Guid -Audit"), text
    adding = [inside for name, _, inside in commands(script.content) if name == "Add-AuditAction"]
    assert adding
    assert all("$PSCmdlet.ShouldProcess(" in inside for inside in adding)


def test_it_only_ever_adds_to_lists(script):
    texts = [text for name, text, _ in commands(script.content) if name == "Set-Mailbox"]
    of_lists = [text for text in texts if any(f"-Audit{logon} " in text for logon in ALL)]
    assert len(of_lists) == 3
    assert all("@{ Add = $Actions }" in text for text in of_lists)
    assert "Remove" not in script.content


def test_what_it_mends_is_what_was_missing_and_nothing_else(script):
    exchange, before = model(), model()
    exchange.is_audit_disabled, exchange.is_unified_log_on = True, False
    assert exchange.run(script.content) == 0
    assert not exchange.has_replaced
    for plant in PLANTED:
        was, found = before.mailboxes[plant.guid].members, exchange.mailboxes[plant.guid].members
        for (name, logon), missing in zip(LISTS.items(), plant.missing, strict=True):
            assert set(found[name]) == {*was[name], *missing}
            assert (logon in found["defaultauditset"]) == (logon in was["defaultauditset"] and not missing)
        assert found["auditenabled"] is True
        expected = "90.00:00:00" if plant.state == "age limit" else plant.age_limit
        assert found["auditlogagelimit"] == expected
    assert not any(exchange.passed_over.values())
    assert (exchange.is_audit_disabled, exchange.is_unified_log_on) == (False, True)


def test_the_switch_of_the_organisation_comes_last(script):
    exchange = model()
    exchange.is_audit_disabled, exchange.is_unified_log_on = True, False
    exchange.run(script.content)
    assert [name for name, _ in exchange.changes[-2:]] == ["Set-AdminAuditLogConfig", "Set-OrganizationConfig"]
    assert [name for name, _ in exchange.changes].count("Set-OrganizationConfig") == 1


def test_a_second_run_changes_nothing(script):
    exchange = model()
    exchange.is_audit_disabled, exchange.is_unified_log_on = True, False
    exchange.run(script.content)
    assert exchange.changes
    exchange.changes.clear()
    exchange.asked.clear()
    assert exchange.run(script.content) == 0
    assert (exchange.changes, exchange.asked) == ([], [])


def test_a_run_with_whatif_changes_nothing_and_writes_what_there_is(script):
    exchange = model()
    exchange.confirms = False
    assert exchange.run(script.content) == 0
    assert exchange.changes == []
    assert len(exchange.asked) > 30
    assert set(exchange.files) == {f"./mailbox-audit-{name}.csv" for name in ("before", "after", "changes")}
    assert exchange.files["./mailbox-audit-before.csv"] == exchange.files["./mailbox-audit-after.csv"]


def test_before_and_after_tell_what_changed(script):
    exchange = model()
    exchange.run(script.content)
    before, after = (exchange.files[f"./mailbox-audit-{name}.csv"] for name in ("before", "after"))
    assert len(before) == len(after) == script.mailboxes
    assert {row["guid"] for row in before} == {row["guid"] for row in after}
    changes = exchange.files["./mailbox-audit-changes.csv"]
    assert {row["outcome"] for row in changes} == {"added", "set"}


def test_what_was_added_meanwhile_is_not_added_again(script):
    exchange = model()
    (plant,) = [plant for plant in PLANTED if plant.missing[2] == ["HardDelete", "Update"]][:1]
    exchange.mailboxes[plant.guid].members["auditowner"].append("Update")
    exchange.run(script.content)
    assert exchange.mailboxes[plant.guid].members["auditowner"].count("Update") == 1


LONE = Planted("missing actions", number=1, admin=("Update",), delegate=("Update",), owner=("Update",))


def script_for(folder, admin: str, rows: str = "") -> str:
    own = folder / "own.yaml"
    own.write_text(f"mailboxes: {{user: {{admin: [{admin}]}}}}")
    (folder / "boxes.csv").write_text(
        f"Guid,UserPrincipalName,RecipientTypeDetails,AuditEnabled,DefaultAuditSet,AuditAdmin\n{LONE.guid},a@contoso.com,UserMailbox,True,,Update\n{rows}"
    )
    tenant, profile = tenant_of(read_exports([folder / "boxes.csv"])), load_profile(str(own))
    return fix_script(tenant, judge(tenant, profile, "e5"), profile).content


def outcomes(exchange: ExchangeModel) -> list[tuple[str, str]]:
    return [(row["outcome"], row["detail"]) for row in exchange.files["./mailbox-audit-changes.csv"]]


def test_an_action_that_needs_a_licence_is_refused_and_the_others_are_added(tmp_path):
    exchange = model([LONE])
    exchange.mailboxes[LONE.guid].is_licensed = False
    assert exchange.run(script_for(tmp_path, "Copy, MailItemsAccessed, Move")) == 0
    assert set(exchange.mailboxes[LONE.guid].members["auditadmin"]) == {"Update", "Copy", "Move"}
    assert outcomes(exchange) == [("added", "Copy"), ("refused", "MailItemsAccessed: needs another licence"), ("added", "Move")]


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("MessageBind", ("refused", "MessageBind: withdrawn by Microsoft")),
        ("MailboxLogin", ("refused", "MailboxLogin: not available for this kind of log-on or licence")),
        ("Update", ("refused", "Update: audited already")),
    ],
)
def test_each_known_refusal_is_caught_and_named(tmp_path, action, outcome):
    """Scripts of ours never ask for these; Exchange may come to refuse what it takes today."""
    script = script_for(tmp_path, "Copy, Move").replace("'Move'", f"'{action}'")
    exchange = model([LONE])
    if action == "Update":  # added between the script's look and its change
        script = script.replace("$audited = \"$($current.$property)\" -split '[\\s,]+'", "$audited = @('Nothing')")
    assert exchange.run(script) == 0
    assert outcomes(exchange) == [("added", "Copy"), outcome]


def test_a_value_that_the_cmdlet_does_not_know_is_refused(tmp_path):
    exchange = model([LONE])
    set_mailbox = exchange._add

    def add(mailbox, name, value):
        if "Move" in value["add"]:
            raise PowerShellError('Cannot process argument transformation on parameter. Cannot convert value "Move" to type')
        set_mailbox(mailbox, name, value)

    exchange._add = add
    assert exchange.run(script_for(tmp_path, "Copy, Move")) == 0
    assert outcomes(exchange) == [("added", "Copy"), ("refused", "Move: not known to this version of Exchange")]


def test_any_other_error_fails_that_mailbox_and_the_others_go_on(tmp_path):
    gone = "99999999-9999-4999-8999-999999999999"
    script = script_for(tmp_path, "Copy", f"{gone},gone@contoso.com,UserMailbox,True,,Update\n")
    exchange = model([LONE])
    assert exchange.run(script) == 1
    assert [row["outcome"] for row in exchange.files["./mailbox-audit-changes.csv"]] == ["added", "failed"]
    assert "Copy" in exchange.mailboxes[LONE.guid].members["auditadmin"]


def test_a_mailbox_without_an_id_is_left_out_and_named(tmp_path):
    (tmp_path / "x.csv").write_text("UserPrincipalName,RecipientTypeDetails,AuditEnabled\na@contoso.com,UserMailbox,False\n")
    tenant, profile = tenant_of(read_exports([tmp_path / "x.csv"])), load_profile("asd-2024")
    found = fix_script(tenant, judge(tenant, profile, "e5"), profile)
    assert (found.mailboxes, found.left_out) == (0, ["a@contoso.com"])
    assert errors(found.content) == []


HOSTILE = st.text(st.sampled_from("ab'\u2018\u2019\u201a\u201b\"`$(){};#@\n\r\0\x1b\u202e|&>") | st.characters(), max_size=40)


@given(HOSTILE)
def test_no_name_gets_out_of_its_quotes(name):
    written = literals.text(name)
    assert errors(f"$x = {written}\nNot-Run") == []
    found: list[object] = []
    Interpreter({"Show": lambda named, _: found.append(named[""][0]) or []}).run(f"$x = {written}\nShow $x\n")
    assert len(found) == 1
    assert "\n" not in written
    assert written.isprintable() or not any(ord(sign) < 32 for sign in written)


@pytest.mark.parametrize(
    "name", ["'; Remove-Mailbox x; '", "\u2019; Remove-Mailbox x; \u2019", "$(Remove-Mailbox x)", "`'\n# @accounts@"]
)
def test_a_hostile_name_is_text_in_the_script(tmp_path, name):
    (tmp_path / "x.json").write_text(
        json.dumps([{"Guid": LONE.guid, "DisplayName": name, "RecipientTypeDetails": 1, "AuditEnabled": False}])
    )
    tenant, profile = tenant_of(read_exports([tmp_path / "x.json"])), load_profile("asd-2024")
    script = fix_script(tenant, judge(tenant, profile, "e5"), profile).content
    assert errors(script) == []
    assert not [one for one in commands(script) if one[0].startswith("Remove-")]
    exchange = model([LONE])
    assert exchange.run(script) == 0
    assert exchange.asked == []  # it is on already
