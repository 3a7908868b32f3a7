"""Profiles: ours hold what their sources say, and a file of the user's is checked."""

from __future__ import annotations

import pytest

from mailboxes.corpus import ADMIN, DEFAULT_ADMIN, DEFAULT_DELEGATE, DEFAULT_OWNER, DELEGATE, GROUP, OWNER, words
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.mailbox_audit.profiles import load_profile, shipped

CIS_E3 = (
    words("ApplyRecord Copy Create FolderBind HardDelete Move MoveToDeletedItems SendAs SendOnBehalf SoftDelete Update")
    + words("UpdateCalendarDelegation UpdateFolderPermissions UpdateInboxRules"),
    words("ApplyRecord Create FolderBind HardDelete Move MoveToDeletedItems SendAs SendOnBehalf SoftDelete Update")
    + words("UpdateFolderPermissions UpdateInboxRules"),
    words("ApplyRecord Create HardDelete MailboxLogin Move MoveToDeletedItems SoftDelete Update UpdateCalendarDelegation")
    + words("UpdateFolderPermissions UpdateInboxRules"),
)
NETWRIX = words("Create FolderBind HardDelete Move MoveToDeletedItems SendAs SendOnBehalf SoftDelete Update")
OWN = """\
title: Ours
age_limit_days: 365
mailboxes:
  user: {admin: [update, Copy], delegate: [SendAs], owner: [MessageBind]}
"""


def lists(name: str, kind: str = "user") -> tuple[set[str], ...]:
    found = load_profile(name).lists[kind]
    return tuple(set(found[logon]) for logon in ("admin", "delegate", "owner"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("asd-2024", ([*ADMIN, "MessageBind"], DELEGATE, OWNER)),
        ("cis-e3", CIS_E3),
        (
            "cis-e5",
            (
                [*CIS_E3[0], "MailItemsAccessed", "Send"],
                [*CIS_E3[1], "MailItemsAccessed"],
                [*CIS_E3[2], "MailItemsAccessed", "Send"],
            ),
        ),
        ("netwrix", ([*NETWRIX, "Copy"], NETWRIX, [])),
        ("microsoft-default", (DEFAULT_ADMIN, DEFAULT_DELEGATE, DEFAULT_OWNER)),
    ],
)
def test_a_profile_holds_what_its_source_says_for_users_and_shared_mailboxes(name, expected):
    assert lists(name) == lists(name, "shared") == tuple(map(set, expected))


def test_all_shipped_profiles_are_read():
    assert shipped() == ["asd-2024", "cis-e3", "cis-e5", "microsoft-default", "netwrix"]


@pytest.mark.parametrize("name", ["asd-2024", "microsoft-default"])
def test_the_lists_of_groups_are_microsofts_fixed_ones(name):
    assert lists(name, "group") == (set(GROUP), set(GROUP), {"HardDelete", "MoveToDeletedItems", "SoftDelete", "Update"})


def test_the_blueprint_says_what_is_refused_and_what_it_would_switch_off():
    profile = load_profile("asd-2024")
    assert list(profile.refused()) == ["MessageBind"]
    assert profile.switched_off() == {
        "admin": ["MailItemsAccessed", "Send"],
        "delegate": ["MailItemsAccessed"],
        "owner": ["MailItemsAccessed", "SearchQueryInitiated", "Send"],
    }
    assert "MessageBind" not in profile.wanted("user", "admin")


def test_a_profile_of_the_users_own_is_read_without_case(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    profile = load_profile(str(path))
    assert profile.wanted("user", "admin") == {"Update", "Copy"}
    assert profile.wanted("unknown", "delegate") == {"SendAs"}
    assert profile.wanted("user", "owner") == profile.wanted("group", "admin") == frozenset()
    assert profile.age_limit_days == 365


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            OWN.replace("Copy", "Copies"),
            ":4:26  mailboxes.user.admin[1]: 'Copies' is no action that is known (did you mean Copy?)",
        ),
        (OWN.replace("[SendAs]", "[Copy]"), "Copy can't be audited for delegate (it can for admin)"),
        (OWN.replace("[SendAs]", "SendAs"), "mailboxes.user.delegate: is no list of actions"),
        (OWN.replace("user:", "users:"), "mailboxes.users: is not known here (did you mean user?)"),
        (OWN.replace("365", "0"), "0 is no number of days from 1 to 24,855"),
        (OWN.replace("365", "yes"), "is no number of days"),
        ("mailboxes: {}", "says for none of user, shared, group, resource"),
        ("[]", "is no mapping with title"),
        ("a: [", "not YAML"),
        ("notes: 7\nmailboxes: {user: {}}", "notes: is no list of texts"),
        ("\0", "not YAML"),
    ],
)
def test_what_is_wrong_in_a_profile_is_named_with_its_place(tmp_path, text, said):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_profile(str(path))
    assert said in str(error.value)
    assert str(error.value).startswith(f"{path}:")


def test_a_profile_that_is_not_there_is_named_with_what_was_meant():
    with pytest.raises(ConfigError, match=r"asd-2023 is neither a profile nor a file \(did you mean asd-2024\?\)"):
        load_profile("asd-2023")
